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
use protocol::operation::{Delivery, Expected, Operation};
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
/// The sizes of the batches of signatures by which their cost is measured.
const SMALL_BATCH: usize = 8;
const LARGE_BATCH: usize = 128;
/// From this size on, an operation in a group is so much work that its primitives are measured twice as thoroughly.
const LARGE_GROUP: usize = 32;
/// How often a public-key primitive is called in a batch.
const CALLS: u32 = 4;
const CALLS_IN_LARGE_GROUPS: u32 = 8;

/// The primitives whose costs are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    used: Counts,
    calls: u32,
}

impl Wanted {
    /// All primitives that an operation with messages one by one can use.
    pub const ALL: Self =
        Self { used: Counts { verify_batched: 0, verify_batches: 0, ..Counts::EACH }, calls: CALLS_IN_LARGE_GROUPS };

    /// Those that an operation uses by its formula, or all, if there is none; and those that it uses instead if messages
    /// arrive together.
    #[must_use]
    pub fn of(operation: Operation, group_size: usize, formula: Option<&Expected>) -> Self {
        let listed = formula.map(|formula| formula.counts.iter().fold(Counts::NOTHING, |sum, row| sum + row.2));
        // A key agreement always shows how fast the machine is.
        let mut used = listed.unwrap_or(Self::ALL.used) + Counts { dh: 1, ..Counts::NOTHING };
        if operation.delivery() == Delivery::Together && used.verify > 0 {
            used += Counts { verify_batched: 1, verify_batches: 1, ..Counts::NOTHING };
        }
        Self { used, calls: if group_size < LARGE_GROUP { CALLS } else { CALLS_IN_LARGE_GROUPS } }
    }
}

/// Measures primitives on this thread. For all of them, this takes about 15 ms.
#[must_use]
pub fn primitives(wanted: Wanted) -> PrimitiveCosts {
    let mut rng = ChaCha20Rng::from_seed([0; 32]);
    let private = dh::PrivateKey::random(&mut rng);
    let peer = dh::PrivateKey::random(&mut rng).public_key();
    let signing = signature::SigningKey::random(&mut rng);
    let (message, secret) = ([0x5a; HASH_LEN], Secret::<32>::random(&mut rng));
    let signed = signing.sign(&message);
    let verification = signing.verification_key();
    let used = wanted.used.named();
    let is_used = |name: &str| used.iter().any(|(other, count)| *other == name && *count > 0);
    let calls = wanted.calls;

    let mut costs = PrimitiveCosts::new();
    let mut add = |name: &'static str, cost: &dyn Fn() -> f64| {
        if is_used(name) {
            costs.insert(Metric::Primitive(name), cost());
        }
    };
    add("op.dh", &|| cost(calls, |c| c.dh, || private.agree(&peer).is_ok()));
    add("op.keygen", &|| cost(calls, |c| c.keygen, || private.public_key()));
    add("op.sign", &|| cost(calls, |c| c.sign, || signing.sign(&message)));
    add("op.sign_keygen", &|| cost(calls, |c| c.sign_keygen, || signature::SigningKey::from_secret(&secret)));
    add("op.verify", &|| cost(calls, |c| c.verify, || verification.verify(&message, &signed).is_ok()));
    if is_used("op.verify_batches") {
        let keys: Vec<_> = (0..LARGE_BATCH).map(|_| signature::SigningKey::random(&mut rng)).collect();
        let signed = |key: &signature::SigningKey| (key.verification_key(), &message[..], key.sign(&message));
        let signed: Vec<_> = keys.iter().map(signed).collect();
        let batch = |size: usize| cost(1, |c| c.verify_batches, || signature::verify_together(&signed[..size]));
        let [small, large] = [SMALL_BATCH, LARGE_BATCH].map(batch);
        // A batch costs something, and each signature in it something more.
        let each = (large - small) / (LARGE_BATCH - SMALL_BATCH) as f64;
        add("op.verify_batched", &|| meter::rounded(each));
        add("op.verify_batches", &|| meter::rounded((small - SMALL_BATCH as f64 * each).max(0.0)));
    }
    let seal = || aead::OneTimeKey::new(Secret::new([0x5a; aead::KEY_LEN])).seal(&message[..AEAD_LEN], &[]).is_ok();
    add("op.aead_bytes", &|| cost(8 * calls, |c| c.aead_bytes, seal));
    add("op.hash_blocks", &|| cost(8 * calls, |c| c.hash_blocks, || hash::hash(LABEL, &[&message])));
    let derive = || kdf::derive::<64>(LABEL, secret.expose(), secret.expose(), &[]);
    add("op.kdf", &|| cost(8 * calls, |c| c.kdf, derive));
    let scalar = ristretto::PrivateKey::random(&mut rng);
    let point = ristretto::PrivateKey::random(&mut rng).public_key();
    let (encoded, points) = (point.to_bytes(), [point; TOGETHER]);
    add("op.ristretto_mul", &|| cost(1, |c| c.ristretto_mul, || scalar.agree_with_all(&points)));
    add("op.ristretto_base", &|| cost(2 * calls, |c| c.ristretto_base, || scalar.public_key()));
    let decode = || ristretto::PublicKey::from_bytes(&encoded).is_ok();
    add("op.ristretto_coding", &|| cost(4 * calls, |c| c.ristretto_coding, decode));
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

    use protocol::operation::{Phase, Role};

    use super::*;

    #[test]
    fn every_counted_primitive_has_a_cost() {
        let formula = Expected::new(vec![], vec![(Role::Sender, Phase::Generate, Counts::EACH)]);
        let costs = primitives(Wanted::of(Operation::UpdateTogether, 64, Some(&formula)));
        assert!(costs.keys().copied().eq(BTreeSet::from_iter(Metric::primitives())));
        assert!(costs.values().all(|cost| *cost >= 0.0), "{costs:?}");
        assert!(costs[&Metric::Primitive("op.dh")] > costs[&Metric::Primitive("op.hash_blocks")]);
        let mut each = costs;
        each.retain(|metric, _| !metric.name().starts_with("op.verify_"));
        assert!(each.values().all(|cost| *cost > 0.0), "{each:?}");
        assert!(primitives(Wanted::ALL).keys().eq(each.keys()));
        assert!(primitives(Wanted::of(Operation::Update, 8, None)).keys().eq(each.keys()));
    }

    #[test]
    fn what_an_operation_does_not_use_is_not_measured() {
        let used = Counts { sign: 2, hash_blocks: 7, ..Counts::NOTHING };
        let formula = Expected::new(vec![], vec![(Role::Sender, Phase::Generate, used)]);
        let costs = primitives(Wanted::of(Operation::Message, 8, Some(&formula)));
        assert!(costs.keys().map(|metric| metric.name()).eq(["op.dh", "op.hash_blocks", "op.sign"]));
    }

    #[test]
    fn the_mean_is_taken_metric_by_metric() {
        let costs = |dh| PrimitiveCosts::from([(Metric::Primitive("op.dh"), dh)]);
        assert_eq!(mean(&costs(50.0), &costs(70.0)), costs(60.0));
    }
}
