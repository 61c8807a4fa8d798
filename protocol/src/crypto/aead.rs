//! AES-256-GCM (NIST SP 800-38D) with keys that are used once.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};

use super::secret::{Secret, SecretBytes};
use super::{count, tap};
use crate::error::Error;

/// Bytes of a key and its nonce.
pub const KEY_LEN: usize = 32 + NONCE_LEN;
/// Bytes by which a ciphertext is longer than its plaintext.
pub const OVERHEAD: usize = 16;

const NONCE_LEN: usize = 12;

/// A key with its nonce, consumed by its only use.
pub struct OneTimeKey(Secret<KEY_LEN>);

impl OneTimeKey {
    /// Pseudorandom bytes: the key, then the nonce.
    #[must_use]
    pub fn new(bytes: Secret<KEY_LEN>) -> Self {
        Self(bytes)
    }

    /// Encrypts. The ciphertext is [`OVERHEAD`] bytes longer than the plaintext.
    ///
    /// # Errors
    /// [`Error::PlaintextTooLong`] if the plaintext is longer than 64 GiB.
    pub fn seal(self, plaintext: &[u8], associated: &[u8]) -> Result<Vec<u8>, Error> {
        count::record(|tally| tally.aead_bytes.add(plaintext.len() as u64));
        let (cipher, nonce) = self.cipher();
        cipher.encrypt(&nonce, Payload { msg: plaintext, aad: associated }).map_err(|_| Error::PlaintextTooLong)
    }

    /// Decrypts. The bytes are counted even if they are not authentic: a tag is computed over all of them.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`], whatever is wrong.
    pub fn open(self, ciphertext: &[u8], associated: &[u8]) -> Result<SecretBytes, Error> {
        count::record(|tally| tally.aead_bytes.add(ciphertext.len().saturating_sub(OVERHEAD) as u64));
        let (cipher, nonce) = self.cipher();
        let plaintext = cipher.decrypt(&nonce, Payload { msg: ciphertext, aad: associated });
        plaintext.map(SecretBytes::new).map_err(|_| Error::NotAuthentic)
    }

    fn cipher(&self) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
        let bytes = self.0.expose();
        tap::encrypts(bytes);
        let mut key = zeroize::Zeroizing::new([0; KEY_LEN - NONCE_LEN]);
        let mut nonce = [0; NONCE_LEN];
        key.copy_from_slice(&bytes[..KEY_LEN - NONCE_LEN]);
        nonce.copy_from_slice(&bytes[KEY_LEN - NONCE_LEN..]);
        (Aes256Gcm::new(<&Key<Aes256Gcm>>::from(&*key)), nonce.into())
    }
}
