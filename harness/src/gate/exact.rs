//! Measures the exact figures of all cells: messages, bytes and primitive counts. The seed fixes them.
//!
//! No time is measured, so backends run in parallel. Each has one runner, in which the group of the create cell is the
//! set-up of the other cells.

use std::time::Duration;

use protocol::operation::Operation;
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::ask::{request, sample_of};
use super::config::Config;
use super::figures::{Cells, cell_name, figures};
use crate::record::sample::{Sample, Status};
use crate::run::cell_protocol::Verdict;
use crate::run::child::{Answer, Checked, Launch, Runner, StartError};
use crate::run::plan::Choice;

/// The exact figures of the cells that were measured, and the reasons why other cells were not.
#[derive(Clone, Debug, Default)]
pub struct Exact {
    /// Figures by cell name.
    pub cells: Cells,
    /// A line for each reason why cells could not be measured, with their names.
    pub trouble: Vec<String>,
}

/// The name of a cell, and its sample or the reason why there is none.
type Measured = (String, Result<Sample, String>);

/// Measures all cells, on all threads of the pool in which it is called. `finished` is called after each cell.
///
/// # Errors
/// A runner does not start.
pub fn measure(
    config: &Config,
    launch: &Launch,
    timeout: Duration,
    finished: &(dyn Fn() + Sync),
) -> Result<Exact, StartError> {
    // They start in the configured order, the longest first, so that no thread is left with a long one at the end.
    let backends = config.backends.iter().par_bridge();
    let measured: Result<Vec<Vec<Measured>>, StartError> =
        backends.map(|choice| measure_backend(config, choice, launch, timeout, finished)).collect();
    let mut cells = Cells::new();
    // What is wrong with a backend is the same in all its cells.
    let mut trouble: Vec<(String, Vec<String>)> = Vec::new();
    for (cell, sample) in measured?.concat() {
        match sample {
            Ok(sample) => drop(cells.insert(cell, (sample.status == Status::Ok).then(|| figures(&sample)))),
            Err(reason) => match trouble.iter_mut().find(|(other, _)| *other == reason) {
                Some((_, cells)) => cells.push(cell),
                None => trouble.push((reason, vec![cell])),
            },
        }
    }
    let trouble = trouble.into_iter().map(|(reason, cells)| format!("{}: {reason}", cells.join(", "))).collect();
    Ok(Exact { cells, trouble })
}

fn measure_backend(
    config: &Config,
    choice: &Choice,
    launch: &Launch,
    timeout: Duration,
    finished: &(dyn Fn() + Sync),
) -> Result<Vec<Measured>, StartError> {
    let mut runner = Runner::start(launch, &choice.backend, &choice.variant, 1, Some(config.group_size))?;
    let mut fit = match runner.conformance(timeout) {
        Checked::Verdict(Verdict::Passed(_)) => Ok(()),
        Checked::Verdict(Verdict::Violated(reason)) => Err(format!("conformance: {reason}")),
        Checked::Timeout => Err(format!("conformance: no answer within {timeout:?}")),
        Checked::Crash(reason) => Err(format!("conformance: {reason}")),
    };
    let mut operations = config.operations.clone();
    // The create cell sets the group up for the others.
    operations.sort_by_key(|operation| *operation != Operation::Create);
    let mut measure = |operation: Operation| {
        let cell = cell_name(&choice.full_name(), operation, config.group_size);
        let sample = fit.clone().and_then(|()| {
            let answer = runner.ask(&request(config, operation, ITERATION), timeout);
            // After any answer but a sample, the runner is gone.
            let gone = !matches!(answer, Answer::Sample(_));
            sample_of(answer, timeout).inspect_err(|reason| {
                if gone {
                    fit = Err(reason.clone());
                }
            })
        });
        finished();
        (cell, sample)
    };
    Ok(operations.into_iter().map(&mut measure).collect())
}

/// Not iteration 0: after that one, every member of a backend without fingerprints sends a probe, which opens all channels
/// between all members. This takes a minute, and comparisons do it.
const ITERATION: u32 = 1;
