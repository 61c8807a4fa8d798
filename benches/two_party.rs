//! Channels, 2SM and lean, that both sides have used: no prekeys any more. Sending includes the header of a message, which
//! over lean channels all its ciphertexts share. For developers only: recorded figures come from the harness.
//!
//! Channels are private to the crate `dcgka`, whose feature `fuzzing` gives access to them.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dcgka::fuzzing::Side;
use protocol::crypto::secret::Secret;
use protocol::directory::InMemoryDirectory;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

fn warm(criterion: &mut Criterion) {
    for (name, lean) in [("2sm", false), ("lean", true)] {
        channel(name, lean, criterion);
    }
}

fn channel(name: &str, lean: bool, criterion: &mut Criterion) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let directory = InMemoryDirectory::default();
    let [mut own, mut peer] = [(); 2].map(|()| {
        let (side, publication) = Side::new(lean, 1, &mut rng);
        directory.publish(side.id(), publication.bundle, publication.one_time);
        side
    });
    let secret = Secret::random(&mut rng);
    let slot = own.send(&peer.id(), 1, &secret, &directory, &mut rng);
    assert!(peer.receive(&own, 1, &slot, &directory).is_some(), "the first contact opens");
    let slot = peer.send(&own.id(), 1, &secret, &directory, &mut rng);
    assert!(own.receive(&peer, 1, &slot, &directory).is_some(), "the answer opens");

    // A side changes with every message, so each call gets a copy.
    let mut group = criterion.benchmark_group(name);
    let before = own.clone();
    group.bench_function("send", |bencher| {
        bencher.iter_batched_ref(
            || before.clone(),
            |own| own.send(&peer.id(), 2, &secret, &directory, &mut rng),
            BatchSize::SmallInput,
        );
    });
    let slot = own.send(&peer.id(), 2, &secret, &directory, &mut rng);
    assert!(peer.clone().receive(&own, 2, &slot, &directory) == Some(secret), "what is measured opens");
    group.bench_function("receive", |bencher| {
        bencher.iter_batched_ref(
            || peer.clone(),
            |peer| peer.receive(&own, 2, &slot, &directory),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, warm);
criterion_main!(benches);
