//! The protocols in use today, for comparison with DCGKA: pairwise Signal and Sender Keys, on the same primitives,
//! identities, directory and membership.
//!
//! | module | contents | source |
//! |---|---|---|
//! | [`double_ratchet`] | the two parties' keys for each message | The Double Ratchet Algorithm, revision 1 |
//! | `session` | sessions started by X3DH, by one side or by both concurrently | The X3DH Key Agreement Protocol, revision 1 |
//! | `sender_key` | a chain and a signature key for each sender | Signal's and WhatsApp's group messages |
//! | `chain` | chains of message keys, for both protocols | The Double Ratchet Algorithm, section 5.2 |
//! | `messages` | the layout of messages | |
//! | `notice`, `roster` | notices of adds and removals, in causal order | `protocol::membership` |
//! | `parked` | messages that cannot be checked yet | |
//! | `received` | which messages have been received | |
//! | `user` | a user's secrets, and how the protocols differ | |
//! | `group` | what a member does in its group | |
//! | `lobby` | what waits for an invitation | |
//! | `party`, `backends` | implementations of the traits `Member` and `Backend` | |
//! | `costs` | exact formulas | |
//!
//! ```text
//!  pairwise     message --------> n-1 messages, each under the Double Ratchet with one member
//!  sender-keys  message --------> one broadcast under the sender's key, signed
//!               sender's key ---> n-1 messages
//!  both         add, remove ----> a message with the notice to every member; every member greets a joiner
//! ```
//!
//! A pairwise update renews the ratchet keys of all channels of one member. In the Double Ratchet a party can make a
//! new key only after it has received one. So on each channel where the updating member was the last to make one, it
//! first asks the peer for a *turn*: the peer's new ratchet key. In `sender-keys:pcs` all members then hand out new
//! sender keys, because a thief of one member's state has them all.
//!
//! Limits:
//!
//! - Each user has one device. Sessions serve one group only. Bundles are not renewed.
//! - A user without a valid bundle cannot be named in a creation or an add. If its bundle is lost later, members whose
//!   channel with it is not open leave it out.
//! - A call is refused with `NumbersExhausted`, before anything else happens, unless each counter suffices for all that
//!   the call can send. The counters are those of messages, notices, sender keys, and messages under a sender key and on
//!   a channel.
//! - Of each author a member keeps which message numbers it has received, with at most 255 gaps. A message under such a
//!   number that does not open counts as repeated, even if it is forged. Beyond that, the oldest gap counts as received.
//! - A member cannot check a channel message in its own name. Under a number that it has used, the message counts as its
//!   own and has no effect.
//! - Channels with removed members are kept, because messages that a removed member sent before it knew of its removal
//!   may still arrive. No sender key goes over them.
//! - A member's notices reach the members that it knows or learns of. Notices are not signed, so nobody else can pass
//!   them on to a joiner. If the author is removed first, a joiner whose adder had not received the notice may never
//!   receive it. The joiner's view then differs from the others' views.
//! - An update gives up earlier sender keys and, if both sides had initiated a session, the one that is no longer used.
//!   Of these, only messages that were sent before are accepted. A thief can forge a message in the place of one that has
//!   not arrived.
//! - A member keeps the latest [`MAX_KEYS_PER_SENDER`] keys of each sender. Messages under earlier ones are lost.
//! - A member can withhold a notice from some members. At those members it thereby holds up the notices of all members
//!   that have delivered it, even the notice that removes the withholding member.
//! - In `sender-keys:pcs` a member that waits for a peer's turn keeps its chain as it was when it began to wait. What
//!   it sends until the turn arrives is not forward secure.
//! - If an update crosses a peer's first message, the peer stays on the session that its message opened.

#[cfg(test)]
extern crate self as baselines;

mod backends;
mod chain;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
mod costs;
pub mod double_ratchet;
mod group;
pub mod lobby;
mod messages;
pub mod notice;
pub mod parked;
mod party;
mod received;
pub mod roster;
mod sender_key;
mod session;
mod user;

pub use backends::{Pairwise, SenderKeys};
pub use chain::MAX_SKIPPED;
pub use group::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
pub use sender_key::{DISTRIBUTION_LEN, MAX_KEYS_PER_SENDER};
pub use session::PREKEY_HEADER_LEN;
