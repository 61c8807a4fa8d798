//! The recorded costs that a build is compared with: results/baseline.json.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::figures::{Cells, Figures, UnknownKey};
use super::instructions::{Conditions, Instructions};
use crate::record::manifest::Build;
use crate::report::files::{self, ReportError};
use crate::system::directory::Directory;

/// Version of the file format.
pub const SCHEMA: u32 = 1;

/// The costs of a build, and how they were recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Why it was recorded, as given to `--reason`.
    pub reason: String,
    /// When it was recorded, in seconds since 1970 in UTC.
    pub recorded_unix: u64,
    /// The program that was measured.
    pub build: Build,
    /// The seed of all randomness.
    pub seed: u64,
    /// Exact figures by cell name. `None` if the backend does not have the operation.
    pub cells: Cells,
    /// Instruction counts. `None` if they were not counted.
    pub instructions: Option<RecordedInstructions>,
}

/// Instruction counts, and the conditions under which they can be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedInstructions {
    /// What must be the same for a comparison.
    pub conditions: Conditions,
    /// The counts by cell name.
    pub cells: BTreeMap<String, Instructions>,
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file does not exist.
    #[error("there is no baseline in {}; try to record one with `gate --update-baseline --reason \"...\"`", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file of the baseline.
        path: PathBuf,
        /// The error from the system.
        source: io::Error,
    },
    /// The file has another version.
    #[error("{} has version {theirs} of the format, but this program reads and writes version {SCHEMA}; {REPLACE}", path.display())]
    Schema {
        /// The file of the baseline.
        path: PathBuf,
        /// The version in the file.
        theirs: u64,
    },
    /// The file does not have the format of a baseline.
    #[error("{} is not a baseline: {reason}; {REPLACE}", path.display())]
    Malformed {
        /// The file of the baseline.
        path: PathBuf,
        /// What is wrong, and where in the file.
        reason: String,
    },
}

const REPLACE: &str = "try the file of the last good commit, or remove the file and record another one with \
                       `gate --update-baseline --reason \"...\"`";

/// The format of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    reason: String,
    recorded_unix: u64,
    build: Build,
    seed: u64,
    cells: Distinct<Option<Distinct<u64>>>,
    instructions: Option<RecordedInstructions>,
}

/// Values by name. A name that is there twice, as after a bad merge, is an error: one of its values would be lost.
#[derive(Serialize)]
struct Distinct<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Distinct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctVisitor(PhantomData))
    }
}

struct DistinctVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for DistinctVisitor<T> {
    type Value = Distinct<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by distinct names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Distinct<T>, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, T>()? {
            if values.contains_key(&name) {
                return Err(de::Error::custom(format_args!("`{name}` is there twice")));
            }
            values.insert(name, value);
        }
        Ok(Distinct(values))
    }
}

impl Baseline {
    /// Reads a baseline from its file.
    ///
    /// # Errors
    /// The file is missing, cannot be read, or is not a baseline of this version.
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
        let figures = |named: Distinct<u64>| -> Result<Figures, UnknownKey> {
            named.0.iter().map(|(name, value)| Ok((name.parse()?, *value))).collect()
        };
        let cells: Result<Cells, UnknownKey> =
            cells.0.into_iter().map(|(cell, named)| Ok((cell, named.map(figures).transpose()?))).collect();
        let cells = cells.map_err(|unknown| malformed(unknown.to_string()));
        Ok(Self { reason, recorded_unix, build, seed, cells: cells?, instructions })
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, directory: &Directory, name: &OsStr) -> Result<PathBuf, ReportError> {
        let named =
            |figures: &Figures| Distinct(figures.iter().map(|(key, value)| (key.to_string(), *value)).collect());
        let file = File {
            schema: SCHEMA,
            reason: self.reason.clone(),
            recorded_unix: self.recorded_unix,
            build: self.build.clone(),
            seed: self.seed,
            cells: Distinct(
                self.cells.iter().map(|(cell, figures)| (cell.clone(), figures.as_ref().map(named))).collect(),
            ),
            instructions: self.instructions.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&file)
            .map_err(|error| ReportError::Io { path: directory.path().join(name), source: error.into() })?;
        text.push(b'\n');
        files::write(directory, name, &text)
    }
}
