//! What the gate measures, and which increase it tolerates: gate.toml.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::operation::Operation;
use serde::Deserialize;

use super::exact::{self, INSTRUCTIONS};
use super::time::CPU_NS;
use crate::plan::Choice;
use crate::registry::{Registry, UnknownBackend};

/// Instructions move a little with whatever moves code or data about.
const TOLERATED_INSTRUCTIONS: f64 = 0.01;
/// On a busy machine, two builds of the same source were seen to differ by up to 5.3 percent in the median of their pairs.
const TOLERATED_CPU_NS: f64 = 0.07;

/// gate.toml, its names resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The seed of all randomness.
    pub seed: u64,
    /// Members of each group.
    pub group_size: u32,
    /// Whose exact metrics are compared.
    pub backends: Vec<Choice>,
    /// In which operations.
    pub operations: Vec<Operation>,
    /// Whose instructions are compared.
    pub instructions: Vec<Choice>,
    /// Whose CPU time is compared.
    pub time: Vec<Choice>,
    /// How often.
    pub pairs: Pairs,
    /// Which relative increase of a metric is tolerated. Of metrics that are not in it: none.
    thresholds: BTreeMap<String, f64>,
}

/// How many pairs of runs CPU times are compared in: so many groups, and in each so many updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// Groups, each with keys of its own.
    pub groups: u32,
    /// Updates from the same state of a group.
    pub runs: u32,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; the gate wants a file like gate.toml at the top of the repository, named by --config", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not of the form.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why, and where.
        reason: String,
    },
    /// It names a backend that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// A threshold is for something that is not measured.
    #[error("there is no metric `{asked}`; known are: {}", known().join(", "))]
    UnknownMetric {
        /// What was asked for.
        asked: String,
    },
    /// A threshold is no fraction.
    #[error("the threshold of `{metric}` is {value}; right would be a fraction from 0, such as 0.01 for one percent")]
    Threshold {
        /// Of which metric.
        metric: String,
        /// What stands there.
        value: f64,
    },
}

/// The metrics that have a threshold.
fn known() -> Vec<String> {
    exact::metrics().into_iter().chain([INSTRUCTIONS, CPU_NS]).map(str::to_owned).collect()
}

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    seed: u64,
    group_size: u32,
    operations: Vec<String>,
    backends: Vec<String>,
    instructions: Instructions,
    time: Time,
    #[serde(default)]
    thresholds: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Instructions {
    backends: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Time {
    backends: Vec<String>,
    groups: u32,
    runs: u32,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn read(path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        Self::parse(&text, path, registry)
    }

    pub(super) fn parse(text: &str, path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let malformed = |reason: String| ConfigError::Malformed { path: path.to_owned(), reason };
        let file: File = toml::from_str(text).map_err(|error| malformed(error.to_string().trim_end().to_owned()))?;
        let operations: Result<Vec<Operation>, _> = file.operations.iter().map(|name| name.parse()).collect();
        let operations =
            operations.map_err(|error: protocol::operation::UnknownOperation| malformed(error.to_string()))?;
        let least = operations.iter().map(|operation| operation.min_group_size()).max().unwrap_or(usize::MAX);
        if operations.is_empty() || file.backends.is_empty() {
            return Err(malformed("nothing to measure: it wants at least one backend and one operation".to_owned()));
        }
        if (file.group_size as usize) < least {
            return Err(malformed(format!("these operations need a group_size of at least {least}")));
        }
        if file.time.groups == 0 || file.time.runs < 2 {
            return Err(malformed("[time] wants at least 1 of groups and 2 of runs".to_owned()));
        }
        let mut config = Self {
            seed: file.seed,
            group_size: file.group_size,
            backends: choices(registry, &file.backends)?,
            operations,
            instructions: choices(registry, &file.instructions.backends)?,
            time: choices(registry, &file.time.backends)?,
            pairs: Pairs { groups: file.time.groups, runs: file.time.runs },
            thresholds: [(INSTRUCTIONS, TOLERATED_INSTRUCTIONS), (CPU_NS, TOLERATED_CPU_NS)]
                .map(|(metric, fraction)| (metric.to_owned(), fraction))
                .into(),
        };
        file.thresholds.into_iter().try_for_each(|(metric, fraction)| config.tolerate(&metric, fraction))?;
        Ok(config)
    }

    /// Sets the threshold of a metric.
    ///
    /// # Errors
    /// There is no such metric, or the threshold is no fraction.
    pub fn tolerate(&mut self, metric: &str, fraction: f64) -> Result<(), ConfigError> {
        if !known().iter().any(|known| known == metric) {
            return Err(ConfigError::UnknownMetric { asked: metric.to_owned() });
        }
        if !(fraction.is_finite() && fraction >= 0.0) {
            return Err(ConfigError::Threshold { metric: metric.to_owned(), value: fraction });
        }
        self.thresholds.insert(metric.to_owned(), fraction);
        Ok(())
    }

    /// Which relative increase of a metric is tolerated.
    #[must_use]
    pub fn threshold(&self, metric: &str) -> f64 {
        self.thresholds.get(metric).copied().unwrap_or(0.0)
    }
}

fn choices(registry: &Registry, names: &[String]) -> Result<Vec<Choice>, UnknownBackend> {
    names.iter().map(|name| Choice::find(registry, name)).collect()
}
