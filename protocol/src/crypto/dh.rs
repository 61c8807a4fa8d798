//! X25519 (RFC 7748).

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey as Point, StaticSecret};

use super::secret::Secret;
use super::{count, tap};
use crate::error::Error;

/// Bytes of a public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Bytes of a private key.
pub const PRIVATE_KEY_LEN: usize = 32;

/// A private key.
#[derive(Clone)]
pub struct PrivateKey(pub(super) Secret<PRIVATE_KEY_LEN>);

/// A public key. Any 32 bytes are one (RFC 7748, section 5); [`PrivateKey::agree`] refuses those of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; PUBLIC_KEY_LEN]);

impl PrivateKey {
    /// A fresh private key. Counts nothing: only computing its public key costs something.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret::random(rng))
    }

    /// The key of these bytes.
    #[must_use]
    pub fn from_secret(bytes: Secret<PRIVATE_KEY_LEN>) -> Self {
        Self(bytes)
    }

    /// The bytes, for an export or a two-party message.
    #[must_use]
    pub fn as_secret(&self) -> &Secret<PRIVATE_KEY_LEN> {
        &self.0
    }

    /// The public key. Counts one key generation.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        count::record(|tally| tally.keygen.add(1));
        PublicKey(Point::from(&StaticSecret::from(*self.0.expose())).to_bytes())
    }

    /// The shared secret with `peer`. Counts one DH.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] if the peer's key has small order: the result would be zero whatever our key is.
    pub fn agree(&self, peer: &PublicKey) -> Result<Secret, Error> {
        count::record(|tally| tally.dh.add(1));
        let shared = StaticSecret::from(*self.0.expose()).diffie_hellman(&Point::from(peer.0));
        tap::gives(tap::takes(&[self.0.expose()]), shared.as_bytes());
        if shared.was_contributory() { Ok(Secret::new(shared.to_bytes())) } else { Err(Error::NotAuthentic) }
    }
}
