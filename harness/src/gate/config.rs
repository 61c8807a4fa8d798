//! What the gate measures, and which increases it tolerates: gate.toml.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::operation::Operation;
use serde::Deserialize;

use super::figures::{self, cell_name};
use crate::record::metric::Metric;
use crate::registry::{Registry, UnknownBackend};
use crate::run::plan::{self, Choice, MAX_GROUP_SIZE};

/// Anything that moves code or data about changes the instructions a little.
const TOLERATED_INSTRUCTIONS: f64 = 0.01;
/// On a busy machine, two builds of the same source differed by up to 5.3 percent in the median of their pairs.
const TOLERATED_CPU_NS: f64 = 0.07;

/// The most pairs of samples. They are all in memory when they are compared.
const MAX_PAIRS: u64 = 10_000;

/// The contents of gate.toml, with its names resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The seed of all randomness.
    pub seed: u64,
    /// Members of each group before the operation; for create, members created.
    pub group_size: u32,
    /// The backends whose exact metrics are compared.
    pub backends: Vec<Choice>,
    /// The operations in which exact metrics are compared.
    pub operations: Vec<Operation>,
    /// The backends whose instructions in an update are compared.
    pub instructions: Vec<Choice>,
    /// The backends whose CPU time in an update is compared.
    pub time: Vec<Choice>,
    /// The number of pairs in which CPU time is compared.
    pub pairs: Pairs,
    /// The relative increase that is tolerated of each metric. Other metrics must not grow.
    thresholds: BTreeMap<Metric, f64>,
}

/// The number of pairs of samples in which CPU times are compared: updates in each group, times groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// The number of groups, each with keys of its own.
    pub groups: u32,
    /// The number of updates in each group, all from the same state.
    pub runs: u32,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; try it in the directory of gate.toml, or --config with such a file", path.display())]
    Io {
        /// The file of the configuration.
        path: PathBuf,
        /// The error from the system.
        source: io::Error,
    },
    /// The file does not have the format of a configuration.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file of the configuration.
        path: PathBuf,
        /// What is wrong, and where in the file.
        reason: String,
    },
    /// The file names a backend that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// A threshold is for a metric that is not compared.
    #[error("there is no metric `{asked}`; try one of these: {}", known().map(Metric::name).collect::<Vec<_>>().join(", "))]
    UnknownMetric {
        /// The name that no metric has.
        asked: String,
    },
    /// A threshold is negative or too high.
    #[error("the threshold of `{metric}` is {value}; try a fraction from 0 to 1, such as 0.01 for one percent")]
    Threshold {
        /// The metric of the threshold.
        metric: Metric,
        /// The threshold as given.
        value: f64,
    },
}

/// The metrics that can have a threshold.
fn known() -> impl Iterator<Item = Metric> {
    figures::metrics().chain([Metric::Instructions, Metric::CpuNs])
}

/// The format of the file.
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
    /// Reads a configuration from its file, and looks its backends up in `registry`.
    ///
    /// # Errors
    /// The file cannot be read, is malformed, or names something that does not exist.
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
            return Err(malformed("nothing to measure; try at least one backend and one operation".to_owned()));
        }
        if (file.group_size as usize) < least {
            let size = file.group_size;
            return Err(malformed(format!(
                "group_size {size} is too small for these operations; try at least {least}"
            )));
        }
        if file.group_size > MAX_GROUP_SIZE {
            let size = file.group_size;
            return Err(malformed(format!("group_size {size} is too large; try at most {MAX_GROUP_SIZE}")));
        }
        if file.time.groups == 0 || file.time.runs < 2 {
            return Err(malformed("[time] has too few pairs; try at least groups = 1 and runs = 2".to_owned()));
        }
        if u64::from(file.time.groups) * u64::from(file.time.runs) > MAX_PAIRS {
            return Err(malformed(format!("[time] has more than {MAX_PAIRS} pairs; try groups = 2 and runs = 10")));
        }
        // A cell that is measured twice would be recorded once.
        let once = |what: &str, names: &mut dyn Iterator<Item = String>| {
            plan::no_twice(&names.map(|name| format!("{what} {name}")).collect::<Vec<_>>())
                .map_err(|error| malformed(error.to_string()))
        };
        once("operation", &mut operations.iter().map(ToString::to_string))?;
        let choices = |what: &str, names: &[String]| {
            let found = Choice::find_all(registry, names)?;
            once(what, &mut found.iter().map(Choice::full_name))?;
            Ok::<_, ConfigError>(found)
        };
        let mut config = Self {
            seed: file.seed,
            group_size: file.group_size,
            backends: choices("backend", &file.backends)?,
            operations,
            instructions: choices("[instructions] backend", &file.instructions.backends)?,
            time: choices("[time] backend", &file.time.backends)?,
            pairs: Pairs { groups: file.time.groups, runs: file.time.runs },
            thresholds: [(Metric::Instructions, TOLERATED_INSTRUCTIONS), (Metric::CpuNs, TOLERATED_CPU_NS)].into(),
        };
        file.thresholds.into_iter().try_for_each(|(metric, fraction)| config.tolerate(&metric, fraction))?;
        Ok(config)
    }

    /// Sets the relative increase of a metric that is tolerated.
    ///
    /// # Errors
    /// There is no such metric, or the fraction is not one from 0 to 1.
    pub fn tolerate(&mut self, metric: &str, fraction: f64) -> Result<(), ConfigError> {
        let found = known().find(|known| known.name() == metric);
        let metric = found.ok_or_else(|| ConfigError::UnknownMetric { asked: metric.to_owned() })?;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(ConfigError::Threshold { metric, value: fraction });
        }
        self.thresholds.insert(metric, fraction);
        Ok(())
    }

    /// The names of the cells whose exact metrics are compared.
    #[must_use]
    pub fn cells(&self) -> BTreeSet<String> {
        let of = |choice: &Choice| {
            let name = choice.full_name();
            self.operations.iter().map(|operation| cell_name(&name, *operation, self.group_size)).collect::<Vec<_>>()
        };
        self.backends.iter().flat_map(of).collect()
    }

    /// The names of the cells whose instructions are compared.
    #[must_use]
    pub fn counted_cells(&self) -> BTreeSet<String> {
        let cell = |choice: &Choice| cell_name(&choice.full_name(), Operation::Update, self.group_size);
        self.instructions.iter().map(cell).collect()
    }

    /// The relative increase of a metric that is tolerated: 0 unless it is set.
    #[must_use]
    pub fn threshold(&self, metric: Metric) -> f64 {
        self.thresholds.get(&metric).copied().unwrap_or(0.0)
    }
}
