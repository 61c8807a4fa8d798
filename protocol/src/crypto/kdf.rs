//! HKDF-SHA-256 (RFC 5869), and HMAC-SHA-256 (RFC 2104), on which it is built.

use hkdf::hmac::{Hmac, KeyInit as _, Mac as _};
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::label::Label;
use super::secret::Secret;
use super::{count, tap};

/// Bytes of a block of SHA-256, to which HMAC pads its key.
const BLOCK_LEN: usize = 64;

/// Derives `N` bytes: extract with `salt` and `key_material`, then expand with the label and `context`, which must have
/// a fixed length for each label. Counts 2.
#[must_use]
pub fn derive<const N: usize>(label: Label, salt: &[u8], key_material: &[u8], context: &[u8]) -> Secret<N> {
    Extracted::new(salt, key_material).expand(label, context)
}

/// A pseudorandom key from which several secrets are expanded.
pub struct Extracted {
    hkdf: Hkdf<Sha256>,
    inputs: tap::Inputs,
}

impl Extracted {
    /// HKDF-Extract (RFC 5869, section 2.2). Counts 1.
    #[must_use]
    pub fn new(salt: &[u8], key_material: &[u8]) -> Self {
        Self::of_parts(salt, &[key_material])
    }

    /// The same for key material in parts, of which only the last one is secret. Counts 1.
    pub(super) fn of_parts(salt: &[u8], parts: &[&[u8]]) -> Self {
        let (hkdf, _) = extract_parts(salt, parts);
        let secret = parts.last().copied().unwrap_or_default();
        Self { hkdf, inputs: tap::takes(&[salt, secret]) }
    }

    /// HKDF-Expand (RFC 5869, section 2.3). The info string is the length of the label (one byte) ‖ label ‖ context.
    /// Counts 1.
    #[must_use]
    pub fn expand<const N: usize>(&self, label: Label, context: &[u8]) -> Secret<N> {
        let prefix = [u8::try_from(label.len()).unwrap_or(u8::MAX)];
        self.expand_parts(&[&prefix, label, context])
    }

    /// The same for an info string in parts. Counts 1.
    pub(super) fn expand_parts<const N: usize>(&self, info: &[&[u8]]) -> Secret<N> {
        // No bytes would cost nothing, and be counted.
        const { assert!(N > 0 && N <= 255 * super::hash::DIGEST_LEN) };
        count::record(|tally| tally.kdf.add(1));
        let mut out = Secret::new([0; N]);
        // Fails only for outputs over 255 hashes, which the assertion above excludes.
        let expanded = self.hkdf.expand_multi_info(info, out.expose_mut());
        debug_assert!(expanded.is_ok());
        tap::gives(self.inputs, out.expose());
        out
    }
}

/// HKDF-Extract (RFC 5869, section 2.2) of public bytes in parts. Counts 1.
pub(super) fn extract_public(salt: &[u8], parts: &[&[u8]]) -> [u8; super::hash::DIGEST_LEN] {
    *extract_parts(salt, parts).1.expose()
}

fn extract_parts(salt: &[u8], parts: &[&[u8]]) -> (Hkdf<Sha256>, Secret) {
    count::record(|tally| tally.kdf.add(1));
    let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
    parts.iter().for_each(|part| extract.input_ikm(part));
    let (mut key, hkdf) = extract.finalize();
    let mut out = Secret::new([0; super::hash::DIGEST_LEN]);
    out.expose_mut().copy_from_slice(&key);
    key.zeroize();
    (hkdf, out)
}

/// HMAC-SHA-256 of `data`, for ratchets whose specification requires it. Counts 1, like each half of HKDF.
#[must_use]
pub fn hmac(key: &Secret, data: &[u8]) -> Secret {
    count::record(|tally| tally.kdf.add(1));
    // HKDF-Extract is HMAC too, but also prepares the expansion.
    let mut padded = Zeroizing::new([0; BLOCK_LEN]);
    padded[..super::hash::DIGEST_LEN].copy_from_slice(key.expose());
    let mut mac = Hmac::<Sha256>::new((&*padded).into());
    mac.update(data);
    let mut tag = mac.finalize().into_bytes();
    let mut out = Secret::new([0; super::hash::DIGEST_LEN]);
    out.expose_mut().copy_from_slice(&tag);
    tag.zeroize();
    tap::gives(tap::takes(&[key.expose()]), out.expose());
    out
}

/// HKDF as in the RFC, without our labels, for tests against known answers. Returns whether the length of `out` is
/// allowed.
#[must_use]
pub fn hkdf_sha256(salt: &[u8], key_material: &[u8], info: &[u8], out: &mut [u8]) -> bool {
    Hkdf::<Sha256>::new(Some(salt), key_material).expand(info, out).is_ok()
}

/// Splits a secret into its first `A` bytes and the other `B`.
#[must_use]
pub fn split<const A: usize, const B: usize, const N: usize>(both: &Secret<N>) -> (Secret<A>, Secret<B>) {
    const { assert!(A + B == N) };
    let (left, right) = both.expose().split_at(A);
    let mut parts = (Secret::new([0; A]), Secret::new([0; B]));
    parts.0.expose_mut().copy_from_slice(left);
    parts.1.expose_mut().copy_from_slice(right);
    parts
}
