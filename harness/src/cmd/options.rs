//! Options that several verbs share.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use protocol::operation::{MIN_GROUP_SIZE, Operation, UnknownOperation};

use super::failure::{Failure, INCOMPLETE};
use super::output::complain;
use super::running;
use crate::record::program::Program;
use crate::record::recorded::Recorded;
use crate::record::sample::Status;
use crate::record::store;
use crate::report::files;
use crate::run::child::Launch;
use crate::run::external::{Catalog, NotFound};
use crate::run::plan::{self, Choice, Earlier, MAX_GROUP_SIZE, Plan, PlanError};
use crate::run::schedule::MeasureError;
use crate::system::directory::{Directory, DirectoryError};

/// How many iterations can be asked for.
pub(super) const ITERATIONS: RangeInclusive<u64> = 1..=10_000;
/// How many seconds a time limit can have: at most a week.
pub(super) const SECONDS: RangeInclusive<u64> = 1..=7 * 24 * 60 * 60;
/// How many updates can precede an operation.
pub(super) const HISTORY: RangeInclusive<u64> = 1..=100_000;
/// How many threads can be asked for.
pub(super) const JOBS: RangeInclusive<u64> = 1..=65_535;
/// A seed can be any number of 64 bits.
pub(super) const SEED: RangeInclusive<u64> = 0..=u64::MAX;
/// How many threads there are at most for each processor. More of them would only take memory.
const JOBS_PER_PROCESSOR: usize = 4;

/// The paper's group sizes.
pub(super) const PAPER_SIZES: [u32; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

/// The conditions of a run.
#[derive(Args)]
pub(super) struct Conditions {
    /// Seed of all randomness; one seed always gives the same bytes and primitive counts
    #[arg(long, default_value_t = 1, value_parser = whole::<u64>(SEED))]
    pub(super) seed: u64,
    /// Threads for the set-up; with more than one, two cells are prepared at a time, and timed one by one [default: the number of processors; at most four times as many]
    #[arg(long, value_parser = whole::<u16>(JOBS))]
    pub(super) jobs: Option<u16>,
    /// Resume the interrupted run in --out; samples that crashed or timed out are measured again
    #[arg(long)]
    pub(super) resume: bool,
    /// Time limit for one iteration of one operation, its set-up included, in a group of up to 128 members; larger ones have more in proportion
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = whole::<u64>(SECONDS))]
    pub(super) timeout: u64,
}

impl Conditions {
    /// What happens to a run that is already in the directory of the new one. It is replaced where no directory was named.
    pub(super) fn earlier(&self, named: Option<&PathBuf>) -> Earlier {
        match (self.resume, named) {
            (true, _) => Earlier::Resume,
            (false, None) => Earlier::Replace(files::names()),
            (false, Some(_)) => Earlier::Refuse,
        }
    }

    /// The plan of a run of `program` under these conditions, the conformance suite included. Its files go to `out`, if
    /// any.
    pub(super) fn plan(
        &self,
        program: Program,
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
            jobs: jobs(self.jobs),
            conformance: true,
            timeout: Duration::from_secs(self.timeout),
            peak: false,
            out,
            earlier: if self.resume { Earlier::Resume } else { Earlier::Refuse },
            launch: Launch::this_program()?,
            external: BTreeMap::new(),
            growth: BTreeMap::new(),
            left_out: BTreeMap::new(),
            program,
            argv: running::argv(),
        })
    }
}

/// How many threads to use: as many as requested, or one for each processor. Too many are reduced, and standard error says
/// so.
pub(super) fn jobs(requested: Option<u16>) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (jobs, most) = (requested.map_or(processors, usize::from), JOBS_PER_PROCESSOR * processors);
    if jobs > most {
        complain(&format!(
            "--jobs {jobs} is more than {JOBS_PER_PROCESSOR} for each of {processors} processors; using {most}"
        ));
    }
    jobs.min(most)
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
    /// The directory for the files, locked, and the run. Without --out, the run is locked before it is read.
    pub(super) fn open(&self) -> Result<(Directory, Recorded), Failure> {
        open(&self.directory, self.out.as_deref().unwrap_or(&self.directory))
    }
}

/// Reads a run from which files in `out` will be made, and locks `out`. A run that cannot be read leaves no new directory.
pub(super) fn open(directory: &Path, out: &Path) -> Result<(Directory, Recorded), Failure> {
    let before = if directory == out && store::holds_run(directory) { Some(Directory::lock(out)?) } else { None };
    let recorded = Recorded::open(directory)?;
    if recorded.samples.iter().all(|sample| sample.status != Status::Ok) {
        let message = format!("no sample of the run in {} counts, so there is nothing to show", directory.display());
        return Err(Failure { code: INCOMPLETE, message });
    }
    Ok((before.map_or_else(|| Directory::lock(out), Ok)?, recorded))
}

/// The directory of a file, locked. It is created if it does not exist. Symbolic links are followed.
pub(super) fn directory_of(file: &Path) -> Result<Directory, DirectoryError> {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    Directory::lock(parent.unwrap_or(Path::new(".")))
}

/// The name of a file in its directory. Symbolic links are followed.
pub(super) fn name_of(file: &Path) -> OsString {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    file.file_name().unwrap_or_default().to_owned()
}

/// The backends with these names; and those that cannot be used, with the reasons. The others are still measured.
pub(super) fn usable(
    catalog: &Catalog<'_>,
    named: &[String],
) -> Result<(Vec<Choice>, BTreeMap<String, String>), Failure> {
    let (mut found, mut left_out) = (Vec::new(), BTreeMap::new());
    for name in named {
        match catalog.find(name) {
            Ok(choice) => found.push(choice),
            Err(error @ NotFound::Unusable { .. }) => {
                complain(&format!("not measured: {error}"));
                left_out.insert(name.clone(), error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    match left_out.values().next() {
        Some(why) if found.is_empty() => Err(Failure { code: INCOMPLETE, message: why.clone() }),
        _ => Ok((found, left_out)),
    }
}

/// Parses an operation in which backends are compared: one of one member.
pub(super) fn operation(name: &str) -> Result<Operation, String> {
    let operation: Operation = name.parse().map_err(|error: UnknownOperation| error.to_string())?;
    match operation.is_concurrent() {
        false => Ok(operation),
        true => Err(format!("backends are not compared in this operation; try `measure --operation {name}`")),
    }
}

/// `count` iterations of each named operation, or of each of `all` if none is named. With a history, adds and
/// updates are those after this number of updates; if none is named, nothing else is measured.
pub(super) fn iterations_of(
    named: &[Operation],
    all: &[Operation],
    count: u32,
    history: Option<NonZeroUsize>,
) -> Result<BTreeMap<Operation, u32>, MeasureError> {
    let operations: Vec<Operation> = match (named, history) {
        ([], None) => all.to_vec(),
        ([], Some(updates)) => vec![Operation::AddAfter(updates), Operation::UpdateAfter(updates)],
        (named, None) => named.to_vec(),
        (named, Some(updates)) => {
            let after = |it: &Operation| it.after(updates).ok_or(PlanError::NoHistory(*it));
            named.iter().map(after).collect::<Result<_, _>>()?
        }
    };
    let all: BTreeMap<Operation, u32> = operations.iter().map(|operation| (*operation, count)).collect();
    plan::no_twice(&operations.iter().map(|operation| format!("operation {operation}")).collect::<Vec<_>>())?;
    Ok(all)
}

/// Parses a whole number in a range.
pub(super) fn whole<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let error = || format!("it must be a whole number from {} to {}", range.start(), range.end());
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(error)
    }
}

/// Parses a group size from [`MIN_GROUP_SIZE`] to [`MAX_GROUP_SIZE`].
pub(super) fn group_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(size) if size as usize >= MIN_GROUP_SIZE && size <= MAX_GROUP_SIZE => Ok(size),
        _ => Err(format!(
            "it must be a whole number of at least {MIN_GROUP_SIZE} members and at most {MAX_GROUP_SIZE}, or several with commas; try \
             --sizes 8,16,32"
        )),
    }
}
