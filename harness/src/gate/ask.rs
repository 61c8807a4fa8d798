//! How the gate requests a sample from a runner.

use std::time::Duration;

use protocol::operation::Operation;

use super::config::Config;
use crate::record::sample::{Sample, Status};
use crate::run::cell_protocol::Request;
use crate::run::child::Answer;

/// A request for one sample, with the configured group size and seed.
pub(super) fn request(config: &Config, operation: Operation, iteration: u32) -> Request {
    Request {
        run_id: "gate".to_owned(),
        operation,
        group_size: config.group_size,
        iteration,
        seed: config.seed,
        peak: false,
        inspect: false,
        asks: false,
    }
}

/// The sample in an answer, if it counts or the backend does not have the operation. Otherwise the reason why there is
/// none.
pub(super) fn sample_of(answer: Answer, timeout: Duration) -> Result<Sample, String> {
    match answer {
        Answer::Sample(sample) if matches!(sample.status, Status::Ok | Status::Unsupported) => Ok(*sample),
        Answer::Sample(sample) => Err(sample.reason),
        Answer::Timeout => Err(format!("no answer within {timeout:?}")),
        Answer::Crash(reason) => Err(format!("the runner crashed: {reason}")),
    }
}
