//! What people use today, for comparison with DCGKA: pairwise Signal and Sender Keys, on the same primitives, identities,
//! directory and membership.
//!
//! | module | what it holds | source |
//! |---|---|---|
//! | [`double_ratchet`] | two parties' keys for each message | The Double Ratchet Algorithm, revision 1 |
//! | `session` | sessions that X3DH starts, both sides at once too | The X3DH Key Agreement Protocol, revision 1 |
//! | `sender_key` | a chain and a signature key for each sender | Signal's and WhatsApp's group messages |
//! | `messages` | the layout of messages | |
//! | `notice`, `roster` | notices of adds and removals, in causal order | `protocol::membership` |
//! | `user` | what the protocols differ in | |
//! | `group` | what a member does in its group | |
//! | `party`, `backends` | the project's contract | |
//! | `costs` | exact formulas | |
//!
//! ```text
//!  pairwise     message --------> n-1 messages, each under the Double Ratchet with one member
//!  sender-keys  message --------> one broadcast under the sender's key, signed
//!               sender's key ---> n-1 messages
//!  both         add, remove ----> a message with the notice to every member; a joiner is greeted by every member
//! ```
//!
//! A pairwise update renews the ratchet keys of all channels of one member. A party of the Double Ratchet can make a new key
//! only once it has received one, so where the updating member has spoken last it asks for a turn first. In
//! `sender-keys:pcs` the new sender keys of all members follow, since a thief of one member's state has them all.
//!
//! Limits: one device for each user; a session for each group; bundles are not renewed. The channels with removed members
//! stay, because what they sent before they knew may still come; no key goes over them. What a member announces reaches whom
//! it knows or hears of, and joiners from itself alone: notices are not signed, so nobody can pass them on. If it is
//! removed first, somebody added meanwhile by a member that has not heard the notice may never hear it, and differs in its view
//! from the others. An update gives up what it overtakes: messages under the updating member's earlier sender key, and messages
//! on a session that is not used any more because both sides had initiated one; a notice among these is lost, and with it the
//! author's later ones at that peer. A member that withholds a notice from some holds up, at those, the notices of all who
//! have handled it, its own removal too. In `sender-keys:pcs` a member that awaits a peer's turn keeps its chain as it was
//! when it began to wait, so what it sends until the turn comes is not forward secure. An update that crosses a peer's first
//! message leaves that peer on the session which its message opened.

mod backends;
mod chain;
mod costs;
pub mod double_ratchet;
mod group;
mod messages;
mod notice;
mod parked;
mod party;
mod roster;
mod sender_key;
mod session;
mod user;

pub use backends::{Pairwise, SenderKeys};
pub use chain::MAX_SKIPPED;
pub use group::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
pub use sender_key::{DISTRIBUTION_LEN, MAX_KEYS_PER_SENDER};
pub use session::PREKEY_HEADER_LEN;
