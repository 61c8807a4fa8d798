//! SHA-256 (FIPS 180-4) over a label and length-prefixed parts.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::count;
use super::label::Label;

/// Bytes of a [`Digest`].
pub const DIGEST_LEN: usize = 32;

/// A hash, or public random bytes of the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; DIGEST_LEN]);

impl Digest {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_LEN] {
        &self.0
    }

    /// Comparison in constant time, for hashes of secrets.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// H(label ‖ part ‖ part ...), each preceded by its length (8 bytes, big endian), so that no two lists of parts give
/// the same bytes.
#[must_use]
pub fn hash(label: Label, parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    let mut length = 0;
    for part in core::iter::once(&label).chain(parts) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
        length += PREFIX_LEN + part.len();
    }
    count::record(|tally| tally.hash_blocks.add(blocks(length)));
    Digest(hasher.finalize().into())
}

/// Compressions of [`hash`] over a label and parts of these lengths.
#[must_use]
pub fn blocks_of(label: Label, parts: &[usize]) -> u64 {
    blocks(PREFIX_LEN + label.len() + parts.iter().map(|part| PREFIX_LEN + part).sum::<usize>())
}

const PREFIX_LEN: usize = 8;

/// Padding adds one byte and the length in eight bytes; a block has 64 bytes.
fn blocks(length: usize) -> u64 {
    (length as u64 + 9).div_ceil(64)
}
