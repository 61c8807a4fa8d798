//! Each wrapper counts exactly what its documentation says.

use protocol::crypto::aead::{KEY_LEN, OneTimeKey};
use protocol::crypto::count::{Counts, snapshot};
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hash::{blocks_of, hash};
use protocol::crypto::label::MESSAGE;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{Signature, SigningKey, VerificationKey};
use protocol::crypto::{hpke, kdf};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

const NOTHING: Counts = Counts::NOTHING;

/// The result of a call, and its primitive counts.
fn counted<T>(call: impl FnOnce() -> T) -> (T, Counts) {
    let before = snapshot();
    let result = call();
    (result, snapshot() - before)
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([2; 32])
}

#[test]
fn key_agreement() {
    let (key, counts) = counted(|| PrivateKey::random(&mut rng()));
    assert_eq!(counts, NOTHING);
    let (_, counts) = counted(|| PrivateKey::from_secret(key.clone().as_secret().clone()));
    assert_eq!(counts, NOTHING);
    let (public, counts) = counted(|| key.public_key());
    assert_eq!(counts, Counts { keygen: 1, ..NOTHING });
    let (agreed, counts) = counted(|| key.agree(&public));
    assert!(agreed.is_ok());
    assert_eq!(counts, Counts { dh: 1, ..NOTHING });
    // The multiplication is done before the refusal.
    let (agreed, counts) = counted(|| key.agree(&PublicKey([0; 32])));
    assert!(agreed.is_err());
    assert_eq!(counts, Counts { dh: 1, ..NOTHING });
}

#[test]
fn signatures() {
    let (key, counts) = counted(|| SigningKey::random(&mut rng()));
    assert_eq!(counts, Counts { sign_keygen: 1, ..NOTHING });
    let (secret, counts) = counted(|| key.clone().to_secret());
    assert_eq!(counts, NOTHING);
    let (_, counts) = counted(|| SigningKey::from_secret(&secret));
    assert_eq!(counts, Counts { sign_keygen: 1, ..NOTHING });
    let (public, counts) = counted(|| key.verification_key());
    assert_eq!(counts, NOTHING);
    let (decoded, counts) = counted(|| VerificationKey::from_bytes(public.as_bytes()));
    assert!(decoded.is_ok());
    assert_eq!(counts, Counts { points: 1, ..NOTHING });
    let (decoded, counts) = counted(|| VerificationKey::from_bytes(&[0; 32]));
    assert!(decoded.is_err());
    assert_eq!(counts, Counts { points: 1, ..NOTHING });
    let (signature, counts) = counted(|| key.sign(b"message"));
    assert_eq!(counts, Counts { sign: 1, ..NOTHING });
    for (signature, valid) in [(signature, true), (Signature([0; 64]), false)] {
        let (verified, counts) = counted(|| public.verify(b"message", &signature));
        assert_eq!(verified.is_ok(), valid);
        assert_eq!(counts, Counts { verify: 1, ..NOTHING });
    }
}

/// A signature whose S is the order of the group, or more, is refused before anything is computed.
#[test]
fn a_signature_that_is_refused_at_once_counts_nothing() {
    let order: [u8; 32] = std::array::from_fn(|at| match at {
        0..16 => 0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes()[at],
        31 => 0x10,
        _ => 0,
    });
    let (mut below, mut above) = (order, order);
    below[0] -= 1;
    above[16] += 1;
    let public = SigningKey::random(&mut rng()).verification_key();
    for (s, verify) in [(below, 1), ([0; 32], 1), (order, 0), (above, 0), ([0xff; 32], 0)] {
        let mut bytes = [0; 64];
        bytes[32..].copy_from_slice(&s);
        let (verified, counts) = counted(|| public.verify(b"message", &Signature(bytes)));
        assert!(verified.is_err());
        assert_eq!(counts, Counts { verify, ..NOTHING }, "{s:?}");
    }
}

#[test]
fn encryption() {
    let key = || OneTimeKey::new(Secret::new([3; KEY_LEN]));
    for length in [0, 1, 16, 1000] {
        let (sealed, counts) = counted(|| key().seal(&vec![0; length], b"associated data is not counted").unwrap());
        assert_eq!(counts, Counts { aead_bytes: length as u64, ..NOTHING });
        let (opened, counts) = counted(|| key().open(&sealed, b"associated data is not counted"));
        assert_eq!(opened.unwrap().expose().len(), length);
        assert_eq!(counts, Counts { aead_bytes: length as u64, ..NOTHING });
        let (opened, counts) = counted(|| key().open(&sealed, b"other"));
        assert!(opened.is_err());
        assert_eq!(counts, Counts { aead_bytes: length as u64, ..NOTHING });
    }
    // Shorter than a tag.
    let (opened, counts) = counted(|| key().open(&[0; 15], b""));
    assert!(opened.is_err());
    assert_eq!(counts, NOTHING);
}

#[test]
fn hybrid_encryption() {
    let mut rng = rng();
    let key = PrivateKey::random(&mut rng);
    let public = key.public_key();
    for length in [0, 1, 16, 1000] {
        let expected = Counts { dh: 1, keygen: 1, kdf: hpke::KDF_CALLS, aead_bytes: length as u64, ..NOTHING };
        let (sealed, counts) = counted(|| hpke::seal(&public, b"info", b"", &vec![0; length], &mut rng).unwrap());
        assert_eq!(counts, expected);
        let (opened, counts) = counted(|| hpke::open(&key, b"info", b"", &sealed));
        assert_eq!(opened.unwrap().expose().len(), length);
        assert_eq!(counts, expected);
        let (opened, counts) = counted(|| hpke::open(&key, b"other", b"", &sealed));
        assert!(opened.is_err());
        assert_eq!(counts, expected);
    }
    // Shorter than an encapsulated key: nothing is computed.
    let (opened, counts) = counted(|| hpke::open(&key, b"info", b"", &[0; hpke::ENCAPSULATED_LEN - 1]));
    assert!(opened.is_err());
    assert_eq!(counts, NOTHING);
    // Shorter than a tag: the key schedule is computed before the refusal.
    let (opened, counts) = counted(|| hpke::open(&key, b"info", b"", &[9; hpke::OVERHEAD - 1]));
    assert!(opened.is_err());
    assert_eq!(counts, Counts { dh: 1, keygen: 1, kdf: hpke::KDF_CALLS, ..NOTHING });
    // With a key of small order, nothing follows the key agreement, however long the message.
    let (opened, counts) = counted(|| hpke::open(&key, b"info", b"", &[0; 1000]));
    assert!(opened.is_err());
    assert_eq!(counts, Counts { dh: 1, ..NOTHING });
    let (sealed, counts) = counted(|| hpke::seal(&PublicKey([0; 32]), b"info", b"", &[0; 1000], &mut rng));
    assert!(sealed.is_err());
    assert_eq!(counts, Counts { dh: 1, ..NOTHING });
    // Extract and expand of the shared secret; two extracts and two expands of the key schedule.
    assert_eq!(hpke::KDF_CALLS, 2 + 2 + 2);
}

#[test]
fn derivations() {
    let (extracted, counts) = counted(|| kdf::Extracted::new(b"salt", b"key material"));
    assert_eq!(counts, Counts { kdf: 1, ..NOTHING });
    // Calls, not blocks of output.
    let (_, counts) = counted(|| extracted.expand::<32>(MESSAGE, b""));
    assert_eq!(counts, Counts { kdf: 1, ..NOTHING });
    let (both, counts) = counted(|| extracted.expand::<64>(MESSAGE, b""));
    assert_eq!(counts, Counts { kdf: 1, ..NOTHING });
    let (_, counts) = counted(|| kdf::split::<32, 32, 64>(&both));
    assert_eq!(counts, NOTHING);
    let (_, counts) = counted(|| kdf::derive::<32>(MESSAGE, b"salt", b"key material", b""));
    assert_eq!(counts, Counts { kdf: 2, ..NOTHING });
}

/// That blocks are compressions is in rfc.rs.
#[test]
fn hashes() {
    for length in [0, 1, 64, 1000] {
        let (digest, counts) = counted(|| hash(MESSAGE, &[&vec![0; length]]));
        assert_eq!(counts, Counts { hash_blocks: blocks_of(MESSAGE, &[length]), ..NOTHING });
        let (_, counts) = counted(|| digest.matches(&digest));
        assert_eq!(counts, NOTHING);
        let (_, counts) = counted(|| blocks_of(MESSAGE, &[length]));
        assert_eq!(counts, NOTHING);
    }
}

#[test]
fn threads_count_for_themselves() {
    let ((), here) = counted(|| {
        let there = std::thread::spawn(|| {
            assert_eq!(blocks_of(MESSAGE, &[]), 1);
            let _ = hash(MESSAGE, &[]);
            snapshot()
        });
        assert_eq!(there.join().unwrap(), Counts { hash_blocks: 1, ..NOTHING });
    });
    assert_eq!(here, NOTHING);
}

#[test]
fn arithmetic_and_names() {
    let counts = Counts {
        dh: 1,
        keygen: 2,
        sign: 3,
        sign_keygen: 4,
        verify: 5,
        verify_batched: 14,
        verify_batches: 15,
        aead_bytes: 6,
        hash_blocks: 7,
        kdf: 8,
        ristretto_mul: 9,
        ristretto_base: 10,
        ristretto_coding: 11,
        points: 12,
        envelopes: 13,
    };
    assert_eq!(counts + counts, 2 * counts);
    assert_eq!(3 * counts - counts, 2 * counts);
    assert_eq!(counts - counts, NOTHING);
    assert_eq!(Counts::default(), NOTHING);
    let mut sum = counts;
    sum += counts;
    assert_eq!((sum.points, sum.envelopes), (24, 26));
    assert_eq!(sum.named().map(|(_, value)| value), [2, 4, 6, 8, 10, 28, 30, 12, 14, 16, 18, 20, 22]);
    let names = [
        "op.dh",
        "op.keygen",
        "op.sign",
        "op.sign_keygen",
        "op.verify",
        "op.verify_batched",
        "op.verify_batches",
        "op.aead_bytes",
        "op.hash_blocks",
        "op.kdf",
        "op.ristretto_mul",
        "op.ristretto_base",
        "op.ristretto_coding",
    ];
    assert_eq!(counts.named().map(|(name, _)| name), names);
    assert_eq!((counts.verified(), counts.one_by_one().verify), (19, 19));
    assert_eq!(counts.one_by_one(), Counts { verify: 19, verify_batched: 0, verify_batches: 0, ..counts });
}
