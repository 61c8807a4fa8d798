//! Instructions of an update, counted by callgrind: of its sender and of one recipient, all acknowledgements included.
//!
//! A count is the same each time the same program runs, however busy the machine is. It differs for another compiler,
//! another C library, a processor for which other code is chosen, or another valgrind, which imitates another processor.
//! Valgrind runs SHA-256 in software, so these counts compare a backend only with itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::operation::Operation;
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::figures::cell_name;
use crate::measure::cell::{Bench, Cell};
use crate::measure::randomness::Origin;
use crate::measure::replay::{self, Recording, ReplayError};
use crate::measure::validation::Refusal;
use crate::record::manifest::{Build, curve_backend};
use crate::registry::{Registry, UnknownBackend};
use crate::run::plan::Choice;
use crate::system::cleanup::{self, Scratch};
use crate::system::command::command;

/// The function whose instructions are counted, as callgrind writes its name. The star stands for what may follow it.
const COUNTED: &str = "harness::measure::replay::member_part*";
/// The hidden subcommand that replays a recording.
pub const VERB: &str = "replay";
const CALLGRIND_OUT: &str = "counts";

/// The instruction counts of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    /// Instructions of the member that updates.
    pub sender: u64,
    /// Instructions of the member after it.
    pub recipient: u64,
}

/// What must be the same for counts to be comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Version of the compiler.
    pub rustc: String,
    /// Target triple of the program.
    pub target: String,
    /// Cargo's profile and its optimisation.
    pub profile: String,
    /// Compiler flags.
    pub rustflags: String,
    /// Name and version of the C library; empty if it is unknown, and then counts are not compared.
    pub libc: String,
    /// Version of valgrind.
    pub valgrind: String,
    /// The processor as the program sees it under valgrind.
    pub cpu: Cpu,
}

impl Conditions {
    /// The conditions of this machine and program. `cpu` is the processor as the program sees it under valgrind.
    ///
    /// # Errors
    /// There is no valgrind.
    pub fn here(build: &Build, cpu: Cpu) -> Result<Self, CountError> {
        Ok(Self {
            rustc: build.rustc.clone(),
            target: build.target.clone(),
            profile: build.profile.clone(),
            rustflags: build.rustflags.clone(),
            libc: line_of(command("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default(),
            valgrind: line_of(command("valgrind").arg("--version")).map_err(CountError::NoValgrind)?,
            cpu,
        })
    }

    /// The first condition that is unknown or was different when the counts were recorded, in words. `None` if they can be
    /// compared.
    #[must_use]
    pub fn difference(&self, recorded: &Self) -> Option<String> {
        let parts = |of: &Self| {
            let cpu = format!("{} with {}", of.cpu.curve_backend, of.cpu.features.join(" "));
            let Self { rustc, target, profile, rustflags, libc, valgrind, .. } = of.clone();
            [rustc, target, profile, rustflags, libc, valgrind, cpu]
        };
        let names = ["compiler", "target", "profile", "compiler flags", "C library", "valgrind", "processor"];
        let both = parts(self).into_iter().zip(parts(recorded));
        // Without flags, the flags are empty.
        let unknown = |name: &str, now: &str| now.is_empty() && name != "compiler flags";
        let different = |(name, (now, then)): &(&str, (String, String))| now != then || unknown(name, now);
        let (name, (now, then)) = names.into_iter().zip(both).find(different)?;
        if unknown(name, &now) {
            return Some(format!("the {name} is unknown"));
        }
        Some(format!("the {name} is `{now}`, but was `{then}` when the baseline was recorded"))
    }
}

/// What decides which code runs on a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Code of the curve library that is in effect: avx512, avx2 or serial.
    pub curve_backend: String,
    /// Processor features by which the primitives choose their code.
    pub features: Vec<String>,
}

impl Cpu {
    /// The processor as this process sees it.
    #[must_use]
    pub fn seen() -> Self {
        Self { curve_backend: curve_backend().to_owned(), features: features() }
    }
}

/// Processor features by which the primitives choose their code at run time.
fn features() -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    let all = [
        ("adx", std::arch::is_x86_feature_detected!("adx")),
        ("aes", std::arch::is_x86_feature_detected!("aes")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512ifma", std::arch::is_x86_feature_detected!("avx512ifma")),
        ("bmi2", std::arch::is_x86_feature_detected!("bmi2")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
        ("sha", std::arch::is_x86_feature_detected!("sha")),
        ("vaes", std::arch::is_x86_feature_detected!("vaes")),
    ];
    #[cfg(target_arch = "aarch64")]
    let all = [
        ("aes", std::arch::is_aarch64_feature_detected!("aes")),
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let all: [(&str, bool); 0] = [];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect()
}

/// Why instructions were not counted.
#[derive(Debug, thiserror::Error)]
pub enum CountError {
    /// Valgrind cannot be started.
    #[error("there is no valgrind on this machine ({0}); try to install it")]
    NoValgrind(io::Error),
    /// The system does not say where this program is.
    #[error("cannot find this program: {0}")]
    Program(io::Error),
    /// An update cannot be recorded.
    #[error("{cell}: {refusal}")]
    Refused {
        /// Name of the cell.
        cell: String,
        /// Why the sample would not count.
        refusal: Refusal,
    },
    /// A recording cannot be replayed.
    #[error("{cell}, participant {participant}: {reason}")]
    Failed {
        /// Name of the cell.
        cell: String,
        /// Position of the member whose part was replayed.
        participant: usize,
        /// What valgrind, the replay or its output says.
        reason: String,
    },
    /// A file that the two processes share cannot be used.
    #[error("cannot use {}: {source}; try another directory for temporary files", path.display())]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// The error from the system.
        source: io::Error,
    },
    /// There is no backend of a configured name.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
}

/// Counts the instructions of both members in each backend's update, on all threads of the pool in which it is called. Also
/// returns the processor as the program saw it under valgrind.
///
/// # Errors
/// An update cannot be recorded, or a recording cannot be replayed under valgrind.
pub fn count(config: &Config, registry: &Registry) -> Result<(BTreeMap<String, Instructions>, Cpu), CountError> {
    let scratch = Scratch::new().map_err(|source| CountError::Io { path: std::env::temp_dir(), source })?;
    let program = std::env::current_exe().map_err(CountError::Program)?;
    let parts: Result<Vec<(String, Vec<Recording>)>, CountError> =
        config.instructions.clone().into_par_iter().map(|choice| record(config, registry, &choice)).collect();
    let parts: Vec<(String, Recording)> = parts?
        .into_iter()
        .flat_map(|(cell, recordings)| recordings.into_iter().map(move |recording| (cell.clone(), recording)))
        .collect();
    let place = |index: usize| scratch.path().join(index.to_string());
    let counted: Result<Vec<(String, usize, Counted)>, CountError> = parts
        .into_par_iter()
        .enumerate()
        .map(|(index, (cell, recording))| {
            let counted = run(&program, &place(index), &cell, &recording)?;
            Ok((cell, recording.participant, counted))
        })
        .collect();
    let mut cells = BTreeMap::<String, Instructions>::new();
    let mut cpu = Cpu::seen();
    for (cell, participant, counted) in counted? {
        let instructions = cells.entry(cell).or_insert(Instructions { sender: 0, recipient: 0 });
        *(if participant == SENDER { &mut instructions.sender } else { &mut instructions.recipient }) =
            counted.instructions;
        cpu = counted.cpu;
    }
    Ok((cells, cpu))
}

const SENDER: usize = 0;
const RECIPIENT: usize = 1;

fn record(config: &Config, registry: &Registry, choice: &Choice) -> Result<(String, Vec<Recording>), CountError> {
    let name = choice.full_name();
    let cell = cell_name(&name, Operation::Update, config.group_size);
    let backend = registry.find(&name)?;
    let origin = Origin { seed: config.seed, group_size: config.group_size as usize, iteration: 0 };
    let recorded = Bench::new(&*backend, 1)
        .map_err(|_| Refusal::Unsupported)
        .and_then(|mut bench| bench.transcribe(&Cell { operation: Operation::Update, origin }, &[SENDER, RECIPIENT]));
    match recorded {
        Ok(recordings) => Ok((cell, recordings)),
        Err(refusal) => Err(CountError::Refused { cell, refusal }),
    }
}

struct Counted {
    instructions: u64,
    cpu: Cpu,
}

/// Replays a recording under callgrind, in a directory that does not exist yet.
fn run(program: &Path, directory: &Path, cell: &str, recording: &Recording) -> Result<Counted, CountError> {
    let failed =
        |reason: String| CountError::Failed { cell: cell.to_owned(), participant: recording.participant, reason };
    let at = |path: &Path| {
        let path = path.to_owned();
        |source| CountError::Io { path, source }
    };
    fs::create_dir(directory).map_err(at(directory))?;
    let file = directory.join("recording");
    let text = serde_json::to_vec(recording).map_err(|error| at(&file)(error.into()))?;
    fs::write(&file, text).map_err(at(&file))?;
    let mut replay = command("valgrind");
    replay
        // Arguments and environment are on the stack, and its place can decide which code copies memory. So all replays
        // have the same.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir(directory)
        .args(["--tool=callgrind", &format!("--toggle-collect={COUNTED}")])
        .arg(format!("--callgrind-out-file={CALLGRIND_OUT}"))
        .arg(program)
        .args([VERB, "recording"]);
    let output = cleanup::output(&mut replay).map_err(CountError::NoValgrind)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rev().find(|line| !line.starts_with("==")).unwrap_or("the replay failed silently");
        return Err(failed(last.to_owned()));
    }
    let cpu: Cpu = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let counts = directory.join(CALLGRIND_OUT);
    let text = fs::read_to_string(&counts).map_err(at(&counts))?;
    match total(&text) {
        Some(instructions) if instructions > 0 => Ok(Counted { instructions, cpu }),
        _ => {
            Err(failed(format!("callgrind counted nothing; check that `{COUNTED}` is still the name of the function")))
        }
    }
}

/// The sum at the end of callgrind's file.
fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// Replays the recording in a file, for the hidden subcommand. Returns the processor as this process sees it, in JSON.
///
/// # Errors
/// The file cannot be read, or the replay differs from the recording.
pub fn replay_file(registry: &Registry, path: &Path) -> Result<Vec<u8>, ReplayFileError> {
    let text = fs::read(path)?;
    let recording: Recording = serde_json::from_slice(&text)?;
    let part = replay::replay(&recording, &*registry.find(&recording.backend)?)?;
    if let Some(what) = recording.outcome.contradicted_by(&part) {
        return Err(ReplayError::Differs(what).into());
    }
    Ok(serde_json::to_vec(&Cpu::seen())?)
}

/// Why a file was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFileError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// The file does not have the format of a recording.
    #[error("the file is not a recording: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The recording is of a backend that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// The replay differs from the recording.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// The first line that a command prints.
fn line_of(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(io::Error::other(output.status.to_string()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        let text = |text: &str| text.to_owned();
        Conditions {
            rustc: text("rustc 1"),
            target: text("t"),
            profile: text("release"),
            rustflags: text(""),
            libc: text("glibc 2"),
            valgrind: text("valgrind-3"),
            cpu: Cpu { curve_backend: text("avx2"), features: vec![text("aes")] },
        }
    }

    #[test]
    fn counts_are_compared_under_the_same_conditions_only() {
        let here = conditions();
        assert_eq!(here.difference(&here), None);
        let other = Conditions { rustc: "rustc 2".to_owned(), ..conditions() };
        let said = here.difference(&other).unwrap();
        assert_eq!(said, "the compiler is `rustc 1`, but was `rustc 2` when the baseline was recorded");
        let unknown = Conditions { libc: String::new(), ..conditions() };
        assert_eq!(unknown.difference(&unknown).unwrap(), "the C library is unknown");
        let other = Conditions { cpu: Cpu { features: vec![], ..conditions().cpu }, ..conditions() };
        assert!(here.difference(&other).unwrap().starts_with("the processor is `avx2 with aes`, but was `avx2 with `"));
    }

    #[test]
    fn the_total_is_read_from_callgrinds_file() {
        assert_eq!(total("events: Ir\nfn=(0)\n1 2\n\ntotals: 12345\n"), Some(12345));
        assert_eq!(total("events: Ir\n"), None);
    }
}
