//! The process that measures. It serves one backend: it reads a line for each requested cell, and writes a line with
//! the sample.
//!
//! The parent is in charge of iterations, order, seeds and time-outs; the runner is in charge of the group's state, the
//! clock and the calibration of primitives. The runner ends with its standard input, and so with its parent. On Linux
//! it ends immediately, even in the middle of a cell.

use std::cell::{self, RefCell};
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use protocol::conformance::{self, Report, Violation};
use protocol::crypto::count;
use protocol::member::Backend;

use super::apart;
use super::cell_protocol::{self, Hello, Request, Turn, Verdict, Welcome, unmeasured};
use super::child::Launch;
use crate::measure::calibrate::{self, Wanted};
use crate::measure::cell::{Bench, Cell, Outcome, Turns};
use crate::measure::inspection::Repetition;
use crate::measure::meter;
use crate::measure::randomness::Origin;
use crate::measure::replay::Recording;
use crate::measure::validation::Refusal;
use crate::record::about::About;
use crate::record::manifest::{Conformance, LargeGroup};
use crate::record::name::join;
use crate::record::sample::{Sample, Status};
use crate::record::version::{CELL_PROTOCOL, NotComparable, SCHEMA, same_version};
use crate::registry::{Registry, UnknownBackend};
use crate::system::process;

/// The hidden subcommand.
pub const VERB: &str = "runner";

/// Why a runner stops before its input ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No backend has the requested name.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// The parent uses another version of the cell protocol.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
    /// A line cannot be parsed.
    #[error("cannot parse a line from the parent: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The first line has no version.
    #[error("the first line has no protocol version")]
    NoVersion,
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Reading from or writing to the parent failed.
    #[error("cannot communicate with the parent: {0}")]
    Io(#[from] io::Error),
}

/// Serves the backend of this name and variant on standard input and output until the input ends. This is the hidden
/// subcommand `runner --backend NAME --variant VARIANT`. `parts` says how to start [`apart::serve`] in a process of its own;
/// without it, samples say that this was not made. The process must do nothing else meanwhile.
///
/// # Errors
/// The cases of [`ServeError`].
pub fn serve(registry: &Registry, name: &str, variant: &str, parts: Option<&Launch>) -> Result<(), ServeError> {
    let make = registry.constructor(&join(name, variant))?;
    serve_made(&make, parts)
}

/// Like [`serve`], with a function that makes independent instances of the backend.
///
/// # Errors
/// The cases of [`ServeError`].
pub fn serve_made(make: &dyn Fn() -> Box<dyn Backend>, parts: Option<&Launch>) -> Result<(), ServeError> {
    // A cell can take minutes, and the runner sees the end of its input only after the cell.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)?;
    count::declare_alone();
    process::adopt_orphans()?;
    serve_with(make, parts, io::stdin().lock(), io::stdout().lock())
}

/// Like [`serve`], but on other streams, and in a process that may do other things too. `make` makes independent instances
/// of the backend, one of which is measured.
///
/// # Errors
/// The cases of [`ServeError`].
pub fn serve_on(
    make: &dyn Fn() -> Box<dyn Backend>,
    input: impl BufRead,
    output: impl Write,
) -> Result<(), ServeError> {
    serve_with(make, None, input, output)
}

fn serve_with(
    make: &dyn Fn() -> Box<dyn Backend>,
    parts: Option<&Launch>,
    input: impl BufRead,
    mut output: impl Write,
) -> Result<(), ServeError> {
    let backend = &*make();
    let line =
        Line { lines: RefCell::new(input.lines()), output: RefCell::new(&mut output), asks: cell::Cell::new(false) };
    let Some(first) = line.next()? else { return Ok(()) };
    let theirs = cell_protocol::version_of(&first).ok_or(ServeError::NoVersion)?;
    // The answer has our version, even if theirs is another one, so that the parent can report the difference.
    line.answer(&welcome(backend))?;
    same_version("cell protocol", CELL_PROTOCOL, theirs)?;
    let hello: Hello = serde_json::from_str(&first)?;
    if hello.conformance {
        line.answer(&verdict(make, hello.largest))?;
    }
    let apart = |recording: &Recording| match parts {
        Some(launch) => apart::repeat(launch, recording),
        None => Repetition::NotMade("this program does not say how to start them".to_owned()),
    };
    let mut bench = Bench::new(backend, hello.jobs)?.with_processes(&apart).with_turns(&line);
    while let Some(request) = line.next()? {
        let request: Request = serde_json::from_str(&request)?;
        line.asks.set(request.asks);
        line.answer(&measure(backend, &mut bench, &request))?;
    }
    Ok(())
}

/// The connection to the parent.
struct Line<I, O> {
    lines: RefCell<I>,
    output: RefCell<O>,
    /// Whether the request asks the runner to ask for its turn.
    asks: cell::Cell<bool>,
}

impl<I: Iterator<Item = io::Result<String>>, O: Write> Line<I, O> {
    fn next(&self) -> io::Result<Option<String>> {
        self.lines.borrow_mut().next().transpose()
    }

    fn answer(&self, line: &impl serde::Serialize) -> Result<(), ServeError> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let mut output = self.output.borrow_mut();
        output.write_all(&bytes)?;
        output.flush()?;
        Ok(())
    }
}

/// If the parent is gone, nobody uses what is timed: the next line ends this process.
impl<I: Iterator<Item = io::Result<String>>, O: Write> Turns for Line<I, O> {
    fn begin(&self) {
        if self.asks.get() && self.answer(&Turn::Begin).is_ok() {
            let _go = self.next();
        }
    }

    fn end(&self) {
        if self.asks.get() {
            let _ = self.answer(&Turn::End);
        }
    }
}

fn welcome(backend: &dyn Backend) -> Welcome {
    let description = backend.description();
    // The first use of each primitive builds tables and wakes up the processor.
    let _warm_up = calibrate::primitives(Wanted::ALL);
    Welcome {
        protocol: CELL_PROTOCOL,
        schema: SCHEMA,
        backend: description.name.to_owned(),
        variant: description.variant.to_owned(),
        clock_read_ns: meter::clock_read_ns(),
        primitive_ns: calibrate::primitives(Wanted::ALL),
        about: Some(About::of(backend)),
        asks: true,
    }
}

fn verdict(make: &dyn Fn() -> Box<dyn Backend>, largest: u32) -> Verdict {
    match conforms(make, largest) {
        Ok(conformance) => Verdict::Passed(conformance),
        Err(violation) => Verdict::Violated(violation.to_string()),
    }
}

/// Runs the whole suite, as it must be passed before groups of up to `largest` members are measured.
fn conforms(make: &dyn Fn() -> Box<dyn Backend>, largest: u32) -> Result<Conformance, Violation> {
    let small = conformance::check(make)?;
    let mut conformance = Conformance {
        checks: checks(&small),
        notes: small.notes.into_iter().map(str::to_owned).collect(),
        not_made: small.not_made.into_iter().map(|(what, why)| (what.to_owned(), why.to_owned())).collect(),
        failed: small.failed.iter().map(|it| (it.check.to_owned(), it.to_string())).collect(),
        large_group: None,
    };
    if let Some(group_size) = conformance::large(&*make(), largest as usize) {
        let large = conformance::check_at(make, group_size)?;
        let group_size = u32::try_from(group_size).unwrap_or(u32::MAX);
        conformance.large_group = Some(LargeGroup { group_size, checks: checks(&large) });
        let failed =
            large.failed.iter().map(|it| (format!("{}, in a group of {group_size}", it.check), it.to_string()));
        conformance.failed.extend(failed);
        for (what, why) in large.not_made {
            // What is not made in small groups either is said once.
            if !conformance.not_made.contains_key(what) {
                conformance.not_made.insert(format!("{what}, in a group of {group_size}"), why.to_owned());
            }
        }
    }
    Ok(conformance)
}

fn checks(report: &Report) -> BTreeMap<String, u32> {
    report.passed.iter().map(|(check, situations)| ((*check).to_owned(), *situations)).collect()
}

fn measure(backend: &dyn Backend, bench: &mut Bench<'_>, request: &Request) -> Sample {
    let group_size = usize::try_from(request.group_size).unwrap_or(usize::MAX);
    let origin = Origin { seed: request.seed, group_size, iteration: request.iteration };
    let description = backend.description();
    let empty = unmeasured(description.name, description.variant, request);
    let cell = Cell { operation: request.operation, origin };
    // A process that measures peak memory does nothing else, and another one has inspected the cell.
    let result = match request {
        Request { peak: true, .. } => bench.run_again(&cell),
        Request { inspect: true, .. } => bench.run_inspected(&cell),
        _ => bench.run(&cell),
    };
    match result {
        Ok(Outcome { validation, traffic, work, state_bytes, rounds, primitive_ns, peak_bytes }) => Sample {
            status: Status::Ok,
            validation,
            traffic,
            work,
            state_bytes,
            rounds: Some(rounds),
            primitive_ns,
            peak_bytes: peak_bytes.filter(|_| request.peak),
            ..empty
        },
        Err(refusal @ Refusal::Unsupported) => {
            Sample { status: Status::Unsupported, reason: refusal.to_string(), ..empty }
        }
        Err(refusal) => Sample { status: Status::Refused, reason: refusal.to_string(), ..empty },
    }
}
