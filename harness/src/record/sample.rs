//! Samples: one line of JSON for each iteration of a cell, the source of every figure.

use std::collections::BTreeMap;

use protocol::operation::{Operation, Phase, Role};
use serde::{Deserialize, Serialize};

use super::by_name;
use super::metric::Metric;

/// Nanoseconds for each unit of a primitive count: a call, a byte or a block.
pub type PrimitiveCosts = BTreeMap<Metric, f64>;

/// One iteration of one cell: a line of samples.jsonl.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Version of the format: [`SCHEMA`](super::version::SCHEMA).
    pub schema: u32,
    /// The id of the run, as in its manifest.
    pub run_id: String,
    /// The id of the sample, unique in the run ([`cell_id`](super::name::cell_id)).
    pub cell_id: String,
    /// The backend's name, without the variant.
    pub backend: String,
    /// The variant; empty if the backend has only one form.
    pub variant: String,
    /// The operation that was measured.
    #[serde(with = "by_name")]
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// The number of the iteration, from 0.
    pub iteration: u32,
    /// The seed of all randomness in the run.
    pub seed: u64,
    /// Whether the sample counts, and if not, why.
    pub status: Status,
    /// Why the sample does not count, in words; empty if it counts.
    pub reason: String,
    /// What the validation has shown, in words; empty if the sample does not count.
    #[serde(rename = "proof")]
    pub validation: String,
    /// The messages, by sender's role, phase and kind.
    pub traffic: Vec<Traffic>,
    /// The members' work, by role and phase.
    pub work: Vec<Work>,
    /// Bytes of exported state after the operation: one number for each member, by role.
    #[serde(with = "by_role")]
    pub state_bytes: BTreeMap<Role, Vec<u64>>,
    /// How many rounds of messages the operation took, over all stages; missing in older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// Peak memory in bytes of a process that ran this cell alone; null if that was not measured.
    pub peak_bytes: Option<u64>,
    /// Cost of each primitive, measured in the same process right before and after the operation.
    pub primitive_ns: PrimitiveCosts,
}

/// Whether a sample counts. Only those with [`Status::Ok`] do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was measured and validated.
    Ok,
    /// The backend does not support the operation.
    Unsupported,
    /// The validation or the conformance suite failed. No figure of the sample can be trusted.
    Refused,
    /// The runner did not answer in time.
    Timeout,
    /// The runner ended, or gave an invalid answer.
    Crash,
}

impl Status {
    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unsupported => "unsupported",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Crash => "crash",
        }
    }

    /// Whether another attempt may have another outcome. For all other statuses, the seed determines the outcome.
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
    #[serde(with = "by_name")]
    pub role: Role,
    /// The phase in which they were sent.
    #[serde(with = "by_name")]
    pub phase: Phase,
    /// The backend's name for such messages: `update`, `ack` and so on.
    pub kind: String,
    /// The number of messages. A broadcast counts as one.
    pub messages: u64,
    /// Their bytes, a broadcast counted once.
    pub bytes_sent: u64,
    /// Their bytes, counted once for each receiver.
    pub bytes_delivered: u64,
}

impl Traffic {
    /// The value of a metric of messages; 0 for other metrics.
    #[must_use]
    pub fn amount(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Messages => self.messages,
            Metric::BytesSent => self.bytes_sent,
            Metric::BytesDelivered => self.bytes_delivered,
            _ => 0,
        }
    }
}

/// The work of the members of one role in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// The members' role.
    #[serde(with = "by_name")]
    pub role: Role,
    /// The phase of the work.
    #[serde(with = "by_name")]
    pub phase: Phase,
    /// The number of members that have the role.
    pub members: u32,
    /// All primitive counts, summed over these members.
    pub counts: BTreeMap<Metric, u64>,
    /// Bytes that the directory handed to these members, summed.
    pub bytes_fetched: u64,
    /// CPU time of each member in nanoseconds, in the same order in every phase: of the thread, or of the process if the
    /// backend needs threads.
    pub cpu_ns: Vec<u64>,
}

/// Values by role. In data they are sorted by the role's name.
mod by_role {
    use std::collections::BTreeMap;

    use protocol::operation::Role;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        values: &BTreeMap<Role, Vec<u64>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named: BTreeMap<&str, &Vec<u64>> = values.iter().map(|(role, values)| (role.name(), values)).collect();
        named.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Role, Vec<u64>>, D::Error> {
        let named = BTreeMap::<String, Vec<u64>>::deserialize(deserializer)?;
        named.into_iter().map(|(name, values)| Ok((name.parse().map_err(de::Error::custom)?, values))).collect()
    }
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::synthetic;

    #[test]
    fn a_sample_is_written_as_it_was_read() {
        let file = "../results/2026-11-28-amd-epyc-2-cores/samples.jsonl";
        let recorded = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        for line in recorded.lines().step_by(97) {
            let sample: Sample = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&sample).unwrap(), line);
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        let line = serde_json::to_string(&synthetic::remove()).unwrap();
        for (right, wrong) in [("\"remove\"", "\"remov\""), ("\"sender\"", "\"sander\""), ("\"process\"", "\"proces\"")]
        {
            let error = serde_json::from_str::<Sample>(&line.replace(right, wrong)).unwrap_err();
            assert!(error.to_string().contains(wrong.trim_matches('"')), "{error}");
        }
    }
}
