//! The cell protocol: the lines of JSON that a runner and its parent exchange. It is private to this program, and
//! versioned ([`CELL_PROTOCOL`](crate::record::version::CELL_PROTOCOL)).
//!
//! ```text
//! parent   {"protocol":2,"jobs":2,"conformance":true,"largest":128}
//! runner   {"protocol":2,"schema":1,"backend":"...","variant":"","clock_read_ns":...,"primitive_ns":{...}}
//! runner   {"passed":{"checks":{"operations":60,...},"notes":[]}}     only if the parent requested conformance
//! parent   {"run_id":"...","operation":"update","group_size":128,"iteration":0,"seed":1,"peak":false}
//!                                                                     and "inspect":true, if it is to be inspected again
//! runner   "begin"                                                    if the request has "asks":true: it is about to time
//! parent   "go"                                                       when nobody else works
//! runner   "end"                                                      others may work again
//! runner   a sample
//! parent   ...
//! ```

use std::collections::BTreeMap;

use protocol::operation::Operation;
use serde::{Deserialize, Serialize};

use crate::record::about::About;
use crate::record::by_name;
use crate::record::manifest::Conformance;
use crate::record::name::cell_id;
use crate::record::sample::{PrimitiveCosts, Sample, Status};
use crate::record::version::SCHEMA;

/// The parent's first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The parent's [`CELL_PROTOCOL`](crate::record::version::CELL_PROTOCOL).
    pub protocol: u32,
    /// The number of threads that make users, outside the timers.
    pub jobs: usize,
    /// Whether the runner must run the conformance suite first and report a [`Verdict`] in its second line.
    pub conformance: bool,
    /// The size of the largest group that will be measured, for the suite. 0, as in older versions, if there is no suite.
    #[serde(default)]
    pub largest: u32,
}

/// The runner's first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The runner's [`CELL_PROTOCOL`](crate::record::version::CELL_PROTOCOL).
    pub protocol: u32,
    /// The [`SCHEMA`] of its samples.
    pub schema: u32,
    /// The name of the backend that it measures, without the variant.
    pub backend: String,
    /// The variant; empty if the backend has only one form.
    pub variant: String,
    /// Cost of one clock read in nanoseconds.
    pub clock_read_ns: f64,
    /// Cost of each primitive when the runner started.
    pub primitive_ns: PrimitiveCosts,
    /// What the backend says of itself. Missing in older runners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// Whether it can ask for its turn. Missing in older runners.
    #[serde(default)]
    pub asks: bool,
}

/// The result of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The backend has passed: which checks in how many situations, and what could not be checked.
    Passed(Conformance),
    /// The backend has failed, for this reason.
    Violated(String),
}

/// The parent's request for one sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The id of the run that the sample will belong to.
    pub run_id: String,
    /// The operation to measure.
    #[serde(with = "by_name")]
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// The number of the iteration, from 0.
    pub iteration: u32,
    /// The seed of all randomness in the run.
    pub seed: u64,
    /// Whether the sample must contain the peak memory of the runner.
    pub peak: bool,
    /// Whether the cell is inspected even if it has been before. Only written if it is, so that runners which do not know of
    /// it can be asked for everything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inspect: bool,
    /// Whether the runner must ask for its turn before it times anything. Only written if it must, as `inspect`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
}

/// What a runner and its parent say in the middle of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// The runner is about to time something, and waits.
    Begin,
    /// The parent lets it.
    Go,
    /// The runner times nothing any more.
    End,
}

/// What the first lines of all versions have in common.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// The version in a first line, no matter what else is in it; `None` if there is none.
#[must_use]
pub fn version_of(line: &str) -> Option<u32> {
    serde_json::from_str::<Version>(line).ok().map(|version| version.protocol)
}

/// An answer to a request, as a sample without figures. It does not count.
#[must_use]
pub fn unmeasured(backend: &str, variant: &str, request: &Request) -> Sample {
    let Request { run_id, operation, group_size, iteration, seed, .. } = request;
    Sample {
        schema: SCHEMA,
        run_id: run_id.clone(),
        cell_id: cell_id(backend, variant, *operation, *group_size, *iteration),
        backend: backend.to_owned(),
        variant: variant.to_owned(),
        operation: *operation,
        group_size: *group_size,
        iteration: *iteration,
        seed: *seed,
        status: Status::Crash,
        reason: String::new(),
        validation: String::new(),
        traffic: Vec::new(),
        work: Vec::new(),
        state_bytes: BTreeMap::new(),
        rounds: None,
        peak_bytes: None,
        primitive_ns: PrimitiveCosts::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_lines_of_other_versions() {
        assert_eq!(version_of(r#"{"protocol":7,"whatever":[1]}"#), Some(7));
        assert_eq!(version_of("{}"), None);
    }
}
