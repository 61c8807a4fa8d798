//! The samples: one line of JSON for each cell and iteration, the source of every figure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the form below. Lines of another version are not read.
pub const SCHEMA: u32 = 1;

/// One run of one operation: a line of samples.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The run that it belongs to.
    pub run_id: String,
    /// Unique in the run: backend, variant, operation, group size and iteration.
    pub cell_id: String,
    /// The backend's name.
    pub backend: String,
    /// Its variant; empty where there is one only.
    pub variant: String,
    /// The operation.
    pub operation: String,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// From 0.
    pub iteration: u32,
    /// The run's seed.
    pub seed: u64,
    /// Whether the run counts.
    pub status: Status,
    /// Why it does not, if it does not. Empty otherwise.
    pub reason: String,
    /// What was proved of the run, in words. Empty where it does not count.
    pub proof: String,
    /// The messages, by who sent them, when, and what they were.
    pub traffic: Vec<Traffic>,
    /// What the members did, by role and phase.
    pub work: Vec<Work>,
    /// Bytes of exported state after the operation, one number for each member, by role.
    pub state_bytes: BTreeMap<String, Vec<u64>>,
    /// Peak memory of the runner's process in bytes, where this was measured in a process of its own.
    pub peak_bytes: Option<u64>,
    /// Cost of each counted primitive in nanoseconds, measured beside this run in the same process: `op.dh` and so on.
    pub primitive_ns: BTreeMap<String, f64>,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Measured and proved.
    Ok,
    /// The backend has no such operation.
    Unsupported,
    /// The proof failed, or the backend has not passed the conformance suite: nothing of the run is to be believed.
    Refused,
    /// The runner did not answer in time.
    Timeout,
    /// The runner died.
    Crash,
}

impl Status {
    /// Whether the same run may have another end next time. What the seed fixes is the same again.
    #[must_use]
    pub fn may_change(self) -> bool {
        matches!(self, Self::Timeout | Self::Crash)
    }
}

/// Messages of one kind, sent in one phase by the members of one role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// The senders' role.
    pub role: String,
    /// The phase in which they were made.
    pub phase: String,
    /// What they are.
    pub kind: String,
    /// How many; a broadcast is one.
    pub messages: u64,
    /// Their bytes, a broadcast counted once.
    pub bytes_sent: u64,
    /// Their bytes, counted once for each member that they reach.
    pub bytes_delivered: u64,
}

/// What the members of one role did in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Their role.
    pub role: String,
    /// The phase.
    pub phase: String,
    /// How many they are.
    pub members: u32,
    /// Operation counts, summed over them: `op.dh` and so on, all of them.
    pub counts: BTreeMap<String, u64>,
    /// Bytes that the directory handed them, summed.
    pub bytes_fetched: u64,
    /// Thread CPU time of each in nanoseconds.
    pub cpu_ns: Vec<u64>,
}
