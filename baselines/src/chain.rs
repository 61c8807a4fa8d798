//! Chains of message keys, used by both protocols. Each key is used once, and no key leads back to an earlier one
//! (KDF_CK of the Double Ratchet specification, section 5.2; Sender Keys take the same step).
//!
//! ```text
//! message key = HMAC(chain key, 1)      next chain key = HMAC(chain key, 2)
//! ```

use std::collections::VecDeque;

use protocol::crypto::aead::OneTimeKey;
use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf;
use protocol::crypto::label::Label;
use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::error::Error;
use protocol::wire::codec::{Reader, put_len};

/// Maximum number of keys of skipped messages that are kept for each session or sender key. One message may skip as
/// many.
pub const MAX_SKIPPED: usize = 2000;

/// Calls of HMAC and HKDF for one message: the step, then key and nonce from the message key.
pub(crate) const KDF_CALLS: u64 = STEP_KDF_CALLS + 2;
/// Calls of HMAC in one step.
const STEP_KDF_CALLS: u64 = 2;

/// A chain key.
#[derive(Clone)]
pub(crate) struct Chain(Secret);

/// The key of one message.
#[derive(Clone)]
pub(crate) struct MessageKey(Secret);

impl Chain {
    pub(crate) fn new(key: Secret) -> Self {
        Self(key)
    }

    pub(crate) fn as_secret(&self) -> &Secret {
        &self.0
    }

    /// Returns the next message key and advances the chain.
    pub(crate) fn step(&mut self) -> MessageKey {
        let key = MessageKey(kdf::hmac(&self.0, &[1]));
        self.0 = kdf::hmac(&self.0, &[2]);
        key
    }
}

impl MessageKey {
    /// Derives the key and nonce that encrypt the message.
    pub(crate) fn into_aead(self, label: Label) -> OneTimeKey {
        OneTimeKey::new(kdf::derive(label, &[0; DIGEST_LEN], self.0.expose(), &[]))
    }
}

/// Keys of skipped messages, the oldest first. A message is identified by its `Name`.
#[derive(Clone)]
pub(crate) struct Skipped<Name>(VecDeque<(Name, MessageKey)>);

impl<Name> Default for Skipped<Name> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<Name: PartialEq> Skipped<Name> {
    /// A copy of the key. The key itself is removed only after the message has opened.
    pub(crate) fn get(&self, name: &Name) -> Option<MessageKey> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, key)| key.clone())
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        self.0.retain(|(other, _)| other != name);
    }

    /// Adds keys, and drops the oldest beyond [`MAX_SKIPPED`].
    pub(crate) fn extend(&mut self, keys: Vec<(Name, MessageKey)>) {
        self.0.extend(keys);
        let excess = self.0.len().saturating_sub(MAX_SKIPPED);
        self.0.drain(..excess);
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>, put_name: impl Fn(&Name, &mut Vec<u8>)) {
        put_len(out, self.0.len());
        for (name, key) in &self.0 {
            put_name(name, out);
            out.extend_from_slice(key.0.expose());
        }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        name: impl Fn(&mut Reader<'_>) -> Result<Name, Error>,
    ) -> Result<Self, Error> {
        let count = reader.count(SECRET_LEN)?;
        if count > MAX_SKIPPED {
            return Err(Error::Malformed);
        }
        let keys = (0..count).map(|_| Ok((name(reader)?, MessageKey(Secret::new(reader.array()?)))));
        keys.collect::<Result<_, _>>().map(Self)
    }
}
