//! How fast the machine ran beside each sample.
//!
//! Shared machines slow down for seconds at a time, which neither load nor stolen time nor the clock frequency shows: serial
//! field arithmetic then takes up to half as long again, and vector code hardly longer. Key agreement is serial arithmetic,
//! and it is timed right before and right after each operation. So its cost says how fast the machine was, and does not
//! depend on what the operation took.

use crate::record::metric::Metric;
use crate::record::sample::Sample;

/// Two key agreements were made at one speed if neither takes more than this multiple of the other. On one machine, two thirds
/// of them took up to 1.1 times the fastest ones, and the others up to twice that, spread evenly.
const SLOWER: f64 = 1.15;

/// From this number of key agreements on, the fastest twentieth does not count: it may be a fault of a clock.
const FEW: usize = 20;

/// A speed of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// The fastest that was seen in the run.
    Fast,
    /// Anything slower.
    Slow,
}

/// What tells the speeds of a run apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speeds {
    /// At the faster speed, a key agreement takes at most this number of nanoseconds. `None` if none was timed.
    pub limit_ns: Option<f64>,
}

impl Speeds {
    /// From the samples of one run on one machine.
    #[must_use]
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut costs: Vec<f64> = samples.into_iter().filter_map(agreement_ns).collect();
        costs.sort_by(f64::total_cmp);
        // A sample that is derived from another one has its costs, and tells nothing new.
        costs.dedup();
        Self { limit_ns: costs.get(costs.len() / FEW).map(|cost| cost * SLOWER) }
    }

    /// The speed beside a sample of this run; the faster one if no key agreement was timed beside it.
    #[must_use]
    pub fn beside(self, sample: &Sample) -> Speed {
        match (agreement_ns(sample), self.limit_ns) {
            (Some(cost), Some(limit)) if cost > limit => Speed::Slow,
            _ => Speed::Fast,
        }
    }
}

/// Whether the machine ran at one speed beside both samples, as far as is known.
#[must_use]
pub fn is_equal(one: &Sample, other: &Sample) -> bool {
    change(one, other).is_none_or(is_small)
}

/// What a key agreement took beside the second sample, over what it took beside the first one.
#[must_use]
pub fn change(one: &Sample, other: &Sample) -> Option<f64> {
    agreement_ns(one).zip(agreement_ns(other)).map(|(one, other)| other / one)
}

/// Whether such a change is none of the machine's speed.
#[must_use]
pub fn is_small(change: f64) -> bool {
    (1.0 / SLOWER..=SLOWER).contains(&change)
}

/// What a key agreement took beside a sample.
fn agreement_ns(sample: &Sample) -> Option<f64> {
    let cost = sample.primitive_ns.get(&Metric::Primitive("op.dh")).copied();
    cost.filter(|cost| cost.is_finite() && *cost > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn with(cost: f64) -> Sample {
        let mut sample = synthetic::remove();
        sample.primitive_ns.insert(Metric::Primitive("op.dh"), cost);
        sample
    }

    #[test]
    fn a_sample_beside_which_key_agreements_took_half_as_long_again_is_slow() {
        let samples = [52.0, 80.0, 52.5, 53.0, 66.0, 57.0].map(with);
        let speeds = Speeds::of(&samples);
        let slow: Vec<bool> = samples.iter().map(|sample| speeds.beside(sample) == Speed::Slow).collect();
        assert_eq!(slow, [false, true, false, false, true, false]);
    }

    #[test]
    fn a_few_fast_samples_among_many_slow_ones_are_the_fast_ones() {
        let samples = [52.0, 80.0, 81.0, 82.0, 83.0, 84.0, 85.0, 86.0, 87.0, 53.0].map(with);
        let speeds = Speeds::of(&samples);
        assert_eq!(samples.iter().filter(|sample| speeds.beside(sample) == Speed::Fast).count(), 2);
    }

    #[test]
    fn one_of_many_does_not_decide() {
        let samples: Vec<Sample> =
            (0..40).map(|index| with(if index == 7 { 20.0 } else { 52.0 + 0.01 * f64::from(index) })).collect();
        let speeds = Speeds::of(&samples);
        assert!(samples.iter().all(|sample| speeds.beside(sample) == Speed::Fast));
    }

    #[test]
    fn what_no_key_agreement_can_take_is_ignored() {
        let samples = [0.0, -1.0, f64::NAN, f64::INFINITY, 52.0, 53.0, 54.0].map(with);
        let limit = Speeds::of(&samples).limit_ns.unwrap();
        assert!((limit - 52.0 * SLOWER).abs() < 1e-9, "{limit}");
        assert!(Speeds::of(&samples[..4]).limit_ns.is_none());
    }

    #[test]
    fn a_run_at_one_speed_is_fast_whatever_the_speed() {
        for cost in [53.0, 80.0] {
            let samples = [1.0, 1.02, 1.05, 1.1].map(|noise| with(cost * noise));
            let speeds = Speeds::of(&samples);
            assert!(samples.iter().all(|sample| speeds.beside(sample) == Speed::Fast));
        }
    }

    #[test]
    fn without_a_key_agreement_the_speed_is_not_known_and_nothing_is_left_out() {
        let mut sample = with(80.0);
        sample.primitive_ns.clear();
        assert_eq!(Speeds::of([&sample]).beside(&sample), Speed::Fast);
        assert_eq!(Speeds::of(&[with(50.0), with(51.0)]).beside(&sample), Speed::Fast);
        assert!(is_equal(&sample, &with(80.0)));
    }

    #[test]
    fn two_samples_are_at_one_speed_if_neither_key_agreement_takes_much_longer() {
        assert!(is_equal(&with(52.0), &with(57.0)) && is_equal(&with(57.0), &with(52.0)));
        assert!(!is_equal(&with(52.0), &with(80.0)) && !is_equal(&with(80.0), &with(52.0)));
    }
}
