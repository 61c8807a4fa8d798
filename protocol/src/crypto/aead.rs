//! AES-GCM (NIST SP 800-38D) with keys that are used once.

use core::marker::PhantomData;

use aes_gcm::aead::{Aead, AeadCore, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce};

use super::secret::{Secret, SecretBytes};
use super::{count, tap};
use crate::error::Error;

/// Bytes of a key and its nonce.
pub const KEY_LEN: usize = 32 + NONCE_LEN;
/// Bytes of a key of AES-128 and its nonce.
pub const KEY_128_LEN: usize = 16 + NONCE_LEN;
/// Bytes by which a ciphertext is longer than its plaintext.
pub const OVERHEAD: usize = 16;

pub(super) const NONCE_LEN: usize = 12;

type NonceSize = aes_gcm::aead::consts::U12;

/// A key with its nonce, `N` bytes together, consumed by its only use.
pub struct OneTime<Cipher, const N: usize>(Secret<N>, PhantomData<Cipher>);

/// A key of AES-256 with its nonce.
pub type OneTimeKey = OneTime<Aes256Gcm, KEY_LEN>;
/// A key of AES-128 with its nonce.
pub type OneTimeKey128 = OneTime<Aes128Gcm, KEY_128_LEN>;

impl<Cipher: Aead + AeadCore<NonceSize = NonceSize> + KeyInit, const N: usize> OneTime<Cipher, N> {
    /// Pseudorandom bytes: the key, then the nonce.
    #[must_use]
    pub fn new(bytes: Secret<N>) -> Self {
        Self(bytes, PhantomData)
    }

    /// Encrypts. The ciphertext is [`OVERHEAD`] bytes longer than the plaintext.
    ///
    /// # Errors
    /// [`Error::PlaintextTooLong`] if the plaintext is longer than 64 GiB.
    pub fn seal(self, plaintext: &[u8], associated: &[u8]) -> Result<Vec<u8>, Error> {
        count::record(|tally| tally.aead_bytes.add(plaintext.len() as u64));
        let (cipher, nonce) = self.cipher()?;
        tap::carries(self.0.expose(), plaintext);
        cipher.encrypt(&nonce, Payload { msg: plaintext, aad: associated }).map_err(|_| Error::PlaintextTooLong)
    }

    /// Decrypts. The bytes are counted even if they are not authentic: a tag is computed over all of them.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`], whatever is wrong.
    pub fn open(self, ciphertext: &[u8], associated: &[u8]) -> Result<SecretBytes, Error> {
        count::record(|tally| tally.aead_bytes.add(ciphertext.len().saturating_sub(OVERHEAD) as u64));
        let (cipher, nonce) = self.cipher()?;
        let plaintext = cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: associated });
        let plaintext = plaintext.map(SecretBytes::new).map_err(|_| Error::NotAuthentic)?;
        tap::carries(self.0.expose(), plaintext.expose());
        Ok(plaintext)
    }

    /// Fails only if `N` is not the length of such a key with its nonce, which no type above allows.
    fn cipher(&self) -> Result<(Cipher, Nonce<NonceSize>), Error> {
        tap::encrypts(self.0.expose());
        let (key, nonce) = self.0.expose().split_last_chunk::<NONCE_LEN>().ok_or(Error::Internal)?;
        Ok((Cipher::new_from_slice(key).map_err(|_| Error::Internal)?, (*nonce).into()))
    }
}
