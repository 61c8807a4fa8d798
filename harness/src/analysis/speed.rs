//! At which of two speeds the machine ran beside each sample.
//!
//! Shared machines change between two speeds, for seconds at a time, which neither load nor stolen time nor the clock
//! frequency shows: at the slower one, serial field arithmetic takes half as long again, and vector code hardly longer.
//! Key agreement is serial arithmetic, and it is timed right before and right after each operation. So its cost says
//! at which speed the operation ran, and does not depend on what the operation took.

use super::statistics::quantile;
use crate::record::metric::Metric;
use crate::record::sample::Sample;

/// At the slower speed, a key agreement takes more than this multiple of one at the faster speed. On one machine, the
/// costs beside nine of ten samples were within 1.1 times the fastest tenth, and the slower speed was at 1.5.
const SLOWER: f64 = 1.15;
/// The part of a run's key agreements that is taken to be at the faster speed.
const FASTEST: f64 = 0.1;

/// A speed of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// The faster one.
    Fast,
    /// The slower one, or both in turn.
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
        Self { limit_ns: quantile(&costs, FASTEST).map(|cost| cost * SLOWER) }
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

/// Whether the machine ran at the same speed beside both samples, as far as is known. They are of one machine, but may be of
/// different programs.
#[must_use]
pub fn is_equal(one: &Sample, other: &Sample) -> bool {
    let costs = agreement_ns(one).zip(agreement_ns(other));
    costs.is_none_or(|(one, other)| one.max(other) <= SLOWER * one.min(other))
}

/// What a key agreement took beside a sample.
fn agreement_ns(sample: &Sample) -> Option<f64> {
    sample.primitive_ns.get(&Metric::Primitive("op.dh")).copied()
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
