//! Options that several verbs share.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use protocol::operation::{MIN_GROUP_SIZE, Operation, UnknownOperation};

use super::running;
use crate::record::store::{self, StoreError};
use crate::run::child::Launch;
use crate::run::plan::{Choice, Plan, PlanError};
use crate::run::schedule::MeasureError;

/// The paper's group sizes.
pub(super) const PAPER_SIZES: [u32; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

/// The conditions of a run.
#[derive(Args)]
pub(super) struct Conditions {
    /// Seed of all randomness; one seed always gives the same bytes and primitive counts
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Threads for the set-up; timed cells run alone [default: the number of processors]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// Resume the interrupted run in --out; samples that crashed or timed out are measured again
    #[arg(long)]
    pub(super) resume: bool,
    /// Time limit for one iteration of one operation, its set-up included
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,
}

impl Conditions {
    fn jobs(&self) -> usize {
        self.jobs.map_or_else(all_processors, usize::from)
    }

    /// The plan of a run under these conditions, the conformance suite included. Its files go to `out`, if any.
    pub(super) fn plan(
        &self,
        backends: Vec<Choice>,
        iterations: BTreeMap<Operation, u32>,
        sizes: Vec<u32>,
        out: Option<PathBuf>,
    ) -> io::Result<Plan> {
        Ok(Plan {
            backends,
            iterations,
            large_groups: None,
            sizes,
            seed: self.seed,
            jobs: self.jobs(),
            conformance: true,
            timeout: Duration::from_secs(self.timeout),
            peak: false,
            out,
            resume: self.resume,
            launch: Launch::this_program()?,
            argv: running::argv(),
        })
    }
}

/// The number of processors.
pub(super) fn all_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The format of data on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text for a terminal
    Human,
    /// One JSON object per line; `measure` writes those of samples.jsonl
    Json,
    /// CSV with a header; `measure` writes the rows of measurements.csv
    Csv,
}

/// A recorded run.
#[derive(Args)]
pub(super) struct Source {
    /// Directory of the run
    #[arg(default_value = LATEST)]
    pub(super) directory: PathBuf,
    /// Directory for the files [default: the directory of the run]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) out: Option<PathBuf>,
}

/// The directory in which `reproduce` puts its run by default.
pub(super) const LATEST: &str = "results/latest";
/// The default reference of comparisons.
pub(super) const REFERENCE: &str = "dcgka";
/// The directory in which `compare` puts its run by default.
pub(super) const COMPARED: &str = "results/compare";

impl Source {
    /// The directory for the files. It is created if it does not exist.
    pub(super) fn out(&self) -> Result<&PathBuf, StoreError> {
        let out = self.out.as_ref().unwrap_or(&self.directory);
        store::make_writable(out)?;
        Ok(out)
    }
}

/// Parses an operation in which backends are compared: one of [`Operation::ALL`].
pub(super) fn operation(name: &str) -> Result<Operation, String> {
    let operation: Operation = name.parse().map_err(|error: UnknownOperation| error.to_string())?;
    match Operation::ALL.contains(&operation) {
        true => Ok(operation),
        false => Err(format!("backends are not compared in this operation; try `harness measure --operation {name}`")),
    }
}

/// `count` iterations of each named operation, or of each of [`Operation::ALL`] if none is named.
pub(super) fn iterations_of(named: &[Operation], count: u32) -> Result<BTreeMap<Operation, u32>, MeasureError> {
    let operations = if named.is_empty() { &Operation::ALL } else { named };
    let all: BTreeMap<Operation, u32> = operations.iter().map(|operation| (*operation, count)).collect();
    if all.len() < operations.len() { Err(PlanError::Twice.into()) } else { Ok(all) }
}

/// Parses a group size of at least [`MIN_GROUP_SIZE`].
pub(super) fn group_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size) if size as usize >= MIN_GROUP_SIZE => Ok(size),
        Ok(_) => Err(format!("a group must have at least {MIN_GROUP_SIZE} members; try --sizes 8,16,32")),
        Err(_) => Err("a group size must be a whole number; try --sizes 8,16,32".to_owned()),
    }
}
