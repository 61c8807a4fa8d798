//! What a runner and its parent say to each other: one line of JSON each, in turn. Private to this program and versioned.
//!
//! ```text
//! parent   {"protocol":2,"jobs":2,"conformance":true}
//! runner   {"protocol":2,"schema":1,"backend":"...","variant":"","clock_read_ns":...,"primitive_ns":{...}}
//! runner   {"passed":{"checks":{"operations":60,...},"notes":[]}}     only where the parent asked for conformance
//! parent   {"run_id":"...","operation":"update","group_size":128,"iteration":0,"seed":1,"peak":false}
//! runner   a sample
//! parent   ...
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::calibrate::PrimitiveCosts;
use crate::manifest::Conformance;
use crate::registry;

/// Version of the lines below.
pub const VERSION: u32 = 2;

/// What the parent says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub protocol: u32,
    /// Threads that may make users.
    pub jobs: usize,
    /// Whether the runner is to check the backend before it measures, and to say what came of it in a second line.
    pub conformance: bool,
}

/// What the runner answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`].
    pub protocol: u32,
    /// Version of the samples.
    pub schema: u32,
    /// What it measures.
    pub backend: String,
    /// In which variant.
    pub variant: String,
    /// Cost of a clock read.
    pub clock_read_ns: f64,
    /// Cost of each primitive when the runner started.
    pub primitive_ns: PrimitiveCosts,
}

/// What came of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The backend has passed.
    Passed(Conformance),
    /// It has not, for this reason.
    Violated(String),
}

/// A cell to measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The run that the sample will belong to.
    pub run_id: String,
    /// The operation.
    pub operation: String,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// From 0.
    pub iteration: u32,
    /// The run's seed.
    pub seed: u64,
    /// Whether the sample is to say how much memory this process has used.
    pub peak: bool,
}

/// The version in a first line of any version.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

/// Two programs that speak different versions of the cell protocol, or whose samples have different forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotComparable {
    /// What differs.
    pub what: &'static str,
    /// Our version.
    pub ours: u32,
    /// The other's.
    pub theirs: u32,
}

impl std::error::Error for NotComparable {}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, ours, theirs } = self;
        write!(f, "not comparable: the other program has version {theirs} of the {what}, this one version {ours}")
    }
}

/// Reads the version of a first line before anything else in it; None where it has none.
#[must_use]
pub fn version_of(line: &str) -> Option<u32> {
    serde_json::from_str::<Version>(line).ok().map(|version| version.protocol)
}

/// # Errors
/// The versions differ.
pub fn same_version(what: &'static str, ours: u32, theirs: u32) -> Result<(), NotComparable> {
    if ours == theirs { Ok(()) } else { Err(NotComparable { what, ours, theirs }) }
}

/// The name of a cell in a run.
#[must_use]
pub fn cell_id(backend: &str, variant: &str, operation: &str, group_size: u32, iteration: u32) -> String {
    format!("{}/{operation}/{group_size}/{iteration}", registry::join(backend, variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_lines_of_other_versions() {
        assert_eq!(version_of(r#"{"protocol":7,"whatever":[1]}"#), Some(7));
        assert_eq!(version_of("{}"), None);
        let error = same_version("cell protocol", 1, 7).unwrap_err();
        assert!(error.to_string().starts_with("not comparable"));
    }

    #[test]
    fn cells_have_distinct_readable_names() {
        assert_eq!(cell_id("dcgka", "", "update-cold", 128, 3), "dcgka/update-cold/128/3");
        assert_eq!(cell_id("toy", "hidden", "add", 8, 0), "toy:hidden/add/8/0");
    }
}
