//! Bytes that must not leak.

use core::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a symmetric secret: keys of HKDF, seeds, chain keys.
pub const SECRET_LEN: usize = 32;

/// A secret of `N` bytes: zeroized on drop, compared in constant time, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize = SECRET_LEN>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes over the bytes. The caller must erase its own copy.
    #[must_use]
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Fresh random bytes.
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut secret = Self([0; N]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// The bytes, for a primitive or an export.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(super) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> ConstantTimeEq for Secret<N> {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// Plaintext that holds secrets: zeroized on drop, never printed or compared.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes over the bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Empty, with room for `len` bytes: a buffer that had to grow would leave copies behind.
    #[must_use]
    pub fn with_capacity(len: usize) -> Self {
        Self(Vec::with_capacity(len))
    }

    /// Appends bytes, for which there must be room.
    pub fn put(&mut self, bytes: &[u8]) {
        debug_assert!(self.0.len() + bytes.len() <= self.0.capacity(), "a secret would be copied");
        self.0.extend_from_slice(bytes);
    }

    /// The plaintext, for decoding.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

// The keys of the libraries must erase themselves too.
const _: () = {
    assert!(core::mem::needs_drop::<Secret>());
    assert!(core::mem::needs_drop::<x25519_dalek::StaticSecret>());
    assert!(core::mem::needs_drop::<x25519_dalek::SharedSecret>());
    assert!(core::mem::needs_drop::<ed25519_dalek::SigningKey>());
    assert!(core::mem::needs_drop::<aes_gcm::Aes128Gcm>());
    assert!(core::mem::needs_drop::<aes_gcm::Aes256Gcm>());
    assert!(core::mem::needs_drop::<hkdf::Hkdf<sha2::Sha256>>());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_byte() {
        assert_eq!(format!("{:?}", Secret::new([0xab; 32])), "Secret<32>(..)");
    }
}
