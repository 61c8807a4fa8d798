//! HKDF-SHA-256 (RFC 5869), and HMAC-SHA-256 (RFC 2104), on which it is built.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize as _;

use super::label::Label;
use super::secret::Secret;
use super::{count, tap};

/// Derives `N` bytes: extract with `salt` and `key_material`, then expand with the label and `context`, which must have
/// a fixed length for each label. Counts 2.
#[must_use]
pub fn derive<const N: usize>(label: Label, salt: &[u8], key_material: &[u8], context: &[u8]) -> Secret<N> {
    Extracted::new(salt, key_material).expand(label, context)
}

/// A pseudorandom key from which several secrets are expanded.
pub struct Extracted(Hkdf<Sha256>, tap::Inputs);

impl Extracted {
    /// HKDF-Extract (RFC 5869, section 2.2). Counts 1.
    #[must_use]
    pub fn new(salt: &[u8], key_material: &[u8]) -> Self {
        count::record(|tally| tally.kdf.add(1));
        Self(Hkdf::new(Some(salt), key_material), tap::takes(&[salt, key_material]))
    }

    /// HKDF-Expand (RFC 5869, section 2.3). The info string is the length of the label (one byte) ‖ label ‖ context.
    /// Counts 1.
    #[must_use]
    pub fn expand<const N: usize>(&self, label: Label, context: &[u8]) -> Secret<N> {
        // No bytes would cost nothing, and be counted.
        const { assert!(N > 0 && N <= 255 * super::hash::DIGEST_LEN) };
        count::record(|tally| tally.kdf.add(1));
        let mut out = Secret::new([0; N]);
        let prefix = [u8::try_from(label.len()).unwrap_or(u8::MAX)];
        // Fails only for outputs over 255 hashes, which the assertion above excludes.
        let expanded = self.0.expand_multi_info(&[&prefix, label, context], out.expose_mut());
        debug_assert!(expanded.is_ok());
        tap::gives(self.1, out.expose());
        out
    }
}

/// HMAC-SHA-256 of `data`, for ratchets whose specification requires it. Counts 1, like each half of HKDF.
#[must_use]
pub fn hmac(key: &Secret, data: &[u8]) -> Secret {
    count::record(|tally| tally.kdf.add(1));
    // HKDF-Extract is HMAC with the salt as the key (RFC 5869, section 2.2).
    let (mut tag, _) = Hkdf::<Sha256>::extract(Some(key.expose()), data);
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

/// Splits a secret of twice the standard length into its halves.
#[must_use]
pub fn split(both: &Secret<64>) -> (Secret, Secret) {
    let (left, right) = both.expose().split_at(32);
    let mut halves = (Secret::new([0; 32]), Secret::new([0; 32]));
    halves.0.expose_mut().copy_from_slice(left);
    halves.1.expose_mut().copy_from_slice(right);
    halves
}
