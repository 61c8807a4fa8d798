//! What people use today, for comparison with DCGKA: pairwise Signal and Sender Keys, on the same primitives, identities,
//! directory and membership.
//!
//! | module | what it holds | source |
//! |---|---|---|
//! | [`double_ratchet`] | two parties' keys for each message | The Double Ratchet Algorithm, revision 1 |
//! | `session` | sessions that X3DH starts, both sides at once too | The X3DH Key Agreement Protocol, revision 1 |
//! | `sender_key` | a chain and a signature key for each sender | Signal's and WhatsApp's group messages |
//! | `letter` | the layout of messages | |
//! | `roster` | notices of adds and removals, in causal order | `protocol::membership` |
//! | `group` | what a member does in its group | |
//! | `party`, `backends` | the project's contract | |
//! | `costs` | exact formulas | |
//!
//! ```text
//!  pairwise     message --------> n-1 letters, each under the Double Ratchet with one member
//!  sender-keys  message --------> one broadcast under the sender's key, signed
//!               sender's key ---> n-1 letters
//!  both         add, remove ----> n-1 letters with a notice; a newcomer is greeted by every member
//! ```
//!
//! A pairwise update renews the ratchet keys of all channels of one member. A party of the Double Ratchet can make a new key
//! only once it has received one, so where the updating member has spoken last it asks for a turn first. In
//! `sender-keys:pcs` the new sender keys of all members follow, since a thief of one member's state has them all.
//!
//! Limits: one device for each user; a session for each group; bundles are not renewed. The channels with removed members
//! stay, because what they sent before they knew may still come; no key goes over them.

mod backends;
mod chain;
mod costs;
pub mod double_ratchet;
mod group;
mod letter;
mod parked;
mod party;
mod roster;
mod sender_key;
mod session;

pub use backends::{Pairwise, SenderKeys};
pub use chain::MAX_SKIPPED;
pub use group::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
pub use sender_key::{DISTRIBUTION_LEN, MAX_KEYS_PER_SENDER};
pub use session::PREKEY_HEADER_LEN;
