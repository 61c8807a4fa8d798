//! Runs a plan and shows its progress.

use std::fs;
use std::io;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::{Failure, INCOMPLETE, INTERRUPTED, OK};
use super::output::complain;
use crate::record::sample::{Sample, Status};
use crate::record::store;
use crate::report::files;
use crate::run::plan::Plan;
use crate::run::schedule::{self, MeasureError, Progress, Run};

const BAR: &str = "{bar:32} {pos}/{len} {elapsed} (left: {eta}) {msg}";

/// Measures, with a progress bar on standard error if that is a terminal. An interrupt or a request to terminate ends the
/// program and its runners.
pub(super) fn run(plan: &Plan) -> Result<Run, Failure> {
    end_on_interrupt(plan.out.as_deref())?;
    let bar = bar(0);
    // The bar moves only when a sample is done: a thread that keeps it moving would disturb the timers.
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

/// A progress bar on standard error, hidden if that is not a terminal.
pub(super) fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The command, for the manifest. The directory of the program is left out, because it depends on the machine.
pub(super) fn argv() -> Vec<String> {
    let mut argv: Vec<String> = std::env::args().collect();
    if let Some(program) = argv.first_mut() {
        *program = Path::new(program).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    }
    argv
}

/// Reports samples that do not count, and returns the exit code. An operation that a backend does not have is no failure.
pub(super) fn verdict(samples: &[Sample]) -> u8 {
    let counts = |sample: &&Sample| matches!(sample.status, Status::Ok | Status::Unsupported);
    match samples.iter().find(|sample| !counts(sample)) {
        None => OK,
        Some(first) => {
            let failed = samples.iter().filter(|sample| !counts(sample)).count();
            let total = samples.len();
            complain(&format!(
                "{failed} of {total} samples do not count; the first is {}: {}",
                first.cell_id, first.reason
            ));
            INCOMPLETE
        }
    }
}

/// Makes room for a run in a default directory. The earlier run is removed only if nothing prevents the new one.
pub(super) fn replace_earlier(plan: &Plan) -> Result<(), Failure> {
    if let Some(out) = plan.out.as_deref().filter(|_| !plan.resume) {
        schedule::check(plan)?;
        clear(out)?;
    }
    Ok(())
}

/// Removes the files of an earlier run, and nothing else.
fn clear(directory: &Path) -> io::Result<()> {
    let names = files::names().into_iter().chain([store::MANIFEST, store::SAMPLES].map(str::to_owned));
    for name in names {
        match fs::remove_file(directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && error.kind() != io::ErrorKind::NotADirectory => {
                let text = format!(
                    "cannot replace the run in {}: {error}; try another directory with --out",
                    directory.display()
                );
                return Err(io::Error::new(error.kind(), text));
            }
            _ => (),
        }
    }
    Ok(())
}

/// Ends the program with its exit code when it is interrupted or asked to terminate.
pub(super) fn end_on_interrupt(out: Option<&Path>) -> Result<(), io::Error> {
    let text = match out {
        Some(out) => {
            format!("\ninterrupted: the samples so far are in {}; try the same command with --resume", out.display())
        }
        None => "\ninterrupted: nothing was recorded".to_owned(),
    };
    let handler = move || {
        complain(&text);
        // A sample is appended by one write, and every other file is moved into place, so nothing is left half written.
        std::process::exit(INTERRUPTED.into());
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
