//! HPKE (RFC 9180) in base mode, one message for each encapsulation: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! AES-128-GCM.
//!
//! A library that computes the ephemeral public key twice, or an exporter secret that nobody uses, would make each
//! two-party ciphertext more expensive than its protocol is. This is on the counted primitives, and costs what the RFC asks for.

use rand_core::CryptoRng;

use super::aead::{self, KEY_128_LEN, NONCE_LEN, OneTimeKey128};
use super::dh::{PUBLIC_KEY_LEN, PrivateKey, PublicKey};
use super::hash::DIGEST_LEN;
use super::kdf::{self, Extracted};
use super::secret::{Secret, SecretBytes};
use crate::error::Error;

/// Bytes of an encapsulated key, which precedes the ciphertext.
pub const ENCAPSULATED_LEN: usize = PUBLIC_KEY_LEN;
/// Bytes by which the output of [`seal`] is longer than its plaintext.
pub const OVERHEAD: usize = ENCAPSULATED_LEN + aead::OVERHEAD;

/// Calls of HKDF in [`seal`] or [`open`]: extract and expand of the shared secret (section 4.1), extracts of the info and
/// of the secret, and expands of key and nonce (section 5.1).
pub const KDF_CALLS: u64 = 6;

const VERSION: &[u8] = b"HPKE-v1";
/// DHKEM(X25519, HKDF-SHA256) (section 4.1).
const KEM: &[u8] = b"KEM\x00\x20";
/// That, HKDF-SHA256 and AES-128-GCM (section 5.1).
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x01";
const BASE: u8 = 0;
/// LabeledExtract("", "psk_id_hash", "") (section 5.1), which is the same for each message in base mode.
const NO_PSK_ID_HASH: [u8; DIGEST_LEN] = [
    0x72, 0x56, 0x11, 0xc9, 0xd9, 0x8c, 0x07, 0xc0, 0x3f, 0x60, 0x09, 0x5c, 0xd3, 0x2d, 0x40, 0x0d, 0x83, 0x47, 0xd4,
    0x5e, 0xd6, 0x70, 0x97, 0xbb, 0xad, 0x50, 0xfc, 0x56, 0xda, 0x74, 0x2d, 0x07,
];
const AES_128_KEY_LEN: usize = KEY_128_LEN - NONCE_LEN;

/// SealBase(pkR, info, aad, pt) of section 6.1: enc ‖ ct. The ephemeral private key is what `rng` gives.
///
/// Counts one DH, one key generation, [`KDF_CALLS`] and the bytes; if it fails, the DH alone.
///
/// # Errors
/// [`Error::NotAuthentic`] if the recipient's key has small order.
pub fn seal(
    recipient: &PublicKey,
    info: &[u8],
    associated: &[u8],
    plaintext: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let ephemeral = PrivateKey::random(rng);
    let agreed = ephemeral.agree(recipient)?;
    let encapsulated = ephemeral.public_key();
    let ciphertext = key(&agreed, &encapsulated, recipient, info).seal(plaintext, associated)?;
    Ok([&encapsulated.0[..], &ciphertext].concat())
}

/// OpenBase(enc, skR, info, aad, ct) of section 6.1, for the output of [`seal`].
///
/// Counts one DH, one key generation (the recipient's public key is computed), [`KDF_CALLS`] and the bytes. If the
/// encapsulated key has small order, there is only the DH.
///
/// # Errors
/// [`Error::NotAuthentic`], whatever is wrong.
pub fn open(recipient: &PrivateKey, info: &[u8], associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, Error> {
    let (encapsulated, ciphertext) = sealed.split_first_chunk().ok_or(Error::NotAuthentic)?;
    let encapsulated = PublicKey(*encapsulated);
    let agreed = recipient.agree(&encapsulated)?;
    key(&agreed, &encapsulated, &recipient.public_key(), info).open(ciphertext, associated)
}

/// ExtractAndExpand of section 4.1, and KeySchedule of section 5.1 in base mode, for the first message.
fn key(agreed: &Secret, encapsulated: &PublicKey, recipient: &PublicKey, info: &[u8]) -> OneTimeKey128 {
    let extracted = labeled_extract(&[], KEM, b"eae_prk", agreed.expose());
    let shared: Secret = labeled_expand(&extracted, KEM, b"shared_secret", &[&encapsulated.0, &recipient.0]);
    let info_hash = kdf::extract_public(&[], &[VERSION, SUITE, b"info_hash", info]);
    let context: &[&[u8]] = &[&[BASE], &NO_PSK_ID_HASH, &info_hash];
    let secret = labeled_extract(shared.expose(), SUITE, b"secret", &[]);
    let key: Secret<AES_128_KEY_LEN> = labeled_expand(&secret, SUITE, b"key", context);
    let nonce: Secret<NONCE_LEN> = labeled_expand(&secret, SUITE, b"base_nonce", context);
    let mut both = Secret::new([0; KEY_128_LEN]);
    both.expose_mut()[..AES_128_KEY_LEN].copy_from_slice(key.expose());
    both.expose_mut()[AES_128_KEY_LEN..].copy_from_slice(nonce.expose());
    OneTimeKey128::new(both)
}

/// Section 4.
fn labeled_extract(salt: &[u8], suite: &[u8], label: &[u8], key_material: &[u8]) -> Extracted {
    Extracted::of_parts(salt, &[VERSION, suite, label, key_material])
}

/// Section 4.
fn labeled_expand<const N: usize>(extracted: &Extracted, suite: &[u8], label: &[u8], info: &[&[u8]]) -> Secret<N> {
    let length = (N as u16).to_be_bytes();
    extracted.expand_parts(&[&[&length[..], VERSION, suite, label], info].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_no_pre_shared_key_is_what_the_rfc_computes() {
        assert_eq!(kdf::extract_public(&[], &[VERSION, SUITE, b"psk_id_hash"]), NO_PSK_ID_HASH);
    }
}
