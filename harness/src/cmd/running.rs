//! Running a plan before the user's eyes.

use std::fs;
use std::io;
use std::path::Path;

use harness::plan::Plan;
use harness::report;
use harness::sample::{Sample, Status};
use harness::schedule::{self, MeasureError, Progress, Run};
use harness::store;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, INCOMPLETE, INTERRUPTED, OK, complain};

const BAR: &str = "{bar:32} {pos}/{len} {elapsed} (left: {eta}) {msg}";

/// Measures, with a bar on standard error where that is a terminal. An interrupt or a request to terminate ends the
/// program, and with it its runners.
pub(super) fn run(plan: &Plan) -> Result<Run, Failure> {
    end_on_interrupt(plan.out.as_deref())?;
    let bar = bar(0);
    // The bar moves with each sample only: a thread that keeps it moving would disturb the clock.
    let run = schedule::measure(plan, &mut |progress| match progress {
        Progress::Start { total, done } => {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            bar.reset_eta();
        }
        Progress::Task(task) => {
            let name = task.choice.full_name();
            bar.set_message(format!("{name} {} {} #{}", task.operation, task.group_size, task.iteration));
        }
        Progress::Sample(_) => bar.inc(1),
    });
    bar.finish_and_clear();
    run.map_err(|error: MeasureError| error.into())
}

/// A bar on standard error, where that is a terminal.
pub(super) fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The command, for the manifest. Where the program lies is this machine's affair.
pub(super) fn argv() -> Vec<String> {
    let mut argv: Vec<String> = std::env::args().collect();
    if let Some(program) = argv.first_mut() {
        *program = Path::new(program).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    }
    argv
}

/// Complains of runs that do not count, and gives the exit code that they ask for. What a backend cannot do is no
/// failure.
pub(super) fn verdict(samples: &[Sample]) -> u8 {
    let counts = |sample: &&Sample| matches!(sample.status, Status::Ok | Status::Unsupported);
    match samples.iter().find(|sample| !counts(sample)) {
        None => OK,
        Some(first) => {
            let failed = samples.iter().filter(|sample| !counts(sample)).count();
            let total = samples.len();
            complain(&format!(
                "{failed} of {total} runs do not count; the first is {}: {}",
                first.cell_id, first.reason
            ));
            INCOMPLETE
        }
    }
}

/// Removes the files of an earlier run, and nothing else.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    let names = report::names().into_iter().chain([store::MANIFEST, store::SAMPLES].map(str::to_owned));
    for name in names {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && error.kind() != io::ErrorKind::NotADirectory => {
                let text = format!("cannot replace the run in {}: {error}", directory.display());
                return Err(io::Error::new(error.kind(), text));
            }
            _ => (),
        }
    }
    Ok(())
}

pub(super) fn end_on_interrupt(out: Option<&Path>) -> Result<(), io::Error> {
    let text = match out {
        Some(out) => format!(
            "\ninterrupted: what was measured is in {}; the same command with --resume goes on with it",
            out.display()
        ),
        None => "\ninterrupted: without --out nothing is kept".to_owned(),
    };
    let handler = move || {
        complain(&text);
        // A sample is added by one write and every other file is moved to its place, so nothing is left in halves.
        std::process::exit(INTERRUPTED.into());
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
