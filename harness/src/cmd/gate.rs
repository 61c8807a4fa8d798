//! `harness gate`: whether this build costs more than the recorded baseline, or than another revision.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use super::failure::{Failure, INCOMPLETE, OK, REGRESSION, USAGE};
use super::options::{self, JOBS, SECONDS, whole};
use super::output::{complain, print};
use super::running;
use crate::gate::baseline::{Baseline, BaselineError};
use crate::gate::config::Config;
use crate::gate::report::{Outcome, Record, Report};
use crate::gate::revision::Revision;
use crate::gate::{self, Gate, Instructions, Measured, Watch};
use crate::record::manifest::{self, Build};
use crate::record::program::Program;
use crate::registry::Registry;
use crate::report::files;
use crate::system::directory::Directory;

/// The names of the files in --out.
const MARKDOWN: &str = "gate.md";
const JSON: &str = "gate.json";

#[derive(Args)]
pub(super) struct Options {
    /// File of the recorded costs
    #[arg(long, value_name = "FILE", default_value = "results/baseline.json")]
    baseline: PathBuf,
    /// File that says what to measure and which increases to tolerate
    #[arg(long, value_name = "FILE", default_value = "gate.toml")]
    config: PathBuf,
    /// Compare messages, bytes and primitive counts, but no instructions
    #[arg(long)]
    exact: bool,
    /// Build another revision of this repository and compare CPU times with it
    #[arg(long, value_name = "REVISION", conflicts_with = "update_baseline")]
    against: Option<String>,
    /// Fail if this build is slower than --against [default: only report it]
    #[arg(long, requires = "against")]
    time_gates: bool,
    /// Tolerate this relative increase of a metric, such as instructions=0.02 [default: as --config says]
    #[arg(long, value_name = "METRIC=FRACTION", value_parser = threshold)]
    threshold: Vec<(String, f64)>,
    /// Record the costs of this build as the baseline
    #[arg(long, requires = "reason")]
    update_baseline: bool,
    /// Record the new baseline even if it lacks cells that the earlier one has
    #[arg(long, requires = "update_baseline")]
    drop_missing: bool,
    /// Reason for the new baseline, which is recorded in it
    #[arg(long, requires = "update_baseline", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
    /// Directory for gate.json, and for gate.md, a comment for a pull request [default: no files]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Format of the report on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Cells to measure in parallel; timed cells run alone [default: the number of processors; at most four times as many]
    #[arg(long, value_parser = whole::<u16>(JOBS))]
    jobs: Option<u16>,
    /// Time limit for one sample, its set-up included
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = whole::<u64>(SECONDS))]
    timeout: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text for a terminal
    Human,
    /// A comment for a pull request
    Markdown,
    /// One JSON object
    Json,
}

fn threshold(text: &str) -> Result<(String, f64), String> {
    let pair = text.split_once('=').and_then(|(metric, fraction)| Some((metric.to_owned(), fraction.parse().ok()?)));
    pair.ok_or_else(|| "a threshold must be a metric and a fraction; try --threshold instructions=0.02".to_owned())
}

pub(super) fn run(program: Program, options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let directories = Directories::lock(options)?;
    let mut config = Config::read(&options.config, registry)?;
    options.threshold.iter().try_for_each(|(metric, fraction)| config.tolerate(metric, *fraction))?;
    let against = options.against.as_ref().map(|name| Revision::find(Path::new("."), name, program)).transpose()?;
    let baseline = match Baseline::read(&options.baseline) {
        Err(BaselineError::Missing(_)) if options.update_baseline => None,
        read => Some(read?),
    };
    let build = Build::of_this_program(program)?;
    let gate = Gate {
        config: &config,
        baseline: baseline.as_ref(),
        against: against.as_ref(),
        time_gates: options.time_gates,
        instructions: options.instructions(),
        record: options.record(),
        registry,
        build: &build,
        jobs: options::jobs(options.jobs),
        timeout: Duration::from_secs(options.timeout),
    };
    gate::check(&gate)?;
    running::end_on_interrupt(None)?;
    let bar = running::bar(0, Arc::default());
    let result = gate::run(&gate, &Bar(&bar));
    bar.finish_and_clear();
    let (report, measured) = result?;
    if let Some(directory) = &directories.baseline {
        update(options, directory, &report, measured, &build, config.seed)?;
    }
    write(options, directories.out(), &report)?;
    Ok(match report.outcome {
        Outcome::Passed | Outcome::Recorded => OK,
        Outcome::Regression => REGRESSION,
        Outcome::Incomplete => INCOMPLETE,
    })
}

impl Options {
    fn instructions(&self) -> Instructions {
        match (self.exact, self.update_baseline) {
            (true, _) => Instructions::No,
            (false, true) => Instructions::Recorded,
            (false, false) => Instructions::Compared,
        }
    }

    fn record(&self) -> Record {
        match (self.update_baseline, self.drop_missing) {
            (false, _) => Record::No,
            (true, false) => Record::Complete,
            (true, true) => Record::Dropping,
        }
    }
}

/// The directories that are written, locked from before anything is measured.
struct Directories {
    /// That of the baseline, if it is recorded.
    baseline: Option<Directory>,
    /// That of the report, unless it is the same.
    report: Option<Directory>,
    is_same: bool,
}

impl Directories {
    fn lock(options: &Options) -> Result<Self, Failure> {
        for file in [&options.baseline, &options.config] {
            let is_report = |name: &str| options.out.as_ref().is_some_and(|out| is_same_file(file, &out.join(name)));
            if [MARKDOWN, JSON].into_iter().any(is_report) {
                let message = format!("{} would be overwritten by the report; try another --out", file.display());
                return Err(Failure { code: USAGE, message });
            }
        }
        let baseline = options.update_baseline.then(|| options::directory_of(&options.baseline)).transpose()?;
        let is_same = match (&baseline, &options.out) {
            (Some(baseline), Some(out)) => is_same_file(baseline.path(), out),
            _ => false,
        };
        let report = options.out.as_deref().filter(|_| !is_same).map(Directory::lock).transpose()?;
        let directories = Self { baseline, report, is_same };
        // An earlier report must not be taken for that of a gate that ends early.
        for name in [MARKDOWN, JSON] {
            match directories.out().map(|out| fs::remove_file(out.path().join(name))) {
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => (),
            }
        }
        Ok(directories)
    }

    fn out(&self) -> Option<&Directory> {
        if self.is_same { self.baseline.as_ref() } else { self.report.as_ref() }
    }
}

/// Whether both exist and are the same file or directory.
fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Progress on standard error.
struct Bar<'a>(&'a ProgressBar);

impl Watch for Bar<'_> {
    fn part(&self, name: &'static str, steps: u64) {
        self.0.reset();
        self.0.set_length(steps);
        self.0.set_message(name);
    }

    fn step(&self) {
        self.0.inc(1);
    }

    fn say(&self, text: &str) {
        self.0.suspend(|| complain(text));
    }
}

/// Records the measured costs as the baseline, if the report says so.
fn update(
    options: &Options,
    directory: &Directory,
    report: &Report,
    measured: Measured,
    build: &Build,
    seed: u64,
) -> Result<(), Failure> {
    let path = options.baseline.display();
    if report.outcome != Outcome::Recorded {
        let why = if report.trouble.is_empty() {
            "it has cells that the new baseline would lack; try --drop-missing if that is meant"
        } else {
            "some cells could not be measured"
        };
        let left = if options.baseline.exists() { "is left as it was" } else { "is not written" };
        complain(&format!("{path} {left}, because {why}"));
        return Ok(());
    }
    if measured.instructions.is_none() {
        complain("the new baseline has no instructions, so later runs will not compare them");
    }
    let reason = options.reason.clone().unwrap_or_default();
    let baseline = measured.into_baseline(reason, manifest::unix_seconds(), build.clone(), seed);
    baseline.write(directory, &options::name_of(&options.baseline))?;
    complain(&format!("{path} now has the costs of this build"));
    Ok(())
}

fn write(options: &Options, out: Option<&Directory>, report: &Report) -> Result<(), Failure> {
    let json = || serde_json::to_string_pretty(report).map(|text| text + "\n");
    if let Some(out) = out {
        files::write(out, MARKDOWN, report.markdown().as_bytes())?;
        files::write(out, JSON, json()?.as_bytes())?;
    }
    let text = match options.format {
        Format::Human => report.human(),
        Format::Markdown => report.markdown(),
        Format::Json => json()?,
    };
    print(text.as_bytes())?;
    Ok(())
}
