//! DCGKA: decentralized continuous group key agreement, and the secure group messaging built on it.
//!
//! Source: M. Weidner, M. Kleppmann, D. Hugenroth, A. R. Beresford, "Key Agreement for Decentralized Secure Group Messaging
//! with Strong Security Guarantees", ACM CCS 2021 (full version: IACR ePrint 2020/1281). `DEVIATIONS.md` beside this crate
//! lists every departure from it.
//!
//! # The protocol in a page
//!
//! No server orders messages: members broadcast, and process a message once they have processed what its author had. Each
//! member X has a ratchet that every member follows. A step of it takes a fresh secret and gives an *update secret* I_X,
//! from which the keys of X's next messages come.
//!
//! To create a group, update or remove somebody, the author sends each recipient one *seed* through a two-party channel.
//! From the seed come a *member secret* for each recipient and one for the author, who steps its ratchet at once. A
//! recipient steps its own when it acknowledges, and all others when they see the acknowledgement:
//!
//! ```text
//!   A                     B                     C
//!   | update: seed to B,C |                     |
//!   |-------------------->|-------------------->|     I_A from KDF(seed, A)
//!   |<------- ack --------|-------------------->|     I_B from KDF(seed, B)
//!   |<------- ack --------|<--------------------|     I_C from KDF(seed, C)
//! ```
//!
//! So one operation of one member refreshes everybody, with O(n) work each. To add somebody, nothing fresh is sent: the
//! joiner gets the adder's ratchet in the add, the group's state in a *welcome*, and every other member's ratchet in its
//! acknowledgement. Two operations at once both take effect, since each steps different ratchets with different secrets.
//!
//! | paper | module | what it is |
//! |---|---|---|
//! | 2SM (section 6.1) | `two_party` | a secret from one member to one other, with forward secrecy and healing per message |
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
//! | what | limit | who minds it | beyond it | then |
//! |---|---|---|---|---|
//! | members | [`MAX_MEMBERS`] | the author; receivers by the author's view alone, so that adds at once do not divide them | `GroupSize`; an add is rejected by all | remove somebody |
//! | users that a group ever had | [`MAX_KNOWN`] | the same | `GroupSize` | a new group |
//! | a welcome's state | [`MAX_KNOWN`] users, 16,384 operations, about 0.1 s of work | adder and joiner | `GroupSize`; `Malformed` | a new group |
//! | own operations that somebody has not acknowledged | [`MAX_UNACKNOWLEDGED`] | the author of updates and adds | `TooManyUnacknowledged` | remove whoever is silent: a removal is always possible |
//! | pending operations of one author | [`MAX_PENDING`] | receivers | the author's next update or add waits, and what follows it, until another member has acknowledged it | it goes on with the acknowledgements |
//! | two-party ciphertexts that a member has not acknowledged | [`MAX_KEPT_KEYS`] | the sender | empty slots to that member, which says `none` | remove it |
//! | messages that wait, for each author | [`MAX_WAITING_PER_AUTHOR`](protocol::causal_order::MAX_WAITING_PER_AUTHOR) | the receiver | `QueueFull` | deliver again later |
//! | bytes that wait, for each group | [`MAX_WAITING_BYTES`](protocol::causal_order::MAX_WAITING_BYTES) | the receiver; what is ready needs no room | `QueueFull` | deliver again later |
//! | unknown authors whose messages wait | [`MAX_STRANGERS`](protocol::causal_order::MAX_STRANGERS) | the receiver | `QueueFull` | deliver again later |
//! | groups of which messages wait before an invitation, and invitations to each | 8, and 16 | the user; a confirmed invitation takes the place of a group without one | `QueueFull` | deliver again later |
//! | a message | [`MAX_MESSAGE_LEN`](protocol::wire::codec::MAX_MESSAGE_LEN) bytes | everybody, before anything is decoded | `Malformed` | |
//! | a plaintext | [`MAX_PLAINTEXT_LEN`] bytes | the sender | `PlaintextTooLong` | send it in parts |
//! | numbers under which a second body is noticed | the last [`EQUIVOCATION_WINDOW`](protocol::causal_order::EQUIVOCATION_WINDOW) of each author | the receiver | counts as a duplicate | |
//! | own messages | some 4 billion | the member, before anything else happens | `NumbersExhausted` | come back under a new id |
//!
//! Counts in a message are compared with what is left of it before anything is allocated. The tests are in `tests/limits.rs`,
//! `tests/faults/limits.rs` and `agreement/tests/limits.rs`.
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
mod message_ratchet;
mod messages;
mod rules;
mod two_party;

pub use agreement::{MAX_KNOWN, MAX_MEMBERS, MAX_PENDING, MAX_PLAINTEXT_LEN, MAX_UNACKNOWLEDGED};
pub use dsgm::Dcgka;
pub use two_party::MAX_KEPT_KEYS;
