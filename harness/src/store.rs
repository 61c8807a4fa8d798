//! A run's files: samples.jsonl, which only grows, and manifest.json.
//!
//! A line of samples is the atomic unit. A last line without its end was being written when the run was interrupted; readers
//! drop it, and whoever resumes the run cuts it off.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cell_protocol::{NotComparable, same_version};
use crate::manifest::Manifest;
use crate::sample::{SCHEMA, Sample};

/// Name of the samples' file.
pub const SAMPLES: &str = "samples.jsonl";
/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";

/// The open files of a run.
pub struct Store {
    directory: PathBuf,
    /// Opened for the first sample: a run without samples has no file of samples.
    samples: Option<File>,
}

/// What can be wrong with a run's files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing can be written there.
    #[error("cannot write results to {}: {source}; --out wants a directory that can be made and written to", directory.display())]
    Unwritable {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory has a run in it.
    #[error("{} already holds a run: resume it or choose another directory", .0.display())]
    Occupied(PathBuf),
    /// A file is not what its name says.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// The file has another form than this program's.
    #[error("{}: {source}", path.display())]
    NotComparable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: NotComparable,
    },
}

impl Store {
    /// Starts a run in a directory, which is made where it does not exist.
    ///
    /// # Errors
    /// There is a run in it, or it cannot be written.
    pub fn create(directory: &Path, manifest: &Manifest) -> Result<Self, StoreError> {
        if holds_run(directory) {
            return Err(StoreError::Occupied(directory.to_owned()));
        }
        make_writable(directory)?;
        let store = Self { directory: directory.to_owned(), samples: None };
        store.write_manifest(manifest)?;
        Ok(store)
    }

    /// Goes on with a run: its files and its whole samples. An unfinished last line is cut off, and so is each sample of a
    /// crash or time-out: the run gets another chance there.
    ///
    /// # Errors
    /// Its files cannot be read or written.
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

    /// Adds a sample by one write.
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

/// Makes a directory where it does not exist, and sees whether files can be made in it.
///
/// # Errors
/// They cannot.
pub fn make_writable(directory: &Path) -> Result<(), StoreError> {
    let attempt = directory.join(format!("{MANIFEST}.new"));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&attempt, ""))
        .and_then(|()| fs::remove_file(&attempt))
        .map_err(|source| StoreError::Unwritable { directory: directory.to_owned(), source })
}

/// Whether a directory has files of a run in it.
#[must_use]
pub fn holds_run(directory: &Path) -> bool {
    [SAMPLES, MANIFEST].iter().any(|name| directory.join(name).exists())
}

/// The whole samples in a file; an unfinished last line is dropped.
///
/// # Errors
/// The file cannot be read, or has lines of another form.
pub fn read_samples(path: &Path) -> Result<Vec<Sample>, StoreError> {
    let bytes = fs::read(path).map_err(at(path))?;
    Ok(parse(path, &bytes)?.into_iter().map(|(_, sample)| sample).collect())
}

/// The manifest in a file.
///
/// # Errors
/// The file cannot be read, or has another form.
pub fn read_manifest(path: &Path) -> Result<Manifest, StoreError> {
    let text = fs::read(path).map_err(at(path))?;
    check_schema(path, &text)?;
    serde_json::from_slice(&text).map_err(|error| malformed(path, error.line(), &error))
}

/// The whole lines, and the sample in each.
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

/// Another version's lines are not malformed but of another version. A line without a version is judged by the form.
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
