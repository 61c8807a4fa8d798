//! What attacks have found, as it is stored.

use serde::{Deserialize, Serialize};

/// The version of what is stored.
pub const VERSION: u32 = 1;

/// What attacks on several backends have found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// The [`VERSION`] of the format.
    pub version: u32,
    /// Name and version of the program, and its commit if it is known.
    pub program: String,
    /// The command.
    pub argv: Vec<String>,
    /// The machine's processor, for CPU times.
    pub cpu: String,
    /// What was asked for.
    pub order: Order,
    /// The backends, in the order of the run.
    pub backends: Vec<Attacked>,
}

/// What attacks to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The seed of all randomness.
    pub seed: u64,
    /// Whether groups are smaller and conversations shorter.
    pub quick: bool,
}

/// What attacks on one backend have found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attacked {
    /// The full name of the backend.
    pub backend: String,
    /// Whether derivations were recorded: then everything that follows from stolen states has been read. If not, thieves have
    /// read what their code opens.
    pub derived: bool,
    /// The situations.
    pub situations: Vec<Played>,
    /// The workloads, from rare to frequent updates.
    pub workloads: Vec<Ran>,
    /// The moments of an absence, from short to long.
    pub absence: Vec<Moment>,
    /// Why the absence was not measured; empty if it was.
    pub absence_reason: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// It was measured.
    Measured,
    /// The protocol does not have what it needs.
    NotPossible,
    /// What should happen did not.
    Failed,
}

impl Ended {
    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::NotPossible => "not-possible",
            Self::Failed => "failed",
        }
    }
}

/// A situation as it was played with a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Played {
    /// The situation's name.
    pub situation: String,
    /// How it ended.
    pub status: Ended,
    /// Why it was not measured; empty if it was.
    pub reason: String,
    /// Messages, or attempts, that the situation asks about.
    pub tried: usize,
    /// Those that the attacker has read, or that were taken.
    pub exposed: usize,
    /// Those that thieves have read.
    pub by_thieves: usize,
    /// Those that follow from the stolen states.
    pub by_derivation: Option<usize>,
    /// What the same attacker should read.
    pub twin_tried: usize,
    /// What it has read of that.
    pub twin_read: usize,
    /// Whether the backend lets a thief follow the owner of a stolen state. If not, what was not read may only be out of reach.
    pub follows: bool,
}

/// A workload as it was run with a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// After how many messages a member updates; `None` if nobody does.
    pub update_every: Option<usize>,
    /// How it ended.
    pub status: Ended,
    /// Why it was not measured; empty if it was.
    pub reason: String,
    /// Messages that were said.
    pub messages: usize,
    /// Members at first.
    pub members: usize,
    /// Bytes that were sent.
    pub bytes: u64,
    /// CPU time of all members together, in nanoseconds.
    pub cpu_ns: u64,
    /// Public-key operations of all members together, if they are counted.
    pub public_key: Option<u64>,
    /// What each theft exposes.
    pub thefts: Vec<Theft>,
}

/// What one theft exposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theft {
    /// Messages that were said before.
    pub moment: usize,
    /// Exposed messages from before.
    pub before: usize,
    /// Exposed messages from after.
    pub after: usize,
    /// Messages until the last exposed one.
    pub until: usize,
}

/// States while a member is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Messages that were said meanwhile.
    pub messages: usize,
    /// What the state of the member that is away exposes of them.
    pub absent: usize,
    /// What the state of another member exposes of them.
    pub present: usize,
    /// Bytes of the state of the member that is away.
    pub absent_state: usize,
    /// Bytes of the largest state of the others.
    pub largest_state: usize,
}

impl Ran {
    /// Bytes sent for each message.
    #[must_use]
    pub fn bytes_per_message(&self) -> f64 {
        self.bytes as f64 / self.messages.max(1) as f64
    }

    /// CPU time of all members together for each message, in milliseconds.
    #[must_use]
    pub fn cpu_ms_per_message(&self) -> f64 {
        self.cpu_ns as f64 / 1e6 / self.messages.max(1) as f64
    }

    /// The mean number of messages that a theft exposes.
    #[must_use]
    pub fn mean_exposed(&self) -> f64 {
        self.mean(|theft| theft.before + theft.after)
    }

    /// The mean number of messages until the last one that a theft exposes.
    #[must_use]
    pub fn mean_until(&self) -> f64 {
        self.mean(|theft| theft.until)
    }

    /// The greatest number of messages that a theft exposes.
    #[must_use]
    pub fn most_exposed(&self) -> usize {
        self.thefts.iter().map(|theft| theft.before + theft.after).max().unwrap_or(0)
    }

    /// The mean number of messages from before it that a theft exposes.
    #[must_use]
    pub fn mean_before(&self) -> f64 {
        self.mean(|theft| theft.before)
    }

    fn mean(&self, of: impl Fn(&Theft) -> usize) -> f64 {
        self.thefts.iter().map(of).sum::<usize>() as f64 / self.thefts.len().max(1) as f64
    }
}
