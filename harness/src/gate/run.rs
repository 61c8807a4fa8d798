//! One pass of the gate: measures, compares, and reports.

use std::io;
use std::time::Duration;

use super::baseline::{Baseline, RecordedInstructions};
use super::comparison::{self, Verdict};
use super::config::Config;
use super::coverage::{Coverage, Known};
use super::exact;
use super::figures::Cells;
use super::instructions::{self, Conditions, Cpu};
use super::report::{Record, Report};
use super::revision::{Revision, RevisionError};
use super::time::{self, MIN_PAIRS};
use crate::analysis::noise;
use crate::record::manifest::Build;
use crate::record::version::NotComparable;
use crate::registry::Registry;
use crate::run::child::{Launch, StartError};
use crate::system::load::Ticks;

/// What one pass of the gate measures and compares.
pub struct Gate<'a> {
    /// What to measure, and which increases to tolerate.
    pub config: &'a Config,
    /// The recorded costs. `None` if nothing has been recorded yet.
    pub baseline: Option<&'a Baseline>,
    /// The revision whose CPU time is compared. `None` if CPU time is not compared.
    pub against: Option<&'a Revision>,
    /// Whether it is a regression if this build is slower than `against`. Otherwise it is only reported.
    pub time_gates: bool,
    /// When instructions are counted.
    pub instructions: Instructions,
    /// Whether the costs become the baseline.
    pub record: Record,
    /// The backends that the configuration can name.
    pub registry: &'a Registry,
    /// How this program was built.
    pub build: &'a Build,
    /// How many cells are measured in parallel. Timed cells run alone.
    pub jobs: usize,
    /// Time limit for one cell, its set-up included.
    pub timeout: Duration,
}

/// The cases in which instructions are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// Never.
    No,
    /// If they can be compared with the baseline.
    Compared,
    /// If there is a valgrind, because they are recorded.
    Recorded,
}

/// Shows the progress of the gate.
pub trait Watch: Sync {
    /// A part begins, with this number of steps; 0 if the number is not known.
    fn part(&self, name: &'static str, steps: u64);
    /// A step of the part is done.
    fn step(&self);
    /// Something begins that takes long and has no steps.
    fn say(&self, text: &str);
}

/// What was measured, ready to be recorded.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Exact figures by cell name.
    pub cells: Cells,
    /// Instruction counts. `None` if they were not counted.
    pub instructions: Option<RecordedInstructions>,
}

/// Why the gate cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The seeds differ: other randomness gives other bytes.
    #[error(
        "the baseline was recorded with seed {recorded}, but the configuration has seed {configured}; try the same seed, \
         or another baseline"
    )]
    Seed {
        /// The baseline's seed.
        recorded: u64,
        /// The configuration's seed.
        configured: u64,
    },
    /// This program is not a release build, as the other revision will be.
    #[error(
        "this program is not a release build, but the other revision will be one; try the gate with `cargo run --release`"
    )]
    NotRelease,
    /// Too few pairs for a decision.
    #[error(
        "--time-gates with {pairs} pairs would often fail without a cause; try at least {MIN_PAIRS} in [time], such as \
         groups = 2 and runs = 10"
    )]
    FewPairs {
        /// How many pairs of each backend the configuration asks for.
        pairs: u64,
    },
    /// There is nothing of which to compare the CPU time.
    #[error(
        "the configuration names no backend in [time], so --against would compare nothing; try backends = [\"dcgka\"] there"
    )]
    NothingTimed,
    /// The other revision cannot be built.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The other revision's runners speak another version.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
    /// A runner does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The system does not say where this program is.
    #[error("cannot find this program: {0}")]
    Program(#[from] io::Error),
    /// Threads cannot be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Whether the costs can be compared at all, before anything is written or measured.
///
/// # Errors
/// They cannot.
pub fn check(gate: &Gate<'_>) -> Result<(), GateError> {
    if let Some(baseline) = gate.baseline.filter(|baseline| baseline.seed != gate.config.seed) {
        return Err(GateError::Seed { recorded: baseline.seed, configured: gate.config.seed });
    }
    if gate.against.is_some() && !gate.build.profile.starts_with("release") {
        return Err(GateError::NotRelease);
    }
    if gate.against.is_some() && gate.config.time.is_empty() {
        return Err(GateError::NothingTimed);
    }
    let pairs = u64::from(gate.config.pairs.groups) * u64::from(gate.config.pairs.runs);
    if gate.time_gates && pairs < MIN_PAIRS as u64 {
        return Err(GateError::FewPairs { pairs });
    }
    Ok(())
}

/// Measures, compares and reports.
///
/// # Errors
/// Nothing can be compared. Failures of single cells are in the report instead.
pub fn run(gate: &Gate<'_>, watch: &dyn Watch) -> Result<(Report, Measured), GateError> {
    check(gate)?;
    let Gate { config, baseline, .. } = *gate;
    let build = |revision: &Revision| revision.build(gate.build, &mut |text| watch.say(text));
    let other = gate.against.map(build).transpose()?;
    if let Some(other) = &other {
        time::check(config, &other.launch)?;
    }

    let mut report = Report::new(gate.build, baseline);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(gate.jobs).build()?;
    let this = Launch::this_program()?;

    watch.part("messages, bytes and primitive counts", (config.backends.len() * config.operations.len()) as u64);
    let exact = pool.install(|| exact::measure(config, &this, gate.timeout, &|| watch.step()))?;
    let known = |cells: &Cells| cells.iter().map(|(cell, figures)| (cell.clone(), figures.is_some())).collect();
    let recorded = baseline.map(|baseline| known(&baseline.cells)).unwrap_or_default();
    report.exact = Coverage::new(&recorded, &config.cells(), &known(&exact.cells));
    report.trouble = exact.trouble;
    if let Some(baseline) = baseline {
        report.changes = comparison::exact(config, &baseline.cells, &exact.cells);
    }

    let instructions = gate.count_instructions(&pool, &exact.cells, &mut report, watch);

    if let Some(other) = &other {
        watch.part("CPU time in pairs", time::pairs(config));
        let worse = if gate.time_gates { Verdict::Regression } else { Verdict::Advisory };
        let start = Ticks::now([]);
        let timed = time::measure(config, (&other.launch, &this), gate.timeout, worse, &mut || watch.step());
        let others = Ticks::now([]).zip(start).and_then(|(now, start)| now.others_busy_since(start));
        report.changes.extend(timed.changes);
        report.notes.extend(timed.notes);
        report
            .notes
            .extend(gate.against.map(|revision| format!("CPU time is compared with commit {}", revision.commit)));
        report.notes.extend(other.differences.iter().cloned());
        report.notes.extend(others.and_then(noise::busy).map(|busy| format!("while CPU time was compared, {busy}")));
        report.trouble.extend(timed.trouble);
    }
    let measured = Measured { cells: exact.cells, instructions };
    if let Some(baseline) = baseline.filter(|_| gate.record != Record::No) {
        report.dropped = measured.lacks(baseline);
    }
    Ok((report.conclude(gate.record), measured))
}

impl Gate<'_> {
    /// Counts instructions if possible, and compares them if the conditions are the same. Otherwise a note says why not.
    fn count_instructions(
        &self,
        pool: &rayon::ThreadPool,
        cells: &Cells,
        report: &mut Report,
        watch: &dyn Watch,
    ) -> Option<RecordedInstructions> {
        let recorded = self.baseline.and_then(|baseline| baseline.instructions.as_ref());
        let known = |counts: &RecordedInstructions| counts.cells.keys().map(|cell| (cell.clone(), true)).collect();
        let (recorded_cells, named) = (recorded.map(known).unwrap_or_default(), self.config.counted_cells());
        report.instructions = Coverage::skipped(&recorded_cells, &named);
        if self.instructions == Instructions::No {
            if !report.instructions.skipped.is_empty() {
                report.skip_instructions("--exact leaves them out");
            }
            return None;
        }
        let must_compare = self.instructions == Instructions::Compared;
        if recorded.is_none() && must_compare {
            report.skip_instructions("the baseline has none");
            return None;
        }
        let cpu = recorded.map_or_else(Cpu::seen, |recorded| recorded.conditions.cpu.clone());
        let conditions = match Conditions::here(self.build, cpu) {
            Ok(conditions) => conditions,
            Err(error) => {
                report.skip_instructions(&error.to_string());
                return None;
            }
        };
        let difference = |conditions: &Conditions| conditions.difference(&recorded?.conditions);
        // Some differences are known before anything is counted.
        if let Some(difference) = difference(&conditions).filter(|_| must_compare) {
            report.skip_instructions(&difference);
            return None;
        }
        watch.part("instructions", 0);
        let (counts, cpu) = match pool.install(|| instructions::count(self.config, self.registry)) {
            Ok(counted) => counted,
            Err(error) => {
                report.trouble.push(format!("instructions: {error}"));
                report.instructions = Coverage::new(&recorded_cells, &named, &Known::new());
                return None;
            }
        };
        let now = RecordedInstructions { conditions: Conditions { cpu, ..conditions }, cells: counts };
        if let Some(difference) = difference(&now.conditions) {
            report.skip_instructions(&difference);
            return Some(now);
        }
        report.instructions = Coverage::new(&recorded_cells, &named, &known(&now));
        if let (Some(baseline), Some(recorded)) = (self.baseline, recorded) {
            let before = (recorded, &baseline.cells);
            report.changes.extend(comparison::instructions(self.config, before, (&now, cells)));
        }
        Some(now)
    }
}

impl Measured {
    /// The cells of a baseline whose figures this would lack as a baseline.
    fn lacks(&self, baseline: &Baseline) -> Vec<String> {
        let has_figures = |cell: &String| self.cells.get(cell).is_some_and(Option::is_some);
        let lost = baseline.cells.iter().filter(|(cell, figures)| match figures {
            Some(_) => !has_figures(cell),
            None => !self.cells.contains_key(*cell),
        });
        let exact = lost.map(|(cell, _)| cell.clone());
        let counted = |counts: &RecordedInstructions, cell: &String| counts.cells.contains_key(cell);
        let recorded = baseline.instructions.iter().flat_map(|counts| counts.cells.keys());
        let lost = recorded.filter(|cell| !self.instructions.as_ref().is_some_and(|counts| counted(counts, cell)));
        exact.chain(lost.map(|cell| format!("instructions of {cell}"))).collect()
    }

    /// The measured costs as a baseline.
    #[must_use]
    pub fn into_baseline(self, reason: String, recorded_unix: u64, build: Build, seed: u64) -> Baseline {
        let Self { cells, instructions } = self;
        Baseline { reason, recorded_unix, build, seed, cells, instructions }
    }
}
