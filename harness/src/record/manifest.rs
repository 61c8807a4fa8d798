//! The conditions of a run: manifest.json beside its samples.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::crypto::hash;
use protocol::crypto::label::Label;
use serde::{Deserialize, Serialize};

use super::about::About;
use super::program::Program;
use super::sample::PrimitiveCosts;
use super::version::{CELL_PROTOCOL, SCHEMA};
use crate::system::load;

const LABEL: Label = b"harness-v1 manifest";
/// The most samples that a run can have. They are all in memory when the run ends.
pub const MAX_SAMPLES: u64 = 1_000_000;
const CARGO_LOCK: &[u8] = include_bytes!("../../../Cargo.lock");

/// Everything about a run that its samples do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format of samples and manifest: [`SCHEMA`].
    pub schema: u32,
    /// Version of the cell protocol: [`CELL_PROTOCOL`].
    pub cell_protocol: u32,
    /// The run's id, which each of its samples contains.
    pub run_id: String,
    /// Whether the run has ended.
    pub status: RunStatus,
    /// What was requested.
    pub options: Options,
    /// The number of threads that made users, outside the timers.
    pub jobs: usize,
    /// The command line.
    pub argv: Vec<String>,
    /// The program that ran.
    pub build: Build,
    /// The machine that it ran on.
    pub machine: Machine,
    /// When the run started, in seconds since 1970 in UTC.
    pub started_unix: u64,
    /// When the run ended, likewise; null until it is complete.
    pub ended_unix: Option<u64>,
    /// What each runner measured of itself when it started.
    pub runners: Vec<RunnerConditions>,
    /// For each backend in a program of its own, by name without variant, a hash of that program. Missing in older runs.
    #[serde(default)]
    pub programs: BTreeMap<String, String>,
    /// What each measured backend, by `name` or `name:variant`, says of itself. Missing in older runs.
    #[serde(default)]
    pub backends: BTreeMap<String, About>,
    /// What each backend, by `name` or `name:variant`, passed before it was measured. Missing in older runs.
    #[serde(default)]
    pub conformance: BTreeMap<String, Conformance>,
    /// The backends that were to be measured and could not be, with the reasons. Missing in older runs.
    #[serde(default)]
    pub left_out: BTreeMap<String, String>,
    /// What may have disturbed the times, in words. Empty until the run is complete, and in older runs.
    #[serde(default)]
    pub noise: Vec<String>,
}

/// What a backend has passed of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformance {
    /// The number of situations in which each check passed.
    pub checks: BTreeMap<String, u32>,
    /// What is remarkable about the backend.
    pub notes: Vec<String>,
    /// What could not be tried, and why. Missing in older runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_made: BTreeMap<String, String>,
    /// What a backend that adapts an implementation of others has failed: the checks, each with the first thing that is
    /// wrong. Others that fail are not measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// What it has passed in a large group too. Missing in older runs, and where no large group was to be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_group: Option<LargeGroup>,
}

/// What a backend has passed of the conformance suite in a large group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeGroup {
    /// The number of members when the group was created.
    pub group_size: u32,
    /// The number of situations in which each check passed.
    pub checks: BTreeMap<String, u32>,
}

/// Whether a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// The run has not ended, or was interrupted.
    Running,
    /// Each iteration of each cell has a sample.
    Complete,
}

/// What was requested. When a run is resumed, the same must be requested again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The seed of all randomness.
    pub seed: u64,
    /// The backends, by `name` or `name:variant`.
    pub backends: Vec<String>,
    /// The number of iterations of each operation, by its name.
    pub iterations: BTreeMap<String, u32>,
    /// A limit on the iterations of large groups; missing if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_groups: Option<LargeGroups>,
    /// Group sizes, in members before the operation; for create, members created.
    pub sizes: Vec<u32>,
    /// How long a cell may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether peak memory is measured.
    pub peak: bool,
}

/// A limit on the iterations of large groups. In these, some protocols take seconds for each iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeGroups {
    /// The smallest size that counts as large.
    pub from: u32,
    /// The most iterations that a large group gets.
    pub iterations: u32,
}

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The package of the program. It was always `harness` in older runs, which do not say so.
    #[serde(default = "harness")]
    pub package: String,
    /// Version of the package.
    pub version: String,
    /// The commit of the package's sources; empty if it is unknown.
    pub commit: String,
    /// Whether the sources differ from the commit; null if this is unknown.
    pub dirty: Option<bool>,
    /// The harness in a program of another package; null if the program is the harness itself.
    #[serde(default)]
    pub harness: Option<Sources>,
    /// A labelled hash of the program's file.
    pub binary_hash: String,
    /// A labelled hash of the harness's Cargo.lock; empty for a program of another package, which has its own.
    pub lock_hash: String,
    /// The Cargo features that were on.
    pub features: Vec<String>,
    /// Compiler flags, separated by spaces.
    pub rustflags: String,
    /// Cargo's profile and its optimisation level.
    pub profile: String,
    /// The target triple that the program was built for.
    pub target: String,
    /// The compiler, as `rustc --version` reports it.
    pub rustc: String,
}

/// The sources of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// Version of the package.
    pub version: String,
    /// The commit of the sources; empty if it is unknown.
    pub commit: String,
    /// Whether the sources differ from the commit; null if this is unknown.
    pub dirty: Option<bool>,
}

fn harness() -> String {
    Program::HARNESS.package.to_owned()
}

/// The machine, as far as the system describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's model; `unknown` if the system does not report it.
    pub cpu: String,
    /// The number of threads that can run in parallel; 0 if it is unknown.
    pub logical_cpus: usize,
    /// Which code the curve library used: avx512, avx2 or serial. X25519 always uses serial code.
    pub curve_backend: String,
    /// Release of the kernel; empty if it is unknown.
    pub kernel: String,
    /// The three load averages when the run started; empty if they are unknown.
    pub load_start: String,
    /// Likewise when the run ended; null until it is complete.
    pub load_end: Option<String>,
    /// The clock frequency of the fastest processor when the run started, in MHz; null if it is unknown.
    #[serde(default)]
    pub mhz_start: Option<f64>,
    /// Likewise when the run ended.
    #[serde(default)]
    pub mhz_end: Option<f64>,
    /// How many processors other processes kept busy during the run, on average; null if it is unknown. Of a run that was
    /// resumed, this is the largest of its parts.
    #[serde(default)]
    pub others_busy: Option<f64>,
}

/// What a runner measured of itself when it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerConditions {
    /// The runner's backend: `name` or `name:variant`.
    pub backend: String,
    /// The group size that the runner serves.
    pub group_size: u32,
    /// Cost of a clock read in nanoseconds. Each measured time contains about one for each round.
    pub clock_read_ns: f64,
    /// Cost of each primitive, in nanoseconds for each unit.
    pub primitive_ns: PrimitiveCosts,
}

impl Options {
    /// What differs between these options and others, in words: the values of these, then of the others.
    #[must_use]
    pub fn differences(&self, others: &Self) -> Vec<String> {
        let fields = |options: &Self| match serde_json::to_value(options) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (these, others) = (fields(self), fields(others));
        let names: BTreeSet<&String> = these.keys().chain(others.keys()).collect();
        let value = |of: Option<&serde_json::Value>| of.map_or_else(|| "none".to_owned(), ToString::to_string);
        let different = names.into_iter().filter(|name| these.get(*name) != others.get(*name));
        different.map(|name| format!("{name} {}, not {}", value(these.get(name)), value(others.get(name)))).collect()
    }

    /// How many samples a run with these options has.
    #[must_use]
    pub fn samples(&self) -> u64 {
        let of_size = |size: &u32| -> u64 {
            self.iterations.values().map(|count| u64::from(LargeGroups::limit(self.large_groups, *size, *count))).sum()
        };
        let of_backend = self.sizes.iter().map(of_size).fold(0, u64::saturating_add);
        of_backend.saturating_mul(self.backends.len() as u64)
    }

    /// The ids of these samples.
    #[must_use]
    pub fn cell_ids(&self) -> BTreeSet<String> {
        let cells = self.sizes.iter().flat_map(|size| self.iterations.iter().map(move |cell| (*size, cell)));
        let cells = cells.flat_map(|(size, (operation, count))| {
            let count = LargeGroups::limit(self.large_groups, size, *count);
            (0..count).map(move |iteration| format!("{operation}/{size}/{iteration}"))
        });
        let cells: Vec<String> = cells.collect();
        let of_backend = |backend: &String| cells.iter().map(|cell| format!("{backend}/{cell}")).collect::<Vec<_>>();
        self.backends.iter().flat_map(of_backend).collect()
    }
}

impl LargeGroups {
    /// How many of `count` iterations a group of this size gets.
    #[must_use]
    pub fn limit(limit: Option<Self>, group_size: u32, count: u32) -> u32 {
        limit.filter(|limit| group_size >= limit.from).map_or(count, |limit| count.min(limit.iterations))
    }
}

impl Manifest {
    /// The manifest of a run that starts now.
    ///
    /// # Errors
    /// The program's own file cannot be read.
    pub fn start(program: Program, options: Options, jobs: usize, argv: Vec<String>) -> io::Result<Self> {
        let started_unix = unix_seconds();
        let build = Build::of_this_program(program)?;
        let named = format!("{options:?} {started_unix} {}", std::process::id());
        let run_id = short(&hash::hash(LABEL, &[named.as_bytes(), build.binary_hash.as_bytes()]).0);
        Ok(Self {
            schema: SCHEMA,
            cell_protocol: CELL_PROTOCOL,
            run_id,
            status: RunStatus::Running,
            options,
            jobs,
            argv,
            build,
            machine: Machine::this(),
            started_unix,
            ended_unix: None,
            runners: Vec::new(),
            programs: BTreeMap::new(),
            backends: BTreeMap::new(),
            conformance: BTreeMap::new(),
            left_out: BTreeMap::new(),
            noise: Vec::new(),
        })
    }

    /// Records which program holds a backend: a file, or a directory with all its files. What cannot be read has no hash.
    pub fn add_program(&mut self, backend: &str, program: &Path) {
        let hash = if program.is_dir() { directory_hash(program) } else { file_hash(program) };
        self.programs.insert(backend.to_owned(), hash.unwrap_or_default());
    }

    /// Records that the run has ended now.
    pub fn complete(&mut self) {
        self.status = RunStatus::Complete;
        self.ended_unix = Some(unix_seconds());
        self.machine.load_end = Some(load::averages());
        self.machine.mhz_end = load::frequency_mhz();
    }
}

impl Build {
    /// The program that runs now.
    ///
    /// # Errors
    /// The program's own file cannot be read.
    pub fn of_this_program(program: Program) -> io::Result<Self> {
        let binary_hash = file_hash(&std::env::current_exe()?)?;
        let harness = Sources {
            version: Program::HARNESS.version.to_owned(),
            commit: env!("HARNESS_COMMIT").to_owned(),
            dirty: env!("HARNESS_DIRTY").parse().ok(),
        };
        // The build script that finds the commit is the harness's: it knows nothing about the sources of another package.
        let (own, harness) = if program.is_harness() {
            (harness, None)
        } else {
            let version = program.version.to_owned();
            (Sources { version, commit: String::new(), dirty: None }, Some(harness))
        };
        let lock_hash =
            if harness.is_none() { hexadecimal(&hash::hash(LABEL, &[CARGO_LOCK]).0) } else { String::new() };
        Ok(Self {
            package: program.package.to_owned(),
            version: own.version,
            commit: own.commit,
            dirty: own.dirty,
            harness,
            binary_hash,
            lock_hash,
            features: env!("HARNESS_FEATURES").split_whitespace().map(str::to_owned).collect(),
            rustflags: env!("HARNESS_RUSTFLAGS").to_owned(),
            profile: concat!(env!("HARNESS_PROFILE"), ", opt-level ", env!("HARNESS_OPT_LEVEL")).to_owned(),
            target: env!("HARNESS_TARGET").to_owned(),
            rustc: env!("HARNESS_RUSTC").to_owned(),
        })
    }
}

impl Build {
    /// The package, its version, its commit and whether the sources differ from that, in words.
    #[must_use]
    pub fn described(&self) -> String {
        let Self { package, version, commit, dirty, harness, .. } = self;
        let own = format!("{package} {version}, commit {}", revision(commit, *dirty));
        match harness {
            None => own,
            Some(Sources { version, commit, dirty }) => {
                format!("{own} (with harness {version}, commit {})", revision(commit, *dirty))
            }
        }
    }
}

/// A commit and whether the sources differ from it, in words.
fn revision(commit: &str, dirty: Option<bool>) -> String {
    let Some(short) = commit.get(..12) else { return "unknown".to_owned() };
    let changes = match dirty {
        Some(false) => "",
        Some(true) => " with uncommitted changes",
        None => ", perhaps with uncommitted changes",
    };
    format!("{short}{changes}")
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn this() -> Self {
        let cpu_info = load::read("/proc/cpuinfo");
        let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned()),
            logical_cpus: std::thread::available_parallelism().map_or(0, usize::from),
            curve_backend: curve_backend().to_owned(),
            kernel: load::read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_start: load::averages(),
            load_end: None,
            mhz_start: load::frequency_mhz(),
            mhz_end: None,
            others_busy: None,
        }
    }
}

/// A labelled hash of a file.
///
/// # Errors
/// The file cannot be read.
pub fn file_hash(path: &Path) -> io::Result<String> {
    Ok(hexadecimal(&hash::hash(LABEL, &[&std::fs::read(path)?]).0))
}

/// A labelled hash of all files in a directory, with their names.
fn directory_hash(directory: &Path) -> io::Result<String> {
    let mut entries = std::fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.path();
        let hash = if path.is_dir() { directory_hash(&path)? } else { file_hash(&path)? };
        parts.push(format!("{} {hash}\n", entry.file_name().display()));
    }
    Ok(hexadecimal(&hash::hash(LABEL, &[parts.concat().as_bytes()]).0))
}

/// Which code the curve library chooses at run time. This repeats its choice from the same facts.
pub(crate) fn curve_backend() -> &'static str {
    #[cfg(all(
        target_arch = "x86_64",
        not(any(curve25519_dalek_backend = "serial", curve25519_dalek_backend = "fiat"))
    ))]
    {
        let wide = std::arch::is_x86_feature_detected!("avx512ifma") && std::arch::is_x86_feature_detected!("avx512vl");
        if cfg!(curve25519_dalek_backend = "avx512") && wide {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "serial"
}

/// Seconds since 1970 in UTC.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn short(hash: &[u8; 32]) -> String {
    hexadecimal(&hash[..8])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
