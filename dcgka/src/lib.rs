//! DCGKA: decentralized continuous group key agreement, and the secure group messaging built on it.
//!
//! Source: M. Weidner, M. Kleppmann, D. Hugenroth, A. R. Beresford, "Key Agreement for Decentralized Secure Group
//! Messaging with Strong Security Guarantees", ACM CCS 2021 (full version: IACR ePrint 2020/1281). `DEVIATIONS.md`
//! beside this crate lists every departure from it.
//!
//! # The protocol in a page
//!
//! No server orders messages: members broadcast, and deliver a message after everything that its author had delivered.
//! Each member X has a ratchet that every member follows. A step of it takes a fresh secret and yields an *update
//! secret* I_X, from which the keys of X's next messages are derived.
//!
//! To create a group, to update, or to remove a member, the author sends each recipient one *seed* through a two-party
//! channel. The seed yields a *member secret* for each recipient and one for the author, who steps its ratchet
//! immediately. A recipient steps its own ratchet when it acknowledges, and all others when it delivers their
//! acknowledgements:
//!
//! ```text
//!   A                     B                     C
//!   | update: seed to B,C |                     |
//!   |-------------------->|-------------------->|     I_A from KDF(seed, A)
//!   |<------- ack --------|-------------------->|     I_B from KDF(seed, B)
//!   |<------- ack --------|<--------------------|     I_C from KDF(seed, C)
//! ```
//!
//! So one control message refreshes all members, with O(n) work each. An add sends no fresh secret: the joiner gets the
//! adder's ratchet in the add, the group's state in a *welcome*, and every other member's ratchet in its
//! acknowledgement. Two concurrent control messages both take effect, since each steps different ratchets with
//! different secrets.
//!
//! | paper | module | what it is |
//! |---|---|---|
//! | 2SM (section 6.1), or lean channels | `two_party` | a secret from one member to one other, with forward secrecy and healing per message |
//! | DCGKA (section 6.2, figure 7) | `agreement` | create, add, remove, update, acknowledgements, welcome |
//! | DGM (section 5.2) | [`protocol::membership`] | who is a member, in whose view |
//! | causal broadcast (section 5.1) | [`protocol::causal_order`] | numbers, signatures, readiness |
//! | forward-secure encryption (section 4) | `message_ratchet` | keys of application messages |
//! | DSGM (section 4) | `dsgm` | the layers together, behind [`protocol::member::Member`] |
//!
//! The exact cost of each operation is [`Backend::expected`](protocol::member::Backend::expected).
//!
//! # Limits
//!
//! | what | limit | enforced by | beyond it | what to try then |
//! |---|---|---|---|---|
//! | members | 1,024 ([`MAX_MEMBERS`]) | the author; receivers judge by the author's view alone, so that concurrent adds do not divide them | `GroupSize`; everybody rejects such an add | remove a member |
//! | users that a group ever had | 4,096 ([`MAX_KNOWN`]) | the same; the joiner, for those in its welcome | `GroupSize`; such a welcome is `Malformed` | create a new group |
//! | membership changes in a welcome | 16,384 (`MAX_WELCOME_CHANGES`) | adder and joiner | `GroupSize`; `Malformed` | create a new group |
//! | steps to evaluate them | 33,554,432 (`MAX_WELCOME_STEPS`), about 0.1 s | adder and joiner | `GroupSize`; `Malformed` | create a new group |
//! | bytes of a welcome's state | 1,047,552 (`MAX_WELCOME_STATE_LEN`) | the adder | `GroupSize` | create a new group |
//! | own control messages that some member has not acknowledged | 256 ([`MAX_UNACKNOWLEDGED`]) | the author of updates and adds | `TooManyUnacknowledged` | remove the silent member: a removal is always possible |
//! | pending control messages of one author | 512 ([`MAX_PENDING`]) | receivers | the author's next update or add, and what follows it, waits until another member has acknowledged it | nothing: it continues with the acknowledgements |
//! | two-party ciphertexts that a member has not acknowledged | 1,024 ([`MAX_KEPT_KEYS`]) | the sender | that member gets empty slots, and says `none` | remove it |
//! | waiting messages of one author | 1,024 ([`MAX_WAITING_PER_AUTHOR`](protocol::causal_order::MAX_WAITING_PER_AUTHOR)) | the receiver | `QueueFull` | receive it again later |
//! | waiting bytes in one group, 80 for each acknowledgement that a signed message names | 16,777,216 ([`MAX_WAITING_BYTES`](protocol::causal_order::MAX_WAITING_BYTES)) | the receiver; a message that is ready needs no room | `QueueFull` | receive it again later |
//! | unknown authors whose messages wait | 1,024 ([`MAX_STRANGERS`](protocol::causal_order::MAX_STRANGERS)) | the receiver | `QueueFull` | receive it again later |
//! | groups whose messages wait for an invitation | 8 (`MAX_LOBBIES`) | the user; a confirmed invitation replaces a group without one, or one of the inviter of most groups | `QueueFull` | receive it again later |
//! | invitations to one group | 16 (`MAX_INVITATIONS`) | the user | the new one replaces the oldest of the inviter of most of them | |
//! | bytes of a message | 1,048,576 ([`MAX_MESSAGE_LEN`](protocol::wire::codec::MAX_MESSAGE_LEN)) | everybody, before anything is decoded | `Malformed` | |
//! | bytes of a plaintext | 65,536 ([`MAX_PLAINTEXT_LEN`]) | the sender | `PlaintextTooLong` | send it in parts |
//! | acknowledgements with tags between two signed messages | 64 ([`MAX_TAGGED`](protocol::wire::envelope::MAX_TAGGED)) | the author signs the next one | it waits for the next signed message | |
//! | waiting acknowledgements with tags of one author | 64 | the receiver | `QueueFull` | its author's next signed message brings it |
//! | last numbers of an author under which a second body is noticed | 8 ([`EQUIVOCATION_WINDOW`](protocol::causal_order::EQUIVOCATION_WINDOW)) | the receiver | it counts as a duplicate | |
//! | own messages | 4,293,918,719 (`LAST_NUMBER`) | the member, before anything else happens | `NumbersExhausted` | join again under a new id |
//!
//! Counts in a message are compared with the bytes left in it before anything is allocated. The tests are in
//! `tests/limits.rs`, `tests/faults/limits.rs` and `agreement/tests/limits.rs`.
//!
//! # Honest and hostile worst cases
//!
//! What a member does with what reaches it, counted. Forged messages are those that somebody without any key can send.
//! A message that waits is decoded when it arrives and at its turn. Its signature and its new key are checked at its
//! turn, and never again: several messages can wait under one number, and none displaces another. So the work grows
//! with what arrives, in any order, and not with what waits.
//!
//! | what arrives | bytes | signatures verified | points decompressed | envelopes decoded | hash blocks | bytes kept |
//! |---|---|---|---|---|---|---|
//! | 1,024 messages in order | 110,566 | 1,024 | 0 | 1,024 | 3,072 | 10 |
//! | 1,024 messages in reverse order | 110,566 | 1,024 | 0 | 2,047 | 3,072 | 111,483 |
//! | 1,024 forged messages with far numbers and new keys | 113,664 | 0 | 0 | 1,024 | 0 | 114,689 |
//! | then 1,024 messages in order | 110,566 | 1,024 | 0 | 1,024 | 3,072 | 10 |
//! | 1,023 forged messages under the number of an UPDATE, and the UPDATE | 110,047 | 0 | 0 | 1,024 | 0 | 111,073 |
//! | then the message before it | 107 | 1,025 | 1,024 | 1,025 | 3,089 | 0 |
//! | 1,024 messages of unknown authors | 76,800 | 0 | 0 | 1,024 | 2,048 | 111,617 |
//! | an ADD in a group of 64 | 324 | 2 | 3 | 1 | 24 | 453 |
//! | such forged messages in the names of 63 members, and 1,024 of unknown authors | 7,237,632 | 0 | 0 | 65,536 | 2,048 | 7,337,024 |
//! | then an ADD in the group of 64 | 324 | 2 | 3 | 1 | 24 | 453 |
//! | an ADD in a group of 4 | 324 | 2 | 3 | 1 | 24 | 392 |
//! | 1,024 messages that name 1,024 unknown users | 84,992 | 0 | 0 | 1,024 | 0 | 86,017 |
//! | then the ADD of one of these users | 324 | 3 | 3 | 2 | 27 | 308 |
//! | a welcome to a group of 64 | 2,287 | 1 | 1 | 1 | 39 | 2,282 |
//! | then 1,023 copies of its ADD with wrong signatures | 331,452 | 1,023 | 1,024 | 1,023 | 11,253 | 333,532 |
//! | then its ADD | 324 | 3 | 67 | 1 | 148 | 0 |
//!
//! The bytes kept are those by which an export grows; in reverse order, before the last message arrives. In memory a
//! waiting message takes up to 200 bytes more. What waits for a number or a user is dropped when another message under
//! its number is verified; what waits for one that never comes stays, within the limits above. The tests
//! are in `tests/worst_cases.rs` and, for growth, in `causal_order/waiting.rs` in the tests of [`protocol`].
//!
//! # Acknowledgements with tags
//!
//! In the variants that have them, a tag is checked at most once: when the acknowledgement arrives or, if it comes too early,
//! when its turn comes. A member that does not know the secret keeps none. Of those that come too early, it keeps 64 for each
//! author. What is lost in this way is in the author's next signed message.
//!
//! | what arrives | bytes | signatures verified | calls of HMAC or HKDF | envelopes decoded | hash blocks | bytes kept |
//! |---|---|---|---|---|---|---|
//! | 1,024 acknowledgements with wrong tags, at a member that has the secret | 36,864 | 0 | 1,024 | 1,024 | 3,072 | 0 |
//! | then the genuine one | 36 | 0 | 3 | 1 | 3 | 70 |
//! | 1,024 acknowledgements with wrong tags, at a joiner | 36,864 | 0 | 0 | 1,024 | 3,072 | 0 |
//! | then 1,024 acknowledgements of messages that nobody has sent | 38,912 | 0 | 0 | 1,024 | 0 | 1,792 |
//! | then the ADD-ACK of their author, which brings the genuine one | 275 | 2 | 6 | 1 | 13 | 0 |
//! | then the genuine one | 36 | 0 | 0 | 1 | 0 | 0 |
//! | 512 messages with wrong signatures and 64 acknowledgements each, at a joiner | 335,872 | 512 | 0 | 512 | 19,968 | 0 |
//! | then 512 under a number whose turn has not come | 335,872 | 0 | 0 | 512 | 0 | 336,897 |
//! | then 512 that acknowledge messages of an unknown user | 335,872 | 0 | 0 | 512 | 0 | 336,896 |
//! | then the ADD-ACK | 275 | 514 | 6 | 513 | 19,981 | 0 |
//!
//! # Example
//!
//! ```
//! use dcgka::Dcgka;
//! use protocol::directory::InMemoryDirectory;
//! use protocol::member::{Backend, Context, Event, Incoming};
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! # fn main() -> Result<(), protocol::error::Error> {
//! let mut rng = ChaCha20Rng::seed_from_u64(1);
//! let directory = InMemoryDirectory::default();
//! let mut users = Vec::new();
//! for _ in 0..2 {
//!     let user = Dcgka::CORRECTED.new_user(1, &mut rng);
//!     directory.publish(user.id, user.bundle, user.one_time);
//!     users.push((user.id, user.member));
//! }
//! let [(alice_id, mut alice), (bob_id, mut bob)] = <[_; 2]>::try_from(users).ok().unwrap();
//! let mut context = Context { rng: &mut rng, directory: &directory, confirm_inviter: &|_| true };
//!
//! let mut sent = alice.create(&[bob_id], &mut context)?;
//! sent.extend(alice.send(b"hello", &mut context)?);
//! let group = alice.group().unwrap();
//! let mut events = Vec::new();
//! for message in &sent {
//!     let incoming = Incoming { group, author: alice_id, bytes: &message.bytes };
//!     events.extend(bob.receive_one(&incoming, &mut context)?.events);
//! }
//! assert_eq!(events.last(), Some(&Event::Message { from: alice_id, plaintext: b"hello".to_vec() }));
//! # Ok(())
//! # }
//! ```

mod agreement;
#[cfg(feature = "simulation")]
pub mod audit;
mod costs;
mod dsgm;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod lobby;
mod message_ratchet;
mod messages;
mod rules;
mod two_party;

pub use dsgm::Dcgka;
pub use limits::{MAX_KEPT_KEYS, MAX_KNOWN, MAX_MEMBERS, MAX_PENDING, MAX_PLAINTEXT_LEN, MAX_UNACKNOWLEDGED};
