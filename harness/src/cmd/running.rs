//! Runs a plan and shows its progress.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::failure::{Failure, INCOMPLETE, INTERRUPTED, OK};
use super::output::complain;
use super::time_left::TimeLeft;
use crate::record::sample::{Sample, Status};
use crate::run::plan::{Choice, Plan};
use crate::run::schedule::{self, MeasureError, Progress, Run};
use crate::system::cleanup;

const BAR: &str = "{bar:32} {pos}/{len} {elapsed} {left} {msg}";

/// Measures, with a progress bar on standard error if that is a terminal. An interrupt or a request to terminate ends the
/// program and its runners.
pub(super) fn run(plan: &Plan) -> Result<Run, Failure> {
    end_on_interrupt(plan.out.as_deref())?;
    let left = Arc::new(Mutex::new(TimeLeft::default()));
    let time_left = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let bar = bar(0, Arc::clone(&left));
    let run = schedule::measure(plan, &mut |progress| match progress {
        Progress::Start { total, left } => {
            bar.set_length(total as u64);
            bar.set_position((total - left.len()) as u64);
            *time_left() = TimeLeft::of(left.to_vec());
        }
        Progress::Conformance => bar.set_message("conformance suite"),
        Progress::Task(task) => {
            time_left().begins(task, Instant::now());
            let name = task.choice.full_name();
            bar.set_message(format!("{name} {} {} #{}", task.operation, task.group_size, task.iteration));
        }
        Progress::Sample(sample) => {
            let choice = Choice { backend: sample.backend.clone(), variant: sample.variant.clone() };
            time_left().ends(&choice, sample.operation, sample.group_size, sample.iteration, Instant::now());
            bar.inc(1);
        }
    });
    bar.finish_and_clear();
    run.map_err(|error: MeasureError| error.into())
}

/// A progress bar on standard error, hidden if that is not a terminal. A thread draws it every second: that takes a tenth of a
/// millisecond, of another process than those that time.
pub(super) fn bar(length: u64, left: Arc<Mutex<TimeLeft>>) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let show = move |_: &ProgressState, out: &mut dyn fmt::Write| {
        let left = left.lock().unwrap_or_else(PoisonError::into_inner).now(Instant::now());
        let _ = match left {
            Some(left) => write!(out, "(left: about {})", HumanDuration(Duration::from_secs(left.as_secs() + 1))),
            None => Ok(()),
        };
    };
    let bar = match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style.with_key("left", show)),
        Err(_) => bar,
    };
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// The command, for the manifest. The directory of the program is left out, because it depends on the machine. A byte that is
/// not part of a UTF-8 text is written as `\xNN`.
pub(super) fn argv() -> Vec<String> {
    let mut argv: Vec<OsString> = std::env::args_os().collect();
    if let Some(program) = argv.first_mut() {
        *program = Path::new(program).file_name().unwrap_or_default().to_owned();
    }
    argv.iter().map(|argument| readable(argument)).collect()
}

fn readable(text: &OsStr) -> String {
    let chunks = text.as_encoded_bytes().utf8_chunks();
    let bytes = |chunk: &[u8]| chunk.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    chunks.map(|chunk| chunk.valid().to_owned() + &bytes(chunk.invalid())).collect()
}

/// Reports samples that do not count, and returns the exit code. An operation that a backend does not have is no failure,
/// unless nothing else was measured.
pub(super) fn verdict(samples: &[Sample]) -> u8 {
    let counts = |sample: &&Sample| matches!(sample.status, Status::Ok | Status::Unsupported);
    match samples.iter().find(|sample| !counts(sample)) {
        None if samples.iter().any(|sample| sample.status == Status::Ok) => OK,
        None => {
            let why = samples.first().map_or_else(
                || "the run has no samples".to_owned(),
                |first| format!("{}: {}", first.cell_id, first.reason),
            );
            complain(&format!("nothing was measured: {why}"));
            INCOMPLETE
        }
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
        cleanup::clear();
        // A sample is appended by one write, and every other file is moved into place, so nothing is left half written.
        std::process::exit(INTERRUPTED.into());
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}

/// The exit code of a run. Says once more which backends could not be measured.
pub(super) fn ended(run: &Run) -> u8 {
    let left_out = &run.manifest.left_out;
    left_out.values().for_each(|why| complain(&format!("not measured: {why}")));
    if left_out.is_empty() { verdict(&run.samples) } else { INCOMPLETE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_named() {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(readable(OsStr::from_bytes(b"d\xff/\xc3\xa4\xc3")), "d\\xff/\u{e4}\\xc3");
    }

    #[test]
    fn a_run_in_which_nothing_was_measured_is_incomplete() {
        let of = |status| Sample { status, ..synthetic::remove() };
        assert_eq!(verdict(&[of(Status::Ok), of(Status::Unsupported)]), OK);
        for samples in [vec![], vec![of(Status::Unsupported)], vec![of(Status::Ok), of(Status::Refused)]] {
            assert_eq!(verdict(&samples), INCOMPLETE);
        }
    }
}
