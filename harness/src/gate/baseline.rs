//! The recorded costs that a build is compared with: results/baseline.json.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exact::{Figures, Key};
use super::instructions::{Conditions, Instructions};
use crate::manifest::Build;
use crate::report::{self, ReportError};

/// Version of the form below.
pub const SCHEMA: u32 = 1;

/// A build's costs, and where they come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Why it was recorded.
    pub reason: String,
    /// When, in seconds since 1970 in UTC.
    pub recorded_unix: u64,
    /// The program that was measured.
    pub build: Build,
    /// The seed of all randomness.
    pub seed: u64,
    /// Exact figures by cell; None where the backend does not have the operation.
    pub cells: BTreeMap<String, Option<Figures>>,
    /// Instructions; None where they could not be counted.
    pub instructions: Option<RecordedInstructions>,
}

/// Instructions, and where they can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedInstructions {
    /// What must be the same elsewhere.
    pub conditions: Conditions,
    /// By cell.
    pub cells: BTreeMap<String, Instructions>,
}

/// What can be wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is none.
    #[error("there is no baseline in {}; `harness gate --update-baseline --reason \"...\"` records one", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is of another version.
    #[error("{}: its form has version {theirs}, this program reads and writes version {SCHEMA}; {REPLACE}", path.display())]
    Schema {
        /// Which.
        path: PathBuf,
        /// Its version.
        theirs: u64,
    },
    /// It is not of the form.
    #[error("{} is no baseline: {reason}; {REPLACE}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why, and where.
        reason: String,
    },
}

const REPLACE: &str = "right would be the file of the last good commit, or to remove it and record another with \
                       `harness gate --update-baseline --reason \"...\"`";

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    reason: String,
    recorded_unix: u64,
    build: Build,
    seed: u64,
    cells: BTreeMap<String, Option<BTreeMap<String, u64>>>,
    instructions: Option<RecordedInstructions>,
}

impl Baseline {
    /// Reads the file.
    ///
    /// # Errors
    /// As [`BaselineError`] says.
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BaselineError::Missing(path.to_owned()),
            _ => BaselineError::Io { path: path.to_owned(), source },
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, BaselineError> {
        let malformed = |reason: String| BaselineError::Malformed { path: path.to_owned(), reason };
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let theirs = value.get("schema").and_then(serde_json::Value::as_u64);
        let theirs = theirs.ok_or_else(|| malformed("it has no `schema`".to_owned()))?;
        if theirs != u64::from(SCHEMA) {
            return Err(BaselineError::Schema { path: path.to_owned(), theirs });
        }
        let file: File = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let File { schema: _, reason, recorded_unix, build, seed, cells, instructions } = file;
        let key = |name: &String| Key::parse(name).ok_or_else(|| malformed(format!("there is no metric `{name}`")));
        let figures = |named: BTreeMap<String, u64>| -> Result<Figures, BaselineError> {
            named.iter().map(|(name, value)| Ok((key(name)?, *value))).collect()
        };
        let cells: Result<BTreeMap<String, Option<Figures>>, BaselineError> =
            cells.into_iter().map(|(cell, named)| Ok((cell, named.map(figures).transpose()?))).collect();
        Ok(Self { reason, recorded_unix, build, seed, cells: cells?, instructions })
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        let named = |figures: &Figures| figures.iter().map(|(key, value)| (key.name(), *value)).collect();
        let file = File {
            schema: SCHEMA,
            reason: self.reason.clone(),
            recorded_unix: self.recorded_unix,
            build: self.build.clone(),
            seed: self.seed,
            cells: self.cells.iter().map(|(cell, figures)| (cell.clone(), figures.as_ref().map(named))).collect(),
            instructions: self.instructions.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&file)
            .map_err(|error| ReportError::Io { path: path.to_owned(), source: error.into() })?;
        text.push(b'\n');
        report::write(path, &text)
    }
}
