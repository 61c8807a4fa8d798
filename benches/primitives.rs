//! One call of each primitive, as wrapped by `protocol::crypto`. For developers only: recorded figures come from the
//! harness.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::crypto::aead::{self, OneTimeKey};
use protocol::crypto::dh::PrivateKey;
use protocol::crypto::label::MESSAGE;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, verify_together};
use protocol::crypto::{hash, hpke, kdf, ristretto};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// The length of a message's application data, in bytes, as in the paper.
const PLAINTEXT_LEN: usize = 32;
/// About the length of an acknowledgement, in bytes: most signed messages are acknowledgements.
const SIGNED_LEN: usize = 200;
/// The length of the plaintext of a two-party ciphertext, in bytes: three keys and an index.
const PAYLOAD_LEN: usize = 100;
/// The recipients of an update of 128 members.
const TOGETHER: usize = 127;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn key_agreement(criterion: &mut Criterion) {
    let mut rng = rng();
    let (own, peer) = (PrivateKey::random(&mut rng), PrivateKey::random(&mut rng).public_key());
    let mut group = criterion.benchmark_group("x25519");
    group.bench_function("dh", |bencher| bencher.iter(|| black_box(&own).agree(black_box(&peer)).unwrap()));
    group.bench_function("keygen", |bencher| bencher.iter(|| PrivateKey::random(&mut rng).public_key()));
    group.finish();
}

fn ristretto255(criterion: &mut Criterion) {
    let mut rng = rng();
    let own = ristretto::PrivateKey::random(&mut rng);
    let peer = ristretto::PrivateKey::random(&mut rng).public_key();
    let (peers, encoded) = ([peer; TOGETHER], peer.to_bytes());
    let mut group = criterion.benchmark_group("ristretto255");
    group.bench_function("agree", |bencher| bencher.iter(|| black_box(&own).agree(black_box(&peer))));
    group
        .bench_function("agree with 127", |bencher| bencher.iter(|| black_box(&own).agree_with_all(black_box(&peers))));
    group.bench_function("public key", |bencher| bencher.iter(|| black_box(&own).public_key()));
    group.bench_function("encode", |bencher| bencher.iter(|| black_box(&peer).to_bytes()));
    group.bench_function("decode", |bencher| bencher.iter(|| ristretto::PublicKey::from_bytes(black_box(&encoded))));
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let mut rng = rng();
    let (key, message) = (SigningKey::random(&mut rng), [0x5a; SIGNED_LEN]);
    let (signature, verification) = (key.sign(&message), key.verification_key());
    let mut group = criterion.benchmark_group("ed25519");
    group.bench_function("keygen", |bencher| bencher.iter(|| SigningKey::random(&mut rng)));
    group.bench_function("sign", |bencher| bencher.iter(|| key.sign(black_box(&message))));
    group.bench_function("verify", |bencher| {
        bencher.iter(|| verification.verify(black_box(&message), black_box(&signature)).unwrap());
    });
    let keys: Vec<_> = (0..128).map(|_| SigningKey::random(&mut rng)).collect();
    let batch: Vec<_> = keys.iter().map(|key| (key.verification_key(), &message[..], key.sign(&message))).collect();
    for size in [2, 8, 32, 128] {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("verify together/{size}"), |bencher| {
            bencher.iter(|| assert!(verify_together(black_box(&batch[..size]))));
        });
    }
    group.finish();
}

fn symmetric(criterion: &mut Criterion) {
    let secret = Secret::<32>::random(&mut rng());
    let key = || OneTimeKey::new(Secret::new([0x5a; aead::KEY_LEN]));
    let plaintext = [0x5a; PLAINTEXT_LEN];
    let sealed = key().seal(&plaintext, &[]).unwrap();
    let mut group = criterion.benchmark_group("aes-256-gcm");
    group.bench_function("seal", |bencher| bencher.iter(|| key().seal(black_box(&plaintext), &[]).unwrap()));
    group.bench_function("open", |bencher| bencher.iter(|| key().open(black_box(&sealed), &[]).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("sha256");
    let message = [0x5a; SIGNED_LEN];
    group.bench_function("hash", |bencher| bencher.iter(|| hash::hash(MESSAGE, &[black_box(&message)])));
    group.bench_function("kdf", |bencher| {
        bencher.iter(|| kdf::derive::<64>(MESSAGE, black_box(secret.expose()), secret.expose(), &[]));
    });
    group.finish();
}

fn public_key_encryption(criterion: &mut Criterion) {
    let mut rng = rng();
    let recipient = PrivateKey::random(&mut rng);
    let (public, payload) = (recipient.public_key(), [0x5a; PAYLOAD_LEN]);
    let sealed = hpke::seal(&public, &[], &[], &payload, &mut rng).unwrap();
    let mut group = criterion.benchmark_group("hpke");
    group.bench_function("seal", |bencher| {
        bencher.iter(|| hpke::seal(black_box(&public), &[], &[], black_box(&payload), &mut rng).unwrap());
    });
    group.bench_function("open", |bencher| {
        bencher.iter(|| hpke::open(black_box(&recipient), &[], &[], black_box(&sealed)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, key_agreement, ristretto255, signatures, symmetric, public_key_encryption);
criterion_main!(benches);
