//! What each counted primitive costs here and now.
//!
//! The cost of a DH was seen to jump by 40 percent within minutes on one shared machine. So it is measured in the process
//! of a run, right before and right after it, and the two are averaged ([`mean`]): where the speed drifts during the run, or
//! jumps once, the average lies between the two speeds as the run does, while the smaller of the two would always take
//! the faster. Within one measurement the median of several batches ignores an interruption.

use std::collections::BTreeMap;
use std::hint::black_box;

use protocol::crypto::count::{self, Counts};
use protocol::crypto::label::Label;
use protocol::crypto::secret::Secret;
use protocol::crypto::{aead, dh, hash, kdf, signature};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::meter;

/// Nanoseconds for each counted unit: one call, one byte or one block.
pub type PrimitiveCosts = BTreeMap<String, f64>;

const LABEL: Label = b"harness-v1 calibration";
const BATCHES: usize = 5;
/// Bytes of a short message with its header and signature.
const AEAD_LEN: usize = 113;
const HASH_LEN: usize = 250;

/// Measures all primitives on this thread: some 10 ms.
#[must_use]
pub fn primitives() -> PrimitiveCosts {
    let mut rng = ChaCha20Rng::from_seed([0; 32]);
    let private = dh::PrivateKey::random(&mut rng);
    let peer = dh::PrivateKey::random(&mut rng).public_key();
    let signing = signature::SigningKey::random(&mut rng);
    let (message, secret) = ([0x5a; HASH_LEN], Secret::<32>::random(&mut rng));
    let signed = signing.sign(&message);
    let verification = signing.verification_key();

    let mut costs = PrimitiveCosts::new();
    let mut add = |metric: &str, cost: f64| costs.insert(metric.to_owned(), cost);
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
    costs
}

/// The mean of two measurements, metric by metric.
#[must_use]
pub fn mean(before: &PrimitiveCosts, after: &PrimitiveCosts) -> PrimitiveCosts {
    let mean = |(metric, cost): (&String, &f64)| {
        let other = after.get(metric)?;
        Some((metric.clone(), meter::rounded((cost + other) / 2.0)))
    };
    before.iter().filter_map(mean).collect()
}

/// Median cost of a unit: each batch makes so many calls, and the counters say how many units these are.
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
    meter::rounded(meter::median(&mut batches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_primitive_has_a_cost() {
        let costs = primitives();
        let metrics: Vec<&str> = Counts::default().named().iter().map(|(metric, _)| *metric).collect();
        assert_eq!(costs.len(), metrics.len());
        for metric in metrics {
            assert!(costs[metric] > 0.0, "{metric}");
        }
        assert!(costs["op.dh"] > costs["op.hash_blocks"]);
    }

    #[test]
    fn the_mean_is_taken_metric_by_metric() {
        let costs = |dh| PrimitiveCosts::from([("op.dh".to_owned(), dh)]);
        assert_eq!(mean(&costs(50.0), &costs(70.0)), costs(60.0));
    }
}
