//! Ed25519 (RFC 8032), verified by the rule of ZIP 215: S is canonical, R is a point in any encoding, and 8SB = 8R + 8kA.
//! Under this rule, signatures that are verified together get the verdict that each of them gets alone, so members agree
//! however their messages arrive. Public keys have one encoding, and none of small order, else they are not decoded.
//!
//! Verification stands here on the arithmetic of the curve. The library's own verifies alone without the factor 8 and together
//! with it. The crate `ed25519-zebra` has the same rule, but its batches are in random order and decode each key again; it
//! is the oracle of the tests.

use core::cell::RefCell;
use core::fmt;
use std::collections::HashSet;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::{IsIdentity as _, VartimeMultiscalarMul as _};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::Signer as _;
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha512};

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
/// What the hash of a batch begins with.
const BATCH_LABEL: &[u8] = b"dcgka-v1 batch of signatures";
/// A factor of a batch has 16 bytes, and a hash 64.
const FACTORS_PER_HASH: usize = 4;

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

    /// Checks a signature. Counts one verification, unless S is not canonical: that is refused before anything is computed.
    ///
    /// # Errors
    /// [`Error::NotAuthentic`] if it is not a signature of this message under this key.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), Error> {
        let s = scalar(signature).ok_or(Error::NotAuthentic)?;
        count::record(|tally| tally.verify.add(1));
        let holds = || Equation::new(self, message, signature, s).is_some_and(|equation| equation.holds());
        if remembered(self, message, signature, holds) { Ok(()) } else { Err(Error::NotAuthentic) }
    }
}

thread_local! {
    /// Hashes of signatures that are valid, while this thread [remembers](remembering) them.
    static VALID: RefCell<Option<HashSet<[u8; 64]>>> = const { RefCell::new(None) };
}

/// Does `work`, and computes nothing twice for a signature that is verified alone again in it. It is counted all the same.
/// Where many members of one program receive the same messages, and nobody asks what that costs, this saves most of the time.
pub fn remembering<T>(work: impl FnOnce() -> T) -> T {
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            VALID.set(None);
        }
    }
    VALID.set(Some(HashSet::new()));
    let _forget = Forget;
    work()
}

/// The verdict on a signature. Where it is remembered, it is not computed.
fn remembered(
    key: &VerificationKey,
    message: &[u8],
    Signature(signature): &Signature,
    holds: impl FnOnce() -> bool,
) -> bool {
    VALID.with_borrow_mut(|valid| {
        let Some(valid) = valid else { return holds() };
        let hash = Sha512::new().chain_update(key.as_bytes()).chain_update(signature).chain_update(message).finalize();
        valid.contains(&hash[..]) || holds() && valid.insert(hash.into())
    })
}

/// Whether each of these signatures is valid, checked together. Takes about half the time of checking one after the other.
/// `false` says that at least one is not, and not which. Counts one batch of this number of verifications, unless an S is not
/// canonical.
#[must_use]
pub fn verify_together(signed: &[(VerificationKey, &[u8], Signature)]) -> bool {
    let scalars = signed.iter().map(|(.., signature)| scalar(signature));
    let Some(scalars) = scalars.collect::<Option<Vec<_>>>() else { return false };
    count::record(|tally| {
        tally.verify_batches.add(1);
        tally.verify_batched.add(scalars.len() as u64);
    });
    let equations =
        signed.iter().zip(scalars).map(|((key, message, signature), s)| Equation::new(key, message, signature, s));
    equations.collect::<Option<Vec<_>>>().is_some_and(|equations| hold_together(&equations))
}

/// S of a signature, if it is canonical.
fn scalar(Signature(signature): &Signature) -> Option<Scalar> {
    let (_, s) = signature.split_last_chunk()?;
    Option::from(Scalar::from_canonical_bytes(*s))
}

/// What a valid signature fulfils: 8(SB - kA - R) is the identity.
struct Equation {
    s: Scalar,
    k: Scalar,
    a: EdwardsPoint,
    r: EdwardsPoint,
    /// R and S as they were received, and A.
    encoded: [[u8; SCALAR_LEN]; 3],
}

impl Equation {
    /// `None` if R is no point.
    fn new(key: &VerificationKey, message: &[u8], Signature(signature): &Signature, s: Scalar) -> Option<Self> {
        let (r, _) = signature.split_first_chunk()?;
        let point = CompressedEdwardsY(*r).decompress()?;
        let hash = Sha512::new().chain_update(r).chain_update(key.as_bytes()).chain_update(message).finalize();
        Some(Self {
            s,
            k: Scalar::from_bytes_mod_order_wide(&hash.into()),
            a: key.0.to_edwards(),
            r: point,
            encoded: [*r, s.to_bytes(), *key.as_bytes()],
        })
    }

    fn holds(&self) -> bool {
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&self.k, &-self.a, &self.s);
        (expected - self.r).mul_by_cofactor().is_identity()
    }
}

/// Whether a random combination of the equations holds. If one of them does not hold, the combination does with a probability
/// of 2^-128.
fn hold_together(equations: &[Equation]) -> bool {
    let (mut scalars, mut points) = (vec![Scalar::ZERO], vec![ED25519_BASEPOINT_POINT]);
    for (equation, factor) in equations.iter().zip(factors(equations)) {
        scalars[0] -= factor * equation.s;
        scalars.extend([factor, factor * equation.k]);
        points.extend([equation.r, equation.a]);
    }
    EdwardsPoint::vartime_multiscalar_mul(scalars, points).mul_by_cofactor().is_identity()
}

/// The factors of the combination. They are a hash of the whole batch: nobody knows them before all signatures are made, and
/// the work is the same each time.
fn factors(equations: &[Equation]) -> Vec<Scalar> {
    let mut hasher = Sha512::new_with_prefix(BATCH_LABEL);
    for equation in equations {
        equation.encoded.iter().for_each(|part| hasher.update(part));
        hasher.update(equation.k.as_bytes());
    }
    let seed = hasher.finalize();
    let block = |number: u64| Sha512::new_with_prefix(seed).chain_update(number.to_le_bytes()).finalize();
    let bytes: Vec<u8> = (0..equations.len().div_ceil(FACTORS_PER_HASH) as u64).flat_map(block).collect();
    let factors = bytes.as_chunks().0.iter().map(|factor| Scalar::from(u128::from_le_bytes(*factor)));
    factors.take(equations.len()).collect()
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

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn every_factor_of_a_batch_depends_on_every_part_of_every_signature() {
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        let signed = |index: u8| {
            let key = SigningKey::random(&mut rng);
            let signature = key.sign(&[index]);
            Equation::new(&key.verification_key(), &[index], &signature, scalar(&signature).unwrap()).unwrap()
        };
        let mut equations: Vec<Equation> = (0..9).map(signed).collect();
        let before = factors(&equations);
        let differ = |one: &[Scalar], other: &[Scalar]| one.iter().zip(other).all(|(one, other)| one != other);
        assert!((1..9).all(|shift| differ(&before[shift..], &before)), "no two are equal");
        for at in 0..9 {
            for part in 0..3 {
                equations[at].encoded[part][7] ^= 1;
                assert!(differ(&factors(&equations), &before), "part {part} of {at}");
                equations[at].encoded[part][7] ^= 1;
            }
            equations[at].k += Scalar::ONE;
            assert!(differ(&factors(&equations), &before), "the message of {at}");
            equations[at].k -= Scalar::ONE;
        }
        assert_eq!(factors(&equations), before);
    }
}
