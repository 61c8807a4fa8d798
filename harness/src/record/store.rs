//! A run's files: samples.jsonl, to which the run only appends, and manifest.json.
//!
//! A line of samples.jsonl is the atomic unit. If the last line has no end, the run was interrupted while it was being
//! written. Readers ignore such a line, and resuming the run removes it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::manifest::{MAX_SAMPLES, Manifest};
use super::sample::Sample;
use super::version::{NotComparable, SCHEMA, same_version};
use crate::system::directory::{Directory, DirectoryError};

/// Name of the file of samples.
pub const SAMPLES: &str = "samples.jsonl";
/// Name of the file of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// The open files of a run.
pub struct Store {
    directory: Directory,
    /// Opened when the first sample is written: a run without samples has no file of samples.
    samples: Option<File>,
}

/// Why a run's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading, writing or replacing a file failed.
    #[error("cannot read or write {}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error that the system reports.
        source: io::Error,
    },
    /// The directory cannot be written to.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A new run cannot start in a directory that holds a run.
    #[error("{} already holds a run; try --resume, or another directory", .0.display())]
    Occupied(PathBuf),
    /// A line of a file is not of the format that belongs to the file's name.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What the JSON parser reports.
        reason: String,
    },
    /// A file has another version of the format than this program uses.
    #[error("{}: {source}", path.display())]
    NotComparable {
        /// The path of the file.
        path: PathBuf,
        /// Both versions.
        source: NotComparable,
    },
    /// The samples are not those of the run that the manifest describes.
    #[error("the samples in {} are not those of its manifest: {reason}; try measuring into another directory", directory.display())]
    Mixed {
        /// The path of the directory.
        directory: PathBuf,
        /// The first sample that does not belong there, and why.
        reason: String,
    },
}

impl Store {
    /// Starts a run in a directory.
    ///
    /// # Errors
    /// The directory already holds a run, or a file cannot be written.
    pub fn create(directory: Directory, manifest: &Manifest) -> Result<Self, StoreError> {
        if holds_run(directory.path()) {
            return Err(StoreError::Occupied(directory.path().to_owned()));
        }
        let store = Self { directory, samples: None };
        store.write_manifest(manifest)?;
        Ok(store)
    }

    /// Opens a run to continue it, and returns its samples. An unfinished last line is removed from the file, and so is
    /// each sample of a crash or time-out: the resumed run tries these again.
    ///
    /// # Errors
    /// The file of samples cannot be read or written, has lines of another format, or samples of another run.
    pub fn resume(directory: Directory, manifest: &Manifest) -> Result<(Self, Vec<Sample>), StoreError> {
        let path = directory.path().join(SAMPLES);
        let store = Self { directory, samples: None };
        if !path.exists() {
            return Ok((store, Vec::new()));
        }
        let bytes = fs::read(&path).map_err(at(&path))?;
        let lines = parse(&path, &bytes)?;
        check_belong(store.directory.path(), manifest, lines.iter().map(|(_, sample)| sample))?;
        let kept: Vec<(&[u8], Sample)> = lines.into_iter().filter(|(_, sample)| !sample.status.may_change()).collect();
        let text: Vec<u8> = kept.iter().flat_map(|(line, _)| *line).copied().collect();
        if text.is_empty() {
            fs::remove_file(&path).map_err(at(&path))?;
        } else if text != bytes {
            store.replace(SAMPLES, &text)?;
        }
        Ok((store, kept.into_iter().map(|(_, sample)| sample).collect()))
    }

    /// The directory of the run, which stays locked.
    #[must_use]
    pub fn into_directory(self) -> Directory {
        self.directory
    }

    /// Appends a sample in one write.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, sample: &Sample) -> Result<(), StoreError> {
        let path = self.directory.path().join(SAMPLES);
        let mut line = serde_json::to_vec(sample).map_err(|error| at(&path)(error.into()))?;
        line.push(b'\n');
        self.directory.check().map_err(at(&path))?;
        self.open()?.write_all(&line).map_err(at(&path))
    }

    /// Replaces the manifest in one step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.directory.path().join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(manifest).map_err(|error| at(&path)(error.into()))?;
        text.push(b'\n');
        self.replace(MANIFEST, &text)
    }

    /// Replaces a file in one step.
    fn replace(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        self.directory.write(name, text).map(drop).map_err(at(&self.directory.path().join(name)))
    }

    fn open(&mut self) -> Result<&mut File, StoreError> {
        let path = self.directory.path().join(SAMPLES);
        let file = match self.samples.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?,
        };
        Ok(self.samples.insert(file))
    }
}

/// Whether a directory holds files of a run.
#[must_use]
pub fn holds_run(directory: &Path) -> bool {
    [SAMPLES, MANIFEST].iter().any(|name| directory.join(name).exists())
}

/// Checks that each sample is one that the manifest's run has, and that none is there twice.
///
/// # Errors
/// The first sample that does not belong there.
pub fn check_belong<'a>(
    directory: &Path,
    manifest: &Manifest,
    samples: impl IntoIterator<Item = &'a Sample>,
) -> Result<(), StoreError> {
    if manifest.options.samples() > MAX_SAMPLES {
        let reason = format!("the run would have more than {MAX_SAMPLES} samples");
        return Err(StoreError::Mixed { directory: directory.to_owned(), reason });
    }
    let mut open = manifest.options.cell_ids();
    let mut seen = BTreeSet::new();
    for sample in samples {
        let reason = if sample.run_id != manifest.run_id {
            format!("{} is of run {}, not {}", sample.cell_id, sample.run_id, manifest.run_id)
        } else if seen.contains(&sample.cell_id) {
            format!("{} is there twice", sample.cell_id)
        } else if !open.remove(&sample.cell_id) {
            format!("{} was not asked for", sample.cell_id)
        } else {
            seen.insert(&sample.cell_id);
            continue;
        };
        return Err(StoreError::Mixed { directory: directory.to_owned(), reason });
    }
    Ok(())
}

/// The samples in a file. An unfinished last line is ignored.
///
/// # Errors
/// The file cannot be read, or has lines of another format.
pub fn read_samples(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let bytes = fs::read(path).map_err(at(path))?;
    Ok(parse(path, &bytes)?.into_iter().map(|(_, sample)| sample).collect())
}

/// The manifest in a file.
///
/// # Errors
/// The file cannot be read, or has another format.
pub fn read_manifest(path: &Path) -> Result<Manifest, StoreError> {
    let text = fs::read(path).map_err(at(path))?;
    check_schema(path, &text)?;
    serde_json::from_slice(&text).map_err(|error| malformed(path, error.line(), &error))
}

/// The complete lines, and the sample in each.
fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<(&'a [u8], Sample)>, StoreError> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n');
    let sample = |(index, line): (usize, &'a [u8])| {
        check_schema(path, line)?;
        let sample = serde_json::from_slice(line).map_err(|error| malformed(path, index + 1, &error))?;
        Ok((line, sample))
    };
    lines.enumerate().map(sample).collect()
}

/// Reports another version as such, not as malformed. Text without a version is left to the parser of the format.
fn check_schema(path: &Path, text: &[u8]) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    match serde_json::from_slice::<Versioned>(text) {
        Ok(versioned) => same_version("data", SCHEMA, versioned.schema)
            .map_err(|source| StoreError::NotComparable { path: path.to_owned(), source }),
        Err(_) => Ok(()),
    }
}

fn malformed(path: &Path, line: usize, error: &serde_json::Error) -> StoreError {
    StoreError::Malformed { path: path.to_owned(), line, reason: error.to_string() }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    |source| StoreError::Io { path, source }
}
