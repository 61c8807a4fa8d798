//! The verbs of the command line, one file each, and what they share.
//!
//! Data goes to standard output, progress and complaints to standard error.

mod compare;
mod export;
mod gate;
mod list;
mod measure;
mod options;
mod plot;
mod report;
mod reproduce;
mod running;
mod soak;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use harness::gate::instructions;
use harness::recorded::OpenError;
use harness::registry::{Registry, UnknownBackend};
use harness::report::ReportError;
use harness::runner::{self, ServeError};
use harness::schedule::MeasureError;
use harness::store::StoreError;

/// Measures group key agreement protocols: CPU time and traffic of each operation.
#[derive(Parser)]
#[command(name = "harness", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all right, 1 error (such as an unwritable --out), 2 wrong usage, 3 a claim does not hold or a cost has grown, 4 incomplete,
5 not comparable, 130 interrupted.";

#[derive(Subcommand)]
enum Verb {
    /// Measures the paper's whole grid, compares it with the published figures and checks the paper's claims.
    Reproduce(reproduce::Options),
    /// Measures what is asked for.
    Measure(measure::Options),
    /// Measures backends side by side and compares each with a reference.
    Compare(compare::Options),
    /// Draws the pictures of a recorded run.
    Plot(plot::Options),
    /// Writes a recorded run in another form.
    Export(export::Options),
    /// Writes the tables of a recorded comparison into a Markdown file.
    Report(report::Options),
    /// Compares the costs of this build with the recorded baseline, for CI.
    Gate(gate::Options),
    /// Runs random schedules with crashes, partitions and damage, and stops at the smallest that breaks an invariant.
    Soak(soak::Options),
    /// Lists the backends.
    List(list::Options),
    /// Serves cells on standard input and output.
    #[command(hide = true)]
    Runner(Runner),
    /// Replays a member's part in an update, for counting its instructions.
    #[command(hide = true)]
    Replay {
        /// What was recorded
        recording: PathBuf,
    },
}

#[derive(Args)]
struct Runner {
    #[arg(long)]
    backend: String,
    #[arg(long, default_value = "")]
    variant: String,
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let registry = Registry::built_in();
    let result = match Cli::parse().verb {
        Verb::Reproduce(options) => reproduce::run(&options, &registry),
        Verb::Measure(options) => measure::run(&options, &registry),
        Verb::Compare(options) => compare::run(&options, &registry),
        Verb::Plot(options) => plot::run(&options),
        Verb::Export(options) => export::run(&options),
        Verb::Report(options) => report::run(&options),
        Verb::Gate(options) => gate::run(&options, &registry),
        Verb::Soak(options) => soak::run(&options, &registry),
        Verb::List(options) => list::run(&options, &registry),
        Verb::Runner(options) => {
            runner::serve(&registry, &options.backend, &options.variant).map(|()| 0).map_err(Failure::from)
        }
        Verb::Replay { recording } => replay(&registry, &recording),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&format!("error: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn replay(registry: &Registry, recording: &Path) -> Result<u8, Failure> {
    let seen = instructions::replay_file(registry, recording).map_err(|error| Failure::new(ERROR, &error))?;
    print(&seen)?;
    Ok(OK)
}

/// Everything that was asked for was done.
const OK: u8 = 0;
const ERROR: u8 = 1;
const USAGE: u8 = 2;
/// What was measured is worse than it should be.
const REGRESSION: u8 = 3;
/// Some runs do not count.
const INCOMPLETE: u8 = 4;
const NOT_COMPARABLE: u8 = 5;
const INTERRUPTED: u8 = 130;

/// Why a command failed, and the exit code for it.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, error: &dyn std::error::Error) -> Self {
        Self { code, message: error.to_string() }
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        Self::new(error.exit_code(), &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(error.exit_code(), &error)
    }
}

impl From<UnknownBackend> for Failure {
    fn from(error: UnknownBackend) -> Self {
        Self::new(USAGE, &error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let code = match error {
            ServeError::Unknown(_) => USAGE,
            ServeError::NotComparable(_) => NOT_COMPARABLE,
            _ => ERROR,
        };
        Self::new(code, &error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        MeasureError::from(error).into()
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        Self::new(ERROR, &error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(ERROR, &error)
    }
}

impl From<csv::Error> for Failure {
    fn from(error: csv::Error) -> Self {
        Self::new(ERROR, &error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(ERROR, &error)
    }
}

impl From<harness::paper::Malformed> for Failure {
    fn from(error: harness::paper::Malformed) -> Self {
        Self::new(ERROR, &error)
    }
}

/// Writes data to standard output. Whoever reads it may have had enough before its end: that is no error.
fn print(data: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to standard error, if anybody listens.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
