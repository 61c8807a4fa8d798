//! Options that several verbs take.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use harness::plan::{Choice, PlanError};
use harness::registry::{Registry, UnknownBackend};
use harness::schedule::MeasureError;
use harness::store::{self, StoreError};
use protocol::operation::{MIN_GROUP_SIZE, Operation, UnknownOperation};

/// The paper's group sizes.
pub(super) const PAPER_SIZES: [u32; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

/// How a run is made.
#[derive(Args)]
pub(super) struct Conditions {
    /// The seed of all randomness; the same seed gives the same bytes and operation counts
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Threads for set-up; what is timed runs alone [default: as many as there are processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// Go on with the interrupted run in --out; what crashed or timed out in it is measured again
    #[arg(long)]
    pub(super) resume: bool,
    /// Seconds that one iteration of one operation may take, its set-up included
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,
}

impl Conditions {
    pub(super) fn jobs(&self) -> usize {
        self.jobs.map_or_else(all_processors, usize::from)
    }
}

/// How many processors there are.
pub(super) fn all_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The form of data on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table to read
    Human,
    /// One object for each line: of samples, those of samples.jsonl
    Json,
    /// With a header: of samples, the rows of measurements.csv
    Csv,
}

/// A recorded run.
#[derive(Args)]
pub(super) struct Source {
    /// The directory of the run
    #[arg(default_value = LATEST)]
    pub(super) directory: PathBuf,
    /// Where the files go [default: the directory of the run]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: Option<PathBuf>,
}

/// Where `reproduce` puts its run.
pub(super) const LATEST: &str = "results/latest";
/// Where `compare` puts its run.
pub(super) const COMPARED: &str = "results/compare";

impl Source {
    /// Where the files go; makes the directory where it does not exist.
    pub(super) fn out(&self) -> Result<&PathBuf, StoreError> {
        let out = self.out.as_ref().unwrap_or(&self.directory);
        store::make_writable(out)?;
        Ok(out)
    }
}

/// One of the operations that are measured where none is named.
pub(super) fn operation(name: &str) -> Result<Operation, String> {
    let operation: Operation = name.parse().map_err(|error: UnknownOperation| error.to_string())?;
    match Operation::ALL.contains(&operation) {
        true => Ok(operation),
        false => Err(format!("backends are not compared by it; right would be `harness measure --operation {name}`")),
    }
}

/// So many iterations of each operation; of all where none is named.
pub(super) fn iterations_of(named: &[Operation], count: u32) -> Result<BTreeMap<Operation, u32>, MeasureError> {
    let operations = if named.is_empty() { &Operation::ALL } else { named };
    let all: BTreeMap<Operation, u32> = operations.iter().map(|operation| (*operation, count)).collect();
    if all.len() < operations.len() { Err(PlanError::Twice.into()) } else { Ok(all) }
}

/// A group size.
pub(super) fn group_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size) if size as usize >= MIN_GROUP_SIZE => Ok(size),
        Ok(_) => Err(format!("a group has at least {MIN_GROUP_SIZE} members; right would be --sizes 8,16,32")),
        Err(_) => Err("a group size is a whole number; right would be --sizes 8,16,32".to_owned()),
    }
}

/// The backends with these names, each in one variant.
pub(super) fn choices(registry: &Registry, names: &[String]) -> Result<Vec<Choice>, UnknownBackend> {
    names.iter().map(|name| Choice::find(registry, name)).collect()
}
