//! Instructions of an update: its sender's and one recipient's, all acknowledgements included, counted by callgrind.
//!
//! A count is the same in each run of the same program, however busy the machine is. It is not the same for another
//! compiler, on a processor for which other code is chosen, under another valgrind, which imitates another processor, or with
//! another C library. Valgrind runs SHA-256 in software, so counts compare a backend with itself alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use protocol::operation::Operation;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::exact::cell_name;
use crate::manifest::{Build, curve_backend};
use crate::plan::Choice;
use crate::proof::Refusal;
use crate::registry::{Registry, UnknownBackend};
use crate::replay::{self, Recording, ReplayError};

/// The function whose instructions are counted, as callgrind writes its name, with or without what follows it.
const COUNTED: &str = "harness::replay::member_part*";
/// The hidden subcommand that replays a recording.
pub const VERB: &str = "replay";
const CALLGRIND_OUT: &str = "counts";

/// Instructions in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    /// Of the member that updates.
    pub sender: u64,
    /// Of the member in the seat after it.
    pub recipient: u64,
}

/// What must be the same for counts to be comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// The compiler.
    pub rustc: String,
    /// For which kind of machine.
    pub target: String,
    /// Cargo's profile.
    pub profile: String,
    /// Compiler flags.
    pub rustflags: String,
    /// The C library.
    pub libc: String,
    /// Valgrind.
    pub valgrind: String,
    /// What the program takes the processor for, under valgrind.
    pub cpu: Cpu,
}

impl Conditions {
    /// Those of this machine and program, if it has seen this processor under valgrind.
    ///
    /// # Errors
    /// There is no valgrind.
    pub fn here(build: &Build, cpu: Cpu) -> Result<Self, CountError> {
        Ok(Self {
            rustc: build.rustc.clone(),
            target: build.target.clone(),
            profile: build.profile.clone(),
            rustflags: build.rustflags.clone(),
            libc: line_of(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default(),
            valgrind: line_of(Command::new("valgrind").arg("--version")).map_err(CountError::NoValgrind)?,
            cpu,
        })
    }

    /// What was different when the counts were recorded; None where they can be compared.
    #[must_use]
    pub fn difference(&self, recorded: &Self) -> Option<String> {
        let parts = |of: &Self| {
            let cpu = format!("{} with {}", of.cpu.curve_backend, of.cpu.features.join(" "));
            let Self { rustc, target, profile, rustflags, libc, valgrind, .. } = of.clone();
            [rustc, target, profile, rustflags, libc, valgrind, cpu]
        };
        let names = ["compiler", "target", "profile", "compiler flags", "C library", "valgrind", "processor"];
        let both = parts(self).into_iter().zip(parts(recorded));
        let (name, (now, then)) = names.into_iter().zip(both).find(|(_, (now, then))| now != then)?;
        Some(format!("the {name} is `{now}`, and was `{then}` when the baseline was recorded"))
    }
}

/// What decides which code runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Which code of the curve library.
    pub curve_backend: String,
    /// Features that code is chosen by.
    pub features: Vec<String>,
}

impl Cpu {
    /// As this process sees it.
    #[must_use]
    pub fn seen() -> Self {
        Self { curve_backend: curve_backend().to_owned(), features: features() }
    }
}

/// Features by which the primitives choose their code at run time.
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
    /// There is no valgrind.
    #[error("there is no valgrind on this machine ({0})")]
    NoValgrind(io::Error),
    /// An update cannot be recorded.
    #[error("{cell}: {refusal}")]
    Refused {
        /// Of which cell.
        cell: String,
        /// Why.
        refusal: Refusal,
    },
    /// A recording cannot be replayed.
    #[error("{cell}, seat {seat}: {reason}")]
    Failed {
        /// Of which cell.
        cell: String,
        /// Whose.
        seat: usize,
        /// Why.
        reason: String,
    },
    /// Files that the two processes share.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A backend that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
}

/// Counts both members' instructions in each backend's update, on all threads of the pool that calls. Gives what the
/// program has taken the processor for, too.
///
/// # Errors
/// As [`CountError`] says.
pub fn count(
    config: &Config,
    registry: &Registry,
    program: &Path,
) -> Result<(BTreeMap<String, Instructions>, Cpu), CountError> {
    let directory = Scratch::new()?;
    let parts: Result<Vec<(String, Vec<Recording>)>, CountError> =
        config.instructions.clone().into_par_iter().map(|choice| record(config, registry, &choice)).collect();
    let parts: Vec<(String, Recording)> = parts?
        .into_iter()
        .flat_map(|(cell, recordings)| recordings.into_iter().map(move |recording| (cell.clone(), recording)))
        .collect();
    let counted: Result<Vec<(String, usize, Counted)>, CountError> = parts
        .into_par_iter()
        .map(|(cell, recording)| {
            let counted = run(program, &directory, &cell, &recording)?;
            Ok((cell, recording.seat, counted))
        })
        .collect();
    let mut cells = BTreeMap::<String, Instructions>::new();
    let mut cpu = Cpu::seen();
    for (cell, seat, counted) in counted? {
        let instructions = cells.entry(cell).or_insert(Instructions { sender: 0, recipient: 0 });
        *(if seat == SENDER { &mut instructions.sender } else { &mut instructions.recipient }) = counted.instructions;
        cpu = counted.cpu;
    }
    Ok((cells, cpu))
}

const SENDER: usize = 0;
const RECIPIENT: usize = 1;

fn record(config: &Config, registry: &Registry, choice: &Choice) -> Result<(String, Vec<Recording>), CountError> {
    let name = choice.full_name();
    let cell = cell_name(&name, &Operation::Update.name(), config.group_size);
    let backend = registry.find(&name)?;
    let recorded = replay::record(&*backend, &name, (config.seed, config.group_size as usize), &[SENDER, RECIPIENT]);
    match recorded {
        Ok(recordings) => Ok((cell, recordings)),
        Err(refusal) => Err(CountError::Refused { cell, refusal }),
    }
}

struct Counted {
    instructions: u64,
    cpu: Cpu,
}

/// Replays a recording under callgrind.
fn run(program: &Path, scratch: &Scratch, cell: &str, recording: &Recording) -> Result<Counted, CountError> {
    let failed = |reason: String| CountError::Failed { cell: cell.to_owned(), seat: recording.seat, reason };
    let directory = scratch.0.join(format!("{}-{}", cell.replace(['/', ':'], "-"), recording.seat));
    let at = |path: &Path| {
        let path = path.to_owned();
        |source| CountError::Io { path, source }
    };
    fs::create_dir_all(&directory).map_err(at(&directory))?;
    let file = directory.join("recording");
    let text = serde_json::to_vec(recording).map_err(|error| at(&file)(error.into()))?;
    fs::write(&file, text).map_err(at(&file))?;
    let output = Command::new("valgrind")
        // Arguments and environment lie on the stack, whose place can decide which code copies memory: the same for all.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir(&directory)
        .args(["--tool=callgrind", &format!("--toggle-collect={COUNTED}")])
        .arg(format!("--callgrind-out-file={CALLGRIND_OUT}"))
        .arg(program)
        .args([VERB, "recording"])
        .output()
        .map_err(CountError::NoValgrind)?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.lines().rev().find(|line| !line.starts_with("==")).unwrap_or("no word of why");
        return Err(failed(last.to_owned()));
    }
    let cpu: Cpu = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    let counts = directory.join(CALLGRIND_OUT);
    let text = fs::read_to_string(&counts).map_err(at(&counts))?;
    match total(&text) {
        Some(instructions) if instructions > 0 => Ok(Counted { instructions, cpu }),
        _ => Err(failed(format!("callgrind counted nothing: is `{COUNTED}` still the name of the function?"))),
    }
}

/// The sum that callgrind has written at the end of its file.
fn total(text: &str) -> Option<u64> {
    text.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}

/// Replays the recording in a file: the hidden subcommand. Gives what the processor looks like from here, in JSON.
///
/// # Errors
/// The file cannot be read, or the recording does not come out as recorded.
pub fn replay_file(registry: &Registry, path: &Path) -> Result<Vec<u8>, ReplayFileError> {
    let text = fs::read(path)?;
    let recording: Recording = serde_json::from_slice(&text)?;
    replay::replay(&recording, &*registry.find(&recording.backend)?)?;
    Ok(serde_json::to_vec(&Cpu::seen())?)
}

/// Why a file was not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayFileError {
    /// It cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// It is none.
    #[error("no recording: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Of a backend that does not exist.
    #[error(transparent)]
    Unknown(#[from] UnknownBackend),
    /// It comes out differently.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// A directory that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, CountError> {
        let path = std::env::temp_dir().join(format!("harness-gate-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|source| CountError::Io { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
        assert_eq!(said, "the compiler is `rustc 1`, and was `rustc 2` when the baseline was recorded");
        let other = Conditions { cpu: Cpu { features: vec![], ..conditions().cpu }, ..conditions() };
        assert!(here.difference(&other).unwrap().starts_with("the processor is `avx2 with aes`, and was `avx2 with `"));
    }

    #[test]
    fn the_total_is_read_from_callgrinds_file() {
        assert_eq!(total("events: Ir\nfn=(0)\n1 2\n\ntotals: 12345\n"), Some(12345));
        assert_eq!(total("events: Ir\n"), None);
    }
}
