//! DCGKA: decentralized continuous group key agreement.
pub(crate) mod agreement;
mod costs;
mod dsgm;
mod message_ratchet;
mod messages;
mod two_party;

pub use agreement::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
pub use dsgm::Dcgka;
pub use two_party::MAX_UNACKNOWLEDGED;
