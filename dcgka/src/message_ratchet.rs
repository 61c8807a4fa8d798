//! From update secrets to the keys of application messages (paper, section 4: forward-secure encryption).
//!
//! Each update secret of a sender starts a new chain. FIFO order supplies epoch and position, so no message carries
//! them.

use protocol::crypto::aead::OneTimeKey;
use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;

/// Calls of HKDF for one message.
pub(crate) const KDF_CALLS: u64 = 3;

/// A chain key, which advances with every message.
#[derive(Clone)]
pub(crate) struct Chain(Secret);

impl Chain {
    pub(crate) fn new(update_secret: Secret) -> Self {
        Self(update_secret)
    }

    /// The key of the next message. The chain advances, so that the key cannot be computed again.
    pub(crate) fn next_key(&mut self) -> OneTimeKey {
        let extracted = Extracted::new(&[0; DIGEST_LEN], self.0.expose());
        self.0 = extracted.expand(label::CHAIN, &[]);
        OneTimeKey::new(extracted.expand(label::MESSAGE_KEY, &[]))
    }

    pub(crate) fn as_secret(&self) -> &Secret {
        &self.0
    }
}
