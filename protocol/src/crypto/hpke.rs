//! HPKE (RFC 9180) in base mode, one message for each encapsulation: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! AES-128-GCM.

use ::hpke::aead::AesGcm128;
use ::hpke::kdf::HkdfSha256;
use ::hpke::kem::X25519HkdfSha256;
use ::hpke::{
    Deserializable, HpkeError, Kem as KemTrait, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use rand_core::CryptoRng;

use super::count;
use super::dh::{PrivateKey, PublicKey};
use super::secret::SecretBytes;
use crate::error::Error;

/// Bytes of an encapsulated key, which precedes the ciphertext.
pub const ENCAPSULATED_LEN: usize = 32;
/// Bytes by which the output of [`seal`] is longer than its plaintext.
pub const OVERHEAD: usize = ENCAPSULATED_LEN + 16;

/// Calls of HKDF in one encapsulation or decapsulation and its key schedule: extract and expand of the shared secret
/// (RFC 9180, section 4.1), extracts of the identity of the absent pre-shared key, of the info and of the secret, and
/// expands of key, nonce and exporter secret (section 5.1).
pub const OPEN_KDF_CALLS: u64 = 8;
/// [`OPEN_KDF_CALLS`], and extract and expand of the ephemeral key from randomness (section 7.1.3).
pub const SEAL_KDF_CALLS: u64 = OPEN_KDF_CALLS + 2;
/// Key generations in [`seal`]: the library computes the ephemeral public key twice.
pub const SEAL_KEYGENS: u64 = 2;

/// SealBase(pkR, info, aad, pt) of RFC 9180, section 6.1: enc ‖ ct.
///
/// Counts one DH, [`SEAL_KEYGENS`], [`SEAL_KDF_CALLS`] and the bytes; if it fails, what has been done until then.
///
/// # Errors
/// [`Error::NotAuthentic`] if the recipient's key has small order.
pub fn seal(
    recipient: &PublicKey,
    info: &[u8],
    associated: &[u8],
    plaintext: &[u8],
    mut rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Error> {
    let key = <X25519HkdfSha256 as KemTrait>::PublicKey::from_bytes(&recipient.0).map_err(|_| Error::NotAuthentic)?;
    let sealed = single_shot_seal_with_rng::<AesGcm128, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        info,
        plaintext,
        associated,
        &mut rng,
    );
    match sealed {
        // The ephemeral key has been made, and its public key once.
        Err(HpkeError::EncapError) => record(1, SEAL_KDF_CALLS - OPEN_KDF_CALLS, 0),
        _ => record(SEAL_KEYGENS, SEAL_KDF_CALLS, plaintext.len()),
    }
    let (encapsulated, ciphertext) = sealed.map_err(|_| Error::NotAuthentic)?;
    let mut out = Vec::with_capacity(plaintext.len() + OVERHEAD);
    out.extend_from_slice(&encapsulated.to_bytes());
    out.extend_from_slice(&ciphertext);
    Ok(out)
}

/// OpenBase(enc, skR, info, aad, ct) of RFC 9180, section 6.1, for the output of [`seal`].
///
/// Counts one DH, one key generation (decapsulation computes the recipient's public key), [`OPEN_KDF_CALLS`] and the
/// bytes. If the encapsulated key has small order, there is only the DH.
///
/// # Errors
/// [`Error::NotAuthentic`], whatever is wrong.
pub fn open(recipient: &PrivateKey, info: &[u8], associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, Error> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED_LEN).ok_or(Error::NotAuthentic)?;
    type Kem = X25519HkdfSha256;
    let key = <Kem as KemTrait>::PrivateKey::from_bytes(recipient.0.expose()).map_err(|_| Error::NotAuthentic)?;
    let encapsulated = <Kem as KemTrait>::EncappedKey::from_bytes(encapsulated).map_err(|_| Error::NotAuthentic)?;
    let mode = OpModeR::Base;
    let opened =
        single_shot_open::<AesGcm128, HkdfSha256, Kem>(&mode, &key, &encapsulated, info, ciphertext, associated);
    match opened {
        Err(HpkeError::DecapError) => record(0, 0, 0),
        _ => record(1, OPEN_KDF_CALLS, sealed.len().saturating_sub(OVERHEAD)),
    }
    opened.map(SecretBytes::new).map_err(|_| Error::NotAuthentic)
}

fn record(keygens: u64, kdf_calls: u64, plaintext_len: usize) {
    count::record(|tally| {
        tally.dh.add(1);
        tally.keygen.add(keygens);
        tally.kdf.add(kdf_calls);
        tally.aead_bytes.add(plaintext_len as u64);
    });
}
