//! CPU time of an update, compared with that of another build in pairs. Both builds measure the same update, one right after
//! the other, and alternate in who goes first. So anything that slows the machine down slows down both.
//!
//! A pair counts only if the machine did not change its speed between its samples ([`change`]): key agreement beside them must
//! differ as in the other pairs. The builds themselves may differ in what a key agreement takes.
//!
//! A change counts only if three things agree: the median of the paired ratios exceeds the threshold, its 95 % interval
//! excludes 1, and the ratio of the fastest samples is on the same side of 1.

use std::time::Duration;

use protocol::operation::{Operation, Role};

use super::ask::{request, sample_of};
use super::comparison::{Change, Verdict, cause};
use super::config::Config;
use super::figures::{Cost, cell_name, figures};
use crate::analysis::cell_costs::cpu_of_all;
use crate::analysis::speed::{change, is_small};
use crate::analysis::statistics::{bootstrap_median, median};
use crate::record::metric::Metric;
use crate::record::sample::{Sample, Status};
use crate::record::version::NotComparable;
use crate::run::child::{Launch, Runner, StartError};
use crate::run::plan::Choice;

/// The roles whose time is compared, all phases together: the sender, and the median of all recipients.
const ROLES: [Role; 2] = [Role::Sender, Role::Recipient];

/// The fewest pairs by which --time-gates decides. The interval of fewer is hardly more than their smallest and largest ratio.
pub const MIN_PAIRS: usize = 10;
/// From this relative change on, the report says what a key agreement takes in the other build.
const AGREEMENT_CHANGE: f64 = 0.03;

/// What the pairs have shown.
#[derive(Clone, Debug, Default)]
pub struct Timed {
    /// What is slower or faster.
    pub changes: Vec<Change>,
    /// Each comparison in words, whether or not anything has changed.
    pub notes: Vec<String>,
    /// Cells with a sample that does not count, and the reason.
    pub trouble: Vec<String>,
}

/// The number of pairs of all backends together.
#[must_use]
pub fn pairs(config: &Config) -> u64 {
    config.time.len() as u64 * u64::from(config.pairs.groups) * u64::from(config.pairs.runs)
}

/// Checks that the other build can be compared with this one, before much else is done.
///
/// # Errors
/// The other build speaks another version of the cell protocol.
pub fn check(config: &Config, theirs: &Launch) -> Result<(), NotComparable> {
    let started = config.time.first().map(|choice| Runner::start(theirs, &choice.backend, &choice.variant, 1, None));
    match started {
        Some(Err(StartError::NotComparable(error))) => Err(error),
        // Any other failure is reported later, for each backend.
        _ => Ok(()),
    }
}

/// Times the updates of all backends in pairs. `worse` is the verdict on a slower build. `finished` is called after each
/// pair.
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
        let cell = cell_name(&choice.full_name(), Operation::Update, config.group_size);
        match measure_pairs(config, choice, (theirs, ours), timeout, finished) {
            Ok(pairs) => {
                for role in ROLES {
                    compare(&cell, role, &pairs, config.threshold(Metric::CpuNs), worse, &mut timed);
                }
            }
            Err(reason) => timed.trouble.push(format!("{cell}, timed: {reason}")),
        }
    }
    timed
}

/// The samples of the same update from both builds: theirs, ours.
type Pair = [Sample; 2];

fn measure_pairs(
    config: &Config,
    choice: &Choice,
    launches: (&Launch, &Launch),
    timeout: Duration,
    finished: &mut dyn FnMut(),
) -> Result<Vec<Pair>, String> {
    let start = |launch: &Launch| {
        Runner::start(launch, &choice.backend, &choice.variant, 1, None).map_err(|error| error.to_string())
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
    let changes: Vec<f64> = pairs.iter().filter_map(|[before, after]| change(before, after)).collect();
    let usual = median(&changes).unwrap_or(1.0);
    let is_steady = |[before, after]: &&Pair| change(before, after).is_none_or(|change| is_small(change / usual));
    let steady: Vec<&Pair> = pairs.iter().filter(is_steady).collect();
    let times: Option<Vec<[f64; 2]>> =
        steady.iter().map(|[before, after]| Some([cpu_of(before, role)?, cpu_of(after, role)?])).collect();
    let metric = Cost { metric: Metric::CpuNs, of: role.name() };
    let left_out = match pairs.len() - steady.len() {
        0 => String::new(),
        left_out => format!("; {left_out} of {} pairs left out: the machine's speed changed in them", pairs.len()),
    };
    let least = if worse == Verdict::Regression { MIN_PAIRS.min(pairs.len()) } else { 2 };
    let paired = match times.map(|times| Paired::of(&times)) {
        Some(Some(paired)) if steady.len() >= least => paired,
        // Where times only advise, there is no advice.
        Some(_) if worse == Verdict::Advisory => {
            timed.notes.push(format!("{cell} {metric}: too few times to compare{left_out}"));
            return;
        }
        Some(_) => {
            timed.trouble.push(format!("{cell} {metric}: too few times to compare{left_out}"));
            return;
        }
        None => {
            timed.trouble.push(format!("{cell} {metric}: there are no times to compare"));
            return;
        }
    };
    let agreement = match (usual - 1.0).abs() > AGREEMENT_CHANGE {
        true => format!("; key agreement alone: ratio {usual:.3}"),
        false => String::new(),
    };
    timed.notes.push(format!("{cell} {metric}: {paired}{agreement}{left_out}"));
    let verdict = match paired.changed(threshold) {
        Some(true) => worse,
        Some(false) => Verdict::Improvement,
        None => return,
    };
    let figures_of = |side: usize| pairs.first().map(|pair| figures(&pair[side]));
    let moved = cause(role, figures_of(0).as_ref(), figures_of(1).as_ref());
    timed.changes.push(Change {
        cell: cell.to_owned(),
        metric: metric.into(),
        before: Some(paired.before),
        after: Some(paired.after),
        verdict,
        cause: format!("{moved} ({paired})"),
    });
}

/// CPU time of a member of this role in nanoseconds, or the median if there are several. `None` if there is no member.
fn cpu_of(sample: &Sample, role: Role) -> Option<f64> {
    median(&cpu_of_all(sample, role).into_iter().map(|ns| ns as f64).collect::<Vec<_>>())
}

/// Statistics of times in pairs: before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Paired {
    /// Medians in nanoseconds.
    before: f64,
    after: f64,
    /// The median of after / before, and its 95 % interval.
    ratio: f64,
    interval: (f64, f64),
    /// The smallest time after over the smallest time before.
    fastest: f64,
}

impl Paired {
    /// `None` for fewer than two pairs, or if the ratio is not finite.
    fn of(times: &[[f64; 2]]) -> Option<Self> {
        let ratios: Vec<Vec<f64>> = times.iter().map(|[before, after]| vec![after / before]).collect();
        let side = |side: usize| times.iter().map(|pair| pair[side]).collect::<Vec<_>>();
        let least = |side: usize| times.iter().map(|pair| pair[side]).min_by(f64::total_cmp);
        let fastest = least(1)? / least(0)?;
        let paired = Self {
            before: median(&side(0))?,
            after: median(&side(1))?,
            ratio: median(&ratios.concat())?,
            interval: bootstrap_median(&ratios)?,
            fastest,
        };
        paired.ratio.is_finite().then_some(paired)
    }

    /// `true` if the build has become slower, `false` if it has become faster. `None` if no change counts.
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
        write!(f, "ratio {ratio:.3} in pairs, 95 % interval {low:.3} .. {high:.3}; fastest samples: ratio {fastest:.3}")
    }
}

#[cfg(test)]
mod tests {
    use protocol::operation::Phase;

    use super::*;
    use crate::synthetic;

    fn changed(times: &[[f64; 2]]) -> Option<bool> {
        Paired::of(times).unwrap().changed(0.05)
    }

    #[test]
    fn a_change_counts_only_if_median_interval_and_minimum_agree() {
        let steady = [[100.0, 110.0], [101.0, 111.0], [99.0, 109.5], [100.0, 110.5]];
        assert_eq!(changed(&steady), Some(true));
        assert_eq!(changed(&steady.map(|[before, after]| [after, before])), Some(false));
        // The change is within the threshold.
        assert_eq!(changed(&steady.map(|[before, _]| [before, before * 1.04])), None);
        // The machine became slower for both: the pairs show it.
        assert_eq!(changed(&[[100.0, 101.0], [150.0, 149.0], [200.0, 202.0], [100.0, 100.0]]), None);
        // One pair of few shows the opposite: the interval does not exclude 1.
        assert_eq!(changed(&[[100.0, 110.0], [100.0, 90.0], [100.0, 112.0]]), None);
        // The fastest sample is as fast as before: what slows the others down is not in the program.
        assert_eq!(changed(&[[100.0, 110.0], [101.0, 112.0], [100.0, 111.0], [99.0, 99.0], [100.0, 110.0]]), None);
    }

    /// A sample of a sender, and what a key agreement took beside it.
    fn sample(cpu_ns: u64, agreement_ns: f64) -> Sample {
        let mut sample = synthetic::remove();
        sample.work = vec![synthetic::work(Role::Sender, Phase::Generate, &[], &[cpu_ns])];
        sample.primitive_ns.insert(Metric::Primitive("op.dh"), agreement_ns);
        sample
    }

    #[test]
    fn a_pair_in_which_the_machines_speed_changed_is_left_out() {
        let [fast, slow] = [sample(1000, 52.0), sample(1500, 80.0)];
        let judged = |pairs: &[Pair], worse| {
            let mut timed = Timed::default();
            compare("cell", Role::Sender, pairs, 0.05, worse, &mut timed);
            (timed.changes.len(), timed.notes.concat(), timed.trouble.concat())
        };
        let advised = |pairs: &[Pair]| judged(pairs, Verdict::Advisory);
        let same = || vec![[fast.clone(), fast.clone()], [slow.clone(), slow.clone()], [fast.clone(), fast.clone()]];
        let changed = || [fast.clone(), slow.clone()];
        let (changes, notes, _) = advised(&[same(), vec![changed(), changed()]].concat());
        assert_eq!(changes, 0);
        assert!(notes.contains("ratio 1.000") && notes.contains("2 of 5 pairs left out"), "{notes}");
        let (changes, notes, _) = advised(&[same(), same()].concat());
        assert!(changes == 0 && !notes.contains("left out"), "{notes}");
        // The same times at a speed that does not change are a regression.
        let slower = || [sample(1000, 52.0), sample(1500, 52.0)];
        assert_eq!(advised(&[slower(), slower()]).0, 1);
        // So they are if key agreement itself has become slower, in all pairs.
        let (changes, notes, _) = advised(&[changed(), changed()]);
        assert!(changes == 1 && notes.contains("key agreement alone: ratio 1.538"), "{notes}");
    }

    #[test]
    fn few_pairs_do_not_decide() {
        let slower = || [sample(1000, 52.0), sample(1500, 52.0)];
        // The machine's speed went up in some pairs and down in others.
        let unsteady = |agreement_ns| [sample(1000, 52.0), sample(1000, agreement_ns)];
        let pairs: Vec<Pair> =
            (0..3).map(|_| slower()).chain([30.0, 32.0, 34.0, 80.0, 82.0, 84.0, 86.0].map(unsteady)).collect();
        let judged = |worse| {
            let mut timed = Timed::default();
            compare("cell", Role::Sender, &pairs, 0.05, worse, &mut timed);
            (timed.changes.len(), timed.trouble.concat())
        };
        let (changes, trouble) = judged(Verdict::Regression);
        assert!(changes == 0 && trouble.contains("too few times"), "{trouble}");
        assert!(judged(Verdict::Advisory).1.is_empty());
    }

    #[test]
    fn one_pair_cannot_be_compared() {
        assert_eq!(Paired::of(&[[1.0, 2.0]]), None);
        assert_eq!(Paired::of(&[]), None);
    }
}
