//! A run's files: samples.jsonl, to which the run only appends, and manifest.json.
//!
//! A line of samples.jsonl is the atomic unit. If the last line has no end, the run was interrupted while it was being
//! written. Readers ignore such a line, and resuming the run removes it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::manifest::Manifest;
use super::sample::Sample;
use super::version::{NotComparable, SCHEMA, same_version};

/// Name of the file of samples.
pub const SAMPLES: &str = "samples.jsonl";
/// Name of the file of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// The open files of a run.
pub struct Store {
    directory: PathBuf,
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
    /// The directory cannot be created, or no files can be created in it.
    #[error(
        "cannot write results to {}: {source}; try --out with a directory that can be created and written to",
        directory.display()
    )]
    Unwritable {
        /// The path of the directory.
        directory: PathBuf,
        /// The error that the system reports.
        source: io::Error,
    },
    /// A new run cannot start in a directory that holds a run.
    #[error("{} already holds a run; try to resume it, or another directory", .0.display())]
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
}

impl Store {
    /// Starts a run in a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// The directory already holds a run, or cannot be written to.
    pub fn create(directory: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        if holds_run(directory) {
            return Err(StoreError::Occupied(directory.to_owned()));
        }
        make_writable(directory)?;
        let store = Self { directory: directory.to_owned(), samples: None };
        store.write_manifest(manifest)?;
        Ok(store)
    }

    /// Opens a run to continue it, and returns its samples. An unfinished last line is removed from the file, and so is
    /// each sample of a crash or time-out: the resumed run tries these again.
    ///
    /// # Errors
    /// The file of samples cannot be read or written, or has lines of another format.
    pub fn resume(directory: &Path) -> Result<(Self, Vec<Sample>), StoreError> {
        let store = Self { directory: directory.to_owned(), samples: None };
        let path = directory.join(SAMPLES);
        if !path.exists() {
            return Ok((store, Vec::new()));
        }
        let bytes = fs::read(&path).map_err(at(&path))?;
        let lines = parse(&path, &bytes)?;
        let kept: Vec<(&[u8], Sample)> = lines.into_iter().filter(|(_, sample)| !sample.status.may_change()).collect();
        let text: Vec<u8> = kept.iter().flat_map(|(line, _)| *line).copied().collect();
        if text.is_empty() {
            fs::remove_file(&path).map_err(at(&path))?;
        } else if text != bytes {
            store.replace(SAMPLES, &text)?;
        }
        Ok((store, kept.into_iter().map(|(_, sample)| sample).collect()))
    }

    /// Appends a sample in one write.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, sample: &Sample) -> Result<(), StoreError> {
        let path = self.directory.join(SAMPLES);
        let mut line = serde_json::to_vec(sample).map_err(|error| at(&path)(error.into()))?;
        line.push(b'\n');
        self.open()?.write_all(&line).map_err(at(&path))
    }

    /// Replaces the manifest in one step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let path = self.directory.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(manifest).map_err(|error| at(&path)(error.into()))?;
        text.push(b'\n');
        self.replace(MANIFEST, &text)
    }

    /// Replaces a file in one step.
    fn replace(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        let fresh = self.directory.join(format!("{name}.new"));
        fs::write(&fresh, text).map_err(at(&fresh))?;
        fs::rename(&fresh, &path).map_err(at(&path))
    }

    fn open(&mut self) -> Result<&mut File, StoreError> {
        let path = self.directory.join(SAMPLES);
        let file = match self.samples.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?,
        };
        Ok(self.samples.insert(file))
    }
}

/// Creates a directory if it does not exist, and checks that files can be created in it.
///
/// # Errors
/// No file can be created in it.
pub fn make_writable(directory: &Path) -> Result<(), StoreError> {
    let attempt = directory.join(format!("{MANIFEST}.new"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&attempt, ""))
        .and_then(|()| fs::remove_file(&attempt))
        .map_err(|source| StoreError::Unwritable { directory: directory.to_owned(), source })
}

/// Whether a directory holds files of a run.
#[must_use]
pub fn holds_run(directory: &Path) -> bool {
    [SAMPLES, MANIFEST].iter().any(|name| directory.join(name).exists())
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
