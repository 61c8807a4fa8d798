//! What each counted primitive costs on this machine at this moment.
//!
//! On one shared machine, the cost of a DH was seen to jump by 40 percent within minutes. So primitives are measured in
//! the same process as the operation, right before and right after it, and the two costs are averaged ([`mean`]). If
//! the speed drifts during the operation, or jumps once, the average lies between the two speeds, as the operation
//! does. The smaller of the two costs would always stand for the faster speed. Within one measurement, the median of
//! several batches ignores an interruption.

use std::hint::black_box;

use protocol::crypto::count::{self, Counts};
use protocol::crypto::label::Label;
use protocol::crypto::secret::Secret;
use protocol::crypto::{aead, dh, hash, kdf, ristretto, signature};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::meter;
use crate::analysis::statistics::median;
use crate::record::metric::Metric;
use crate::record::sample::PrimitiveCosts;

const LABEL: Label = b"harness-v1 calibration";
const BATCHES: usize = 5;
/// Bytes of a short message with its header and signature.
const AEAD_LEN: usize = 113;
const HASH_LEN: usize = 250;
/// Keys with which agreement is made together, so that their common encoding does not count.
const TOGETHER: usize = 32;

/// Measures all primitives on this thread. This takes about 15 ms.
#[must_use]
pub fn primitives() -> PrimitiveCosts {
    let mut rng = ChaCha20Rng::from_seed([0; 32]);
    let private = dh::PrivateKey::random(&mut rng);
    let peer = dh::PrivateKey::random(&mut rng).public_key();
    let signing = signature::SigningKey::random(&mut rng);
    let (message, secret) = ([0x5a; HASH_LEN], Secret::<32>::random(&mut rng));
    let signed = signing.sign(&message);
    let verification = signing.verification_key();
    let scalar = ristretto::PrivateKey::random(&mut rng);
    let point = ristretto::PrivateKey::random(&mut rng).public_key();
    let (encoded, points) = (point.to_bytes(), [point; TOGETHER]);

    let mut costs = PrimitiveCosts::new();
    let mut add = |name: &'static str, cost: f64| costs.insert(Metric::Primitive(name), cost);
    add("op.dh", cost(8, |c| c.dh, || private.agree(&peer).is_ok()));
    add("op.keygen", cost(8, |c| c.keygen, || private.public_key()));
    add("op.sign", cost(8, |c| c.sign, || signing.sign(&message)));
    add("op.sign_keygen", cost(8, |c| c.sign_keygen, || signature::SigningKey::from_secret(&secret)));
    add("op.verify", cost(8, |c| c.verify, || verification.verify(&message, &signed).is_ok()));
    add(
        "op.aead_bytes",
        cost(
            64,
            |c| c.aead_bytes,
            || aead::OneTimeKey::new(Secret::new([0x5a; aead::KEY_LEN])).seal(&message[..AEAD_LEN], &[]).is_ok(),
        ),
    );
    add("op.hash_blocks", cost(64, |c| c.hash_blocks, || hash::hash(LABEL, &[&message])));
    add("op.kdf", cost(64, |c| c.kdf, || kdf::derive::<64>(LABEL, secret.expose(), secret.expose(), &[])));
    add("op.ristretto_mul", cost(1, |c| c.ristretto_mul, || scalar.agree_with_all(&points)));
    add("op.ristretto_base", cost(16, |c| c.ristretto_base, || scalar.public_key()));
    add("op.ristretto_coding", cost(32, |c| c.ristretto_coding, || ristretto::PublicKey::from_bytes(&encoded).is_ok()));
    costs
}

/// The mean of two measurements, for each metric that is in both.
#[must_use]
pub fn mean(before: &PrimitiveCosts, after: &PrimitiveCosts) -> PrimitiveCosts {
    let mean = |(metric, cost): (&Metric, &f64)| {
        let other = after.get(metric)?;
        Some((*metric, meter::rounded((cost + other) / 2.0)))
    };
    before.iter().filter_map(mean).collect()
}

/// The median cost of a unit in nanoseconds. A batch makes `calls` calls, and the counters say how many units those
/// are.
fn cost<T>(calls: u32, units: impl Fn(Counts) -> u64, call: impl Fn() -> T) -> f64 {
    let mut batches = [0.0; BATCHES];
    for batch in &mut batches {
        let counts = count::snapshot();
        let start = meter::thread_cpu_ns();
        for _ in 0..calls {
            black_box(call());
        }
        let end = meter::thread_cpu_ns();
        *batch = end.saturating_sub(start) as f64 / units(count::snapshot() - counts).max(1) as f64;
    }
    meter::rounded(median(&batches).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counted_primitive_has_a_cost() {
        let costs = primitives();
        assert!(costs.keys().copied().eq(BTreeSet::from_iter(Metric::primitives())));
        assert!(costs.values().all(|cost| *cost > 0.0), "{costs:?}");
        assert!(costs[&Metric::Primitive("op.dh")] > costs[&Metric::Primitive("op.hash_blocks")]);
    }

    #[test]
    fn the_mean_is_taken_metric_by_metric() {
        let costs = |dh| PrimitiveCosts::from([(Metric::Primitive("op.dh"), dh)]);
        assert_eq!(mean(&costs(50.0), &costs(70.0)), costs(60.0));
    }
}
