//! Ed25519 (RFC 8032). Weak public keys are refused when they are decoded. Plain verification then suffices: it checks
//! that S is canonical, and compares R as bytes.

use core::fmt;

use ed25519_dalek::{Signer as _, Verifier as _};
use rand_core::CryptoRng;

use super::count;
use super::secret::Secret;
use crate::error::Error;

/// Bytes of a verification key.
pub const VERIFICATION_KEY_LEN: usize = 32;
/// Bytes of a signing key.
pub const SIGNING_KEY_LEN: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;
const SCALAR_LEN: usize = 32;

/// A private key.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key, checked and decompressed once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerificationKey(ed25519_dalek::VerifyingKey);

/// A signature that has not been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_LEN]);

impl SigningKey {
    /// A fresh key pair. Counts one signature key generation.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self::from_secret(&Secret::random(rng))
    }

    /// The key of these bytes. Counts one signature key generation: the public key is computed.
    #[must_use]
    pub fn from_secret(bytes: &Secret<SIGNING_KEY_LEN>) -> Self {
        count::record(|tally| tally.sign_keygen.add(1));
        Self(ed25519_dalek::SigningKey::from_bytes(bytes.expose()))
    }

    /// The bytes, for an export.
    #[must_use]
    pub fn to_secret(&self) -> Secret<SIGNING_KEY_LEN> {
        Secret::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn verification_key(&self) -> VerificationKey {
        VerificationKey(self.0.verifying_key())
    }

    /// Signs. Counts one signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        count::record(|tally| tally.sign.add(1));
        Signature(self.0.sign(message).to_bytes())
    }
}

impl VerificationKey {
    /// Decodes a public key. Counts one point.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the bytes are not the canonical encoding of a point of the curve, or the point has small
    /// order: under such a key one signature fits many messages.
    pub fn from_bytes(bytes: &[u8; VERIFICATION_KEY_LEN]) -> Result<Self, Error> {
        count::record(|tally| tally.points.add(1));
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| Error::Malformed)?;
        if key.is_weak() || !is_canonical(bytes) { Err(Error::Malformed) } else { Ok(Self(key)) }
    }

    /// The encoded key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; VERIFICATION_KEY_LEN] {
        self.0.as_bytes()
    }

    /// Checks a signature. Counts one verification, unless S is not canonical: that is refused before anything is
    /// computed.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] if it is not the signature of this message under this key.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        if is_reduced(signature) {
            count::record(|tally| tally.verify.add(1));
        }
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify(message, &signature).map_err(|_| Error::NotAuthentic)
    }
}

/// Whether S is below the order of the group, as the library demands.
fn is_reduced(Signature(bytes): &Signature) -> bool {
    /// 2^252 + 27742317777372353535851937790883648493, little endian.
    const ORDER: [u8; SCALAR_LEN] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let s = &bytes[SIGNATURE_LEN - SCALAR_LEN..];
    s.iter().rev().lt(ORDER.iter().rev())
}

/// Whether the y coordinate is below 2^255 - 19. Decompression reduces it modulo that prime. (Compression does not
/// write x = 0 with the sign bit set either; those two points have small order.)
fn is_canonical(bytes: &[u8; VERIFICATION_KEY_LEN]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || middle.iter().any(|byte| *byte != 0xff) || high & 0x7f != 0x7f
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({:02x?})", &self.as_bytes()[..4])
    }
}
