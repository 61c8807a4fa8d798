//! What the seed fixes: messages, bytes and operation counts of each cell. The same on every machine.
//!
//! No time is measured, so backends run side by side. Each has one runner, whose creation is the set-up of its other cells.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::crypto::count::Counts;
use protocol::operation::Operation;
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};

use super::config::Config;
use crate::cell_protocol::{Request, Verdict};
use crate::child::{Answer, Checked, Launch, Runner, StartError};
use crate::plan::Choice;
use crate::sample::{Sample, Status};

/// The metric of [`super::instructions`], which is no exact one.
pub const INSTRUCTIONS: &str = "instructions";

/// What is measured of messages, by kind.
const MESSAGES: [&str; 3] = ["messages", "bytes_sent", "bytes_delivered"];
/// What is measured of the directory, by role and phase like operation counts.
const FETCHED: &str = "bytes_fetched";

/// Figures of a cell that are not zero.
pub type Figures = BTreeMap<Key, u64>;

/// What a figure is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The metric.
    pub metric: String,
    /// Of which kind of message, or of the members with which role.
    pub of: String,
    /// In which phase; empty for messages.
    pub phase: String,
}

impl Key {
    /// `metric/of` or `metric/of/phase`, as it stands in the baseline.
    #[must_use]
    pub fn name(&self) -> String {
        let Self { metric, of, phase } = self;
        if phase.is_empty() { format!("{metric}/{of}") } else { format!("{metric}/{of}/{phase}") }
    }

    /// The key with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '/').map(str::to_owned);
        let (metric, of, phase) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
        metrics().contains(&metric.as_str()).then_some(Self { metric, of, phase })
    }
}

/// The names of all exact metrics.
#[must_use]
pub fn metrics() -> Vec<&'static str> {
    let counted = Counts::default().named().into_iter().map(|(metric, _)| metric);
    MESSAGES.into_iter().chain([FETCHED]).chain(counted).collect()
}

/// The figures of a sample that counts.
#[must_use]
pub fn figures(sample: &Sample) -> Figures {
    let mut figures = Figures::new();
    let mut add = |metric: &str, of: &str, phase: &str, amount: u64| {
        if amount > 0 {
            let key = Key { metric: metric.to_owned(), of: of.to_owned(), phase: phase.to_owned() };
            *figures.entry(key).or_default() += amount;
        }
    };
    for traffic in &sample.traffic {
        for (metric, amount) in
            MESSAGES.into_iter().zip([traffic.messages, traffic.bytes_sent, traffic.bytes_delivered])
        {
            add(metric, &traffic.kind, "", amount);
        }
    }
    for work in &sample.work {
        for (metric, count) in &work.counts {
            add(metric, &work.role, &work.phase, *count);
        }
        add(FETCHED, &work.role, &work.phase, work.bytes_fetched);
    }
    figures
}

/// The name of a cell.
#[must_use]
pub fn cell_name(backend: &str, operation: &str, group_size: u32) -> String {
    format!("{backend}/{operation}/{group_size}")
}

/// A cell by its name, with a sample that counts or of what the backend does not do; or why there is none.
pub type Measured = (String, Result<Sample, String>);

/// Measures all cells, on as many threads as the pool has that calls. `finished` is called after each cell.
///
/// # Errors
/// A runner does not start.
pub fn measure(
    config: &Config,
    launch: &Launch,
    timeout: Duration,
    finished: &(dyn Fn() + Sync),
) -> Result<Vec<Measured>, StartError> {
    // Begun in their order, the longest first, so that no thread is left with a long one at the end.
    let backends = config.backends.iter().par_bridge();
    let measured: Result<Vec<Vec<Measured>>, StartError> =
        backends.map(|choice| measure_backend(config, choice, launch, timeout, finished)).collect();
    Ok(measured?.concat())
}

fn measure_backend(
    config: &Config,
    choice: &Choice,
    launch: &Launch,
    timeout: Duration,
    finished: &(dyn Fn() + Sync),
) -> Result<Vec<Measured>, StartError> {
    let mut runner = Runner::start(launch, &choice.backend, &choice.variant, 1, true)?;
    let mut fit = match runner.conformance(timeout) {
        Checked::Verdict(Verdict::Passed(_)) => Ok(()),
        Checked::Verdict(Verdict::Violated(reason)) => Err(format!("conformance: {reason}")),
        Checked::Timeout => Err(format!("conformance: no answer within {timeout:?}")),
        Checked::Crash(reason) => Err(format!("conformance: {reason}")),
    };
    let mut operations = config.operations.clone();
    // The creation sets the group up for the others.
    operations.sort_by_key(|operation| *operation != Operation::Create);
    let mut measure = |operation: Operation| {
        let cell = cell_name(&choice.full_name(), &operation.name(), config.group_size);
        let sample = fit.clone().and_then(|()| {
            let answer = runner.ask(&request(config, operation, ITERATION), timeout);
            // After anything but a sample the runner is gone.
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

/// Not the first, after which every member of a backend without fingerprints sends a probe and so opens all channels between
/// all members: a minute of work, which comparisons do.
const ITERATION: u32 = 1;

/// What a runner is asked for.
pub(super) fn request(config: &Config, operation: Operation, iteration: u32) -> Request {
    Request {
        run_id: "gate".to_owned(),
        operation: operation.name().into_owned(),
        group_size: config.group_size,
        iteration,
        seed: config.seed,
        peak: false,
    }
}

/// The sample in an answer, if it counts or is of what the backend does not do.
pub(super) fn sample_of(answer: Answer, timeout: Duration) -> Result<Sample, String> {
    match answer {
        Answer::Sample(sample) if matches!(sample.status, Status::Ok | Status::Unsupported) => Ok(*sample),
        Answer::Sample(sample) => Err(sample.reason),
        Answer::Timeout => Err(format!("no answer within {timeout:?}")),
        Answer::Crash(reason) => Err(format!("the runner crashed: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn figures_are_by_kind_or_by_role_and_phase_and_names_parse_back() {
        let figures = figures(&synthetic::remove());
        let named: BTreeMap<String, u64> = figures.iter().map(|(key, value)| (key.name(), *value)).collect();
        assert_eq!(named["bytes_sent/ack"], 200);
        assert_eq!(named["bytes_delivered/remove"], 1200);
        assert_eq!(named["op.dh/recipient/process"], 2);
        assert!(!named.contains_key("op.verify/sender/responses"), "zeros are left out");
        assert!(figures.keys().all(|key| Key::parse(&key.name()).as_ref() == Some(key)));
        assert_eq!(Key::parse("op.magic/sender/process"), None);
        assert_eq!(Key::parse("messages"), None);
    }
}
