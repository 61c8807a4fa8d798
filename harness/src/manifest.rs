//! The conditions of a run: manifest.json beside its samples.

use std::collections::BTreeMap;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::crypto::hash;
use protocol::crypto::label::Label;
use serde::{Deserialize, Serialize};

use crate::calibrate::PrimitiveCosts;
use crate::cell_protocol;
use crate::sample::SCHEMA;

const LABEL: Label = b"harness-v1 manifest";
const CARGO_LOCK: &[u8] = include_bytes!("../../Cargo.lock");

/// Everything about a run that its samples do not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the samples' form.
    pub schema: u32,
    /// Version of the cell protocol.
    pub cell_protocol: u32,
    /// The run's name, in each of its samples.
    pub run_id: String,
    /// Whether the run has come to its end.
    pub status: RunStatus,
    /// What was asked for.
    pub options: Options,
    /// Threads that made users.
    pub jobs: usize,
    /// The command.
    pub argv: Vec<String>,
    /// The program.
    pub build: Build,
    /// The machine.
    pub machine: Machine,
    /// Seconds since 1970 in UTC.
    pub started_unix: u64,
    /// Likewise; null while the run lasts.
    pub ended_unix: Option<u64>,
    /// What each runner measured of itself when it started.
    pub runners: Vec<RunnerConditions>,
    /// What each backend, by `name` or `name:variant`, has passed before it was measured. Missing in older runs.
    #[serde(default)]
    pub conformance: BTreeMap<String, Conformance>,
}

/// What a backend has passed of the conformance suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformance {
    /// In how many situations each check passed.
    pub checks: BTreeMap<String, u32>,
    /// What could not be seen.
    pub notes: Vec<String>,
}

/// Whether a run has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Not yet, or it was interrupted.
    Running,
    /// Every cell has its row.
    Complete,
}

/// What was asked for, and what a resumed run must ask for again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The seed of all randomness.
    pub seed: u64,
    /// `name` or `name:variant`.
    pub backends: Vec<String>,
    /// Iterations of each operation.
    pub iterations: BTreeMap<String, u32>,
    /// Where large groups get fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_groups: Option<LargeGroups>,
    /// Group sizes.
    pub sizes: Vec<u32>,
    /// How long a cell may take, in milliseconds.
    pub timeout_ms: u64,
    /// Whether peak memory is measured.
    pub peak: bool,
}

/// A limit on the iterations of large groups, in which some protocols take seconds for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LargeGroups {
    /// The smallest size that counts as large.
    pub from: u32,
    /// The most iterations that they get.
    pub iterations: u32,
}

/// The program that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// Version of the harness.
    pub version: String,
    /// The commit; empty where it is unknown.
    pub commit: String,
    /// Whether the sources differ from the commit; null where it is unknown.
    pub dirty: Option<bool>,
    /// A labelled hash of the program.
    pub binary_hash: String,
    /// A labelled hash of Cargo.lock.
    pub lock_hash: String,
    /// Cargo features.
    pub features: Vec<String>,
    /// Compiler flags.
    pub rustflags: String,
    /// Cargo's profile and its optimisation.
    pub profile: String,
    /// For which kind of machine.
    pub target: String,
    /// The compiler.
    pub rustc: String,
}

/// The machine, as far as it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor's model.
    pub cpu: String,
    /// How many threads can run at once.
    pub logical_cpus: usize,
    /// Which code of the curve library was in effect: avx512, avx2 or serial. X25519 is serial code in any case.
    pub curve_backend: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Load averages when the run started.
    pub load_start: String,
    /// Likewise when it ended; null while it lasts.
    pub load_end: Option<String>,
}

/// What a runner measured of itself when it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerConditions {
    /// `name` or `name:variant`.
    pub backend: String,
    /// The group size that it serves.
    pub group_size: u32,
    /// Cost of a clock read; each measured time contains about one for each round.
    pub clock_read_ns: f64,
    /// Cost of each primitive.
    pub primitive_ns: PrimitiveCosts,
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
    pub fn start(options: Options, jobs: usize, argv: Vec<String>) -> io::Result<Self> {
        let started_unix = unix_seconds();
        let build = Build::of_this_program()?;
        let named = format!("{options:?} {started_unix} {}", std::process::id());
        let run_id = short(&hash::hash(LABEL, &[named.as_bytes(), build.binary_hash.as_bytes()]).0);
        Ok(Self {
            schema: SCHEMA,
            cell_protocol: cell_protocol::VERSION,
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
            conformance: BTreeMap::new(),
        })
    }

    /// Notes that the run has come to its end.
    pub fn complete(&mut self) {
        self.status = RunStatus::Complete;
        self.ended_unix = Some(unix_seconds());
        self.machine.load_end = Some(load());
    }
}

impl Build {
    /// The program that runs now.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn of_this_program() -> io::Result<Self> {
        let binary = std::fs::read(std::env::current_exe()?)?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("HARNESS_COMMIT").to_owned(),
            dirty: env!("HARNESS_DIRTY").parse().ok(),
            binary_hash: hexadecimal(&hash::hash(LABEL, &[&binary]).0),
            lock_hash: hexadecimal(&hash::hash(LABEL, &[CARGO_LOCK]).0),
            features: env!("HARNESS_FEATURES").split_whitespace().map(str::to_owned).collect(),
            rustflags: env!("HARNESS_RUSTFLAGS").to_owned(),
            profile: concat!(env!("HARNESS_PROFILE"), ", opt-level ", env!("HARNESS_OPT_LEVEL")).to_owned(),
            target: env!("HARNESS_TARGET").to_owned(),
            rustc: env!("HARNESS_RUSTC").to_owned(),
        })
    }
}

impl Machine {
    fn this() -> Self {
        let cpu_info = read("/proc/cpuinfo");
        let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            cpu: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned()),
            logical_cpus: std::thread::available_parallelism().map_or(0, usize::from),
            curve_backend: curve_backend().to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_start: load(),
            load_end: None,
        }
    }
}

/// The choice that the curve library makes at run time, from the same facts.
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

fn load() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// A file that only some systems have.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn short(hash: &[u8; 32]) -> String {
    hexadecimal(&hash[..8])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
