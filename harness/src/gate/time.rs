//! CPU time of an update beside that of another build, in pairs: both are asked for the same run, one right after the
//! other, the first of them in turn. So what slows the machine down slows down both.
//!
//! A change counts only if three things agree: the median of the paired ratios is over the threshold, its 95 % interval is
//! clear of 1, and the fastest run of one build is on the same side of the other's.

use std::time::Duration;

use protocol::operation::{Operation, Role};

use super::comparison::{Change, Verdict, cause};
use super::config::Config;
use super::exact::{cell_name, figures, request, sample_of};
use crate::cell_costs::cpu_of_all;
use crate::cell_protocol::NotComparable;
use crate::child::{Launch, Runner, StartError};
use crate::meter::median;
use crate::plan::Choice;
use crate::sample::{Sample, Status};
use crate::statistics::{bootstrap_median, quantile};

/// The metric of CPU times.
pub const CPU_NS: &str = "cpu_ns";

/// The roles whose time is compared: the whole of a sender's, and the median of all recipients'.
const ROLES: [Role; 2] = [Role::Sender, Role::Recipient];

/// What came of the pairs.
#[derive(Clone, Debug, Default)]
pub struct Timed {
    /// What is slower or faster.
    pub changes: Vec<Change>,
    /// Each comparison in words, whether anything has changed or not.
    pub notes: Vec<String>,
    /// Runs that do not count.
    pub trouble: Vec<String>,
}

/// How many pairs there are in all.
#[must_use]
pub fn pairs(config: &Config) -> u64 {
    config.time.len() as u64 * u64::from(config.pairs.groups) * u64::from(config.pairs.runs)
}

/// Whether the other build speaks with this one, before much else is done.
///
/// # Errors
/// It speaks another version of the cell protocol.
pub fn check(config: &Config, theirs: &Launch) -> Result<(), NotComparable> {
    let started = config.time.first().map(|choice| Runner::start(theirs, &choice.backend, &choice.variant, 1, false));
    match started {
        Some(Err(StartError::NotComparable(error))) => Err(error),
        // Anything else is told of each backend in its turn.
        _ => Ok(()),
    }
}

/// Times the updates of all backends in pairs. `worse` is what a slower build is to be called. `finished` is called after
/// each pair.
#[must_use]
pub fn measure(
    config: &Config,
    (theirs, ours): (&Launch, &Launch),
    timeout: Duration,
    worse: Verdict,
    finished: &mut dyn FnMut(),
) -> Timed {
    let mut timed = Timed::default();
    for choice in &config.time {
        let cell = cell_name(&choice.full_name(), &Operation::Update.name(), config.group_size);
        match runs(config, choice, (theirs, ours), timeout, finished) {
            Ok(runs) => {
                for role in ROLES {
                    compare(&cell, role, &runs, config.threshold(CPU_NS), worse, &mut timed);
                }
            }
            Err(reason) => timed.trouble.push(format!("{cell}, timed: {reason}")),
        }
    }
    timed
}

/// The same run by both builds: theirs, ours.
type Pair = [Sample; 2];

fn runs(
    config: &Config,
    choice: &Choice,
    launches: (&Launch, &Launch),
    timeout: Duration,
    finished: &mut dyn FnMut(),
) -> Result<Vec<Pair>, String> {
    let start = |launch: &Launch| {
        Runner::start(launch, &choice.backend, &choice.variant, 1, false).map_err(|error| error.to_string())
    };
    let (mut theirs, mut ours) = (start(launches.0)?, start(launches.1)?);
    let mut pairs = Vec::new();
    for group in 0..config.pairs.groups {
        let request = request(config, Operation::Update, group);
        for _ in 0..config.pairs.runs {
            let ask = |runner: &mut Runner, whose: &str| {
                let counts = sample_of(runner.ask(&request, timeout), timeout)
                    .and_then(|sample| if sample.status == Status::Ok { Ok(sample) } else { Err(sample.reason) });
                counts.map_err(|reason| format!("{whose}: {reason}"))
            };
            let theirs_first = pairs.len() % 2 == 0;
            let pair = if theirs_first {
                ask(&mut theirs, "the other build").and_then(|one| Ok([one, ask(&mut ours, "this build")?]))
            } else {
                ask(&mut ours, "this build").and_then(|one| Ok([ask(&mut theirs, "the other build")?, one]))
            };
            pairs.push(pair?);
            finished();
        }
    }
    Ok(pairs)
}

fn compare(cell: &str, role: Role, pairs: &[Pair], threshold: f64, worse: Verdict, timed: &mut Timed) {
    let times: Vec<[f64; 2]> = pairs.iter().map(|pair| [0, 1].map(|side| cpu_of(&pair[side], role))).collect();
    let Some(paired) = Paired::of(&times) else { return };
    let metric = format!("{CPU_NS}/{}", role.name());
    timed.notes.push(format!("{cell} {metric}: {paired}"));
    let verdict = match paired.changed(threshold) {
        Some(true) => worse,
        Some(false) => Verdict::Improvement,
        None => return,
    };
    let figures_of = |side: usize| pairs.first().map(|pair| figures(&pair[side]));
    let moved = cause(role.name(), figures_of(0).as_ref(), figures_of(1).as_ref());
    timed.changes.push(Change {
        cell: cell.to_owned(),
        metric,
        before: Some(paired.before),
        after: Some(paired.after),
        verdict,
        cause: format!("{moved} ({paired})"),
    });
}

/// What one member of this role took; of several, their median.
fn cpu_of(sample: &Sample, role: Role) -> f64 {
    median(&mut cpu_of_all(sample, role.name()).into_iter().map(|ns| ns as f64).collect::<Vec<_>>())
}

/// The median, which lies between the middle two of an even number: the upper one would favour `slower`.
fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Times in pairs, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Paired {
    /// Medians.
    before: f64,
    after: f64,
    /// The median of after / before, and its 95 % interval.
    ratio: f64,
    interval: (f64, f64),
    /// The same of the fastest runs.
    fastest: f64,
}

impl Paired {
    /// None of fewer than two pairs, or without times.
    fn of(times: &[[f64; 2]]) -> Option<Self> {
        let ratios: Vec<Vec<f64>> = times.iter().map(|[before, after]| vec![after / before]).collect();
        let side = |side: usize| times.iter().map(|pair| pair[side]).collect::<Vec<_>>();
        let least = |side: usize| times.iter().map(|pair| pair[side]).min_by(f64::total_cmp);
        let fastest = least(1)? / least(0)?;
        let paired = Self {
            before: middle(side(0))?,
            after: middle(side(1))?,
            ratio: middle(ratios.concat())?,
            interval: bootstrap_median(&ratios)?,
            fastest,
        };
        paired.ratio.is_finite().then_some(paired)
    }

    /// Whether it became slower; None where it did not change.
    fn changed(&self, threshold: f64) -> Option<bool> {
        if self.ratio > 1.0 + threshold && self.interval.0 > 1.0 && self.fastest > 1.0 {
            Some(true)
        } else if self.ratio < 1.0 - threshold && self.interval.1 < 1.0 && self.fastest < 1.0 {
            Some(false)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Paired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ratio, interval: (low, high), fastest, .. } = self;
        write!(f, "in pairs x {ratio:.3}, 95 % within {low:.3} and {high:.3}; fastest runs x {fastest:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(times: &[[f64; 2]]) -> Option<bool> {
        Paired::of(times).unwrap().changed(0.05)
    }

    #[test]
    fn a_change_counts_only_where_median_interval_and_minimum_agree() {
        let steady = [[100.0, 110.0], [101.0, 111.0], [99.0, 109.5], [100.0, 110.5]];
        assert_eq!(changed(&steady), Some(true));
        assert_eq!(changed(&steady.map(|[before, after]| [after, before])), Some(false));
        // Within the threshold.
        assert_eq!(changed(&steady.map(|[before, _]| [before, before * 1.04])), None);
        // The machine became slower for both: the pairs say so.
        assert_eq!(changed(&[[100.0, 101.0], [150.0, 149.0], [200.0, 202.0], [100.0, 100.0]]), None);
        // One pair says the opposite, and there are few: the interval is not clear of 1.
        assert_eq!(changed(&[[100.0, 110.0], [100.0, 90.0], [100.0, 112.0]]), None);
        // The fastest run is as fast as ever: what slows the others down is not in the program.
        assert_eq!(changed(&[[100.0, 110.0], [101.0, 112.0], [100.0, 111.0], [99.0, 99.0], [100.0, 110.0]]), None);
    }

    #[test]
    fn one_pair_is_no_comparison() {
        assert_eq!(Paired::of(&[[1.0, 2.0]]), None);
        assert_eq!(Paired::of(&[]), None);
    }
}
