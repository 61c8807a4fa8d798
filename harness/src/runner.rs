//! The process that measures. It serves one backend: a line in is a cell, a line out is its sample.
//!
//! The parent owns iterations, order, seeds and time-outs; the runner owns the group's state, the clock and the calibration
//! of primitives. It ends with its standard input, and so with its parent; on Linux at once, in the middle of a cell too.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use protocol::conformance;
use protocol::member::Backend;

use crate::calibrate;
use crate::cell::{Bench, Cell, Outcome};
use crate::cell_protocol::{self, Hello, NotComparable, Request, VERSION, Verdict, Welcome};
use crate::manifest::Conformance;
use crate::meter;
use crate::proof::Refusal;
use crate::randomness::Origin;
use crate::registry::{self, Registry, UnknownBackend};
use crate::sample::{SCHEMA, Sample, Status};

/// Why a runner stops before its input ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The backend does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// The parent is another program.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
    /// A line is not what it should be.
    #[error("a line that is no request: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The first line has no version.
    #[error("the first line has no protocol version")]
    NoVersion,
    /// An operation that does not exist.
    #[error("there is no operation `{0}`")]
    UnknownOperation(String),
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Input or output failed.
    #[error("cannot talk with the parent: {0}")]
    Io(#[from] io::Error),
}

/// Serves the backend of this name and variant on standard input and output until the input ends: the hidden
/// subcommand `runner --backend NAME --variant VARIANT`.
///
/// # Errors
/// As [`ServeError`] says.
pub fn serve(registry: &Registry, name: &str, variant: &str) -> Result<(), ServeError> {
    // A cell can take minutes, and only after it would the end of the input be seen.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)?;
    let make = registry.constructor(&registry::join(name, variant))?;
    serve_on(&make, io::stdin().lock(), io::stdout().lock())
}

/// [`serve`] on other streams. `make` gives independent instances of the backend, of which one is measured.
///
/// # Errors
/// As [`ServeError`] says.
pub fn serve_on(
    make: &dyn Fn() -> Box<dyn Backend>,
    input: impl BufRead,
    mut output: impl Write,
) -> Result<(), ServeError> {
    let backend = &*make();
    let mut lines = input.lines();
    let Some(first) = lines.next().transpose()? else { return Ok(()) };
    let theirs = cell_protocol::version_of(&first).ok_or(ServeError::NoVersion)?;
    // The answer names our version, whatever theirs is, so that the parent can say what is wrong.
    answer(&mut output, &welcome(backend))?;
    cell_protocol::same_version("cell protocol", VERSION, theirs)?;
    let hello: Hello = serde_json::from_str(&first)?;
    if hello.conformance {
        answer(&mut output, &verdict(make))?;
    }
    let mut bench = Bench::new(backend, hello.jobs)?;
    for line in lines {
        let request: Request = serde_json::from_str(&line?)?;
        answer(&mut output, &measure(backend, &mut bench, &request)?)?;
    }
    Ok(())
}

fn welcome(backend: &dyn Backend) -> Welcome {
    let description = backend.description();
    // The first use of each primitive builds tables and wakes the processor up.
    let _warm_up = calibrate::primitives();
    Welcome {
        protocol: VERSION,
        schema: SCHEMA,
        backend: description.name.to_owned(),
        variant: description.variant.to_owned(),
        clock_read_ns: meter::clock_read_ns(),
        primitive_ns: calibrate::primitives(),
    }
}

fn verdict(make: &dyn Fn() -> Box<dyn Backend>) -> Verdict {
    match conformance::check(make) {
        Ok(report) => Verdict::Passed(Conformance {
            checks: report.passed.into_iter().map(|(check, situations)| (check.to_owned(), situations)).collect(),
            notes: report.notes.into_iter().map(str::to_owned).collect(),
        }),
        Err(violation) => Verdict::Violated(violation.to_string()),
    }
}

fn answer(output: &mut impl Write, line: &impl serde::Serialize) -> Result<(), ServeError> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    output.write_all(&bytes)?;
    output.flush()?;
    Ok(())
}

fn measure(backend: &dyn Backend, bench: &mut Bench<'_>, request: &Request) -> Result<Sample, ServeError> {
    let operation = request.operation.parse().map_err(|_| ServeError::UnknownOperation(request.operation.clone()))?;
    let group_size = usize::try_from(request.group_size).unwrap_or(usize::MAX);
    let origin = Origin { seed: request.seed, group_size, iteration: request.iteration };
    let description = backend.description();
    let empty = empty_sample(description.name, description.variant, request);
    let cell = Cell { operation, origin };
    Ok(match bench.run(&cell) {
        Ok(Outcome { proof, traffic, work, state_bytes, primitive_ns, peak_bytes }) => Sample {
            status: Status::Ok,
            proof,
            traffic,
            work,
            state_bytes,
            primitive_ns,
            peak_bytes: peak_bytes.filter(|_| request.peak),
            ..empty
        },
        Err(refusal @ (Refusal::Unsupported | Refusal::NeedsTotalOrder)) => {
            Sample { status: Status::Unsupported, reason: refusal.to_string(), ..empty }
        }
        Err(refusal) => Sample { status: Status::Refused, reason: refusal.to_string(), ..empty },
    })
}

/// The sample of a cell of which nothing is known.
#[must_use]
pub(crate) fn empty_sample(backend: &str, variant: &str, request: &Request) -> Sample {
    let Request { run_id, operation, group_size, iteration, seed, .. } = request;
    Sample {
        schema: SCHEMA,
        run_id: run_id.clone(),
        cell_id: cell_protocol::cell_id(backend, variant, operation, *group_size, *iteration),
        backend: backend.to_owned(),
        variant: variant.to_owned(),
        operation: operation.clone(),
        group_size: *group_size,
        iteration: *iteration,
        seed: *seed,
        status: Status::Crash,
        reason: String::new(),
        proof: String::new(),
        traffic: Vec::new(),
        work: Vec::new(),
        state_bytes: BTreeMap::new(),
        peak_bytes: None,
        primitive_ns: BTreeMap::new(),
    }
}
