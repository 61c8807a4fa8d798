//! A finished run, read again from its directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::manifest::{LargeGroups, Manifest, RunStatus};
use crate::sample::Sample;
use crate::store::{self, StoreError};

/// A run with all its samples.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its conditions.
    pub manifest: Manifest,
    /// A sample for each cell and iteration.
    pub samples: Vec<Sample>,
}

/// Why a directory is not taken for a finished run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no run.
    #[error("{} holds no run: `harness reproduce`, `harness compare` and `harness measure --out` make one", .0.display())]
    NoRun(PathBuf),
    /// A file cannot be read, or is of another form.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run has not come to its end.
    #[error("the run in {} is not complete ({found} of {expected} samples): go on with --resume", directory.display())]
    Incomplete {
        /// Where.
        directory: PathBuf,
        /// Cells that it has.
        found: usize,
        /// Cells that it should have.
        expected: usize,
    },
    /// Samples of more than one run.
    #[error("{} holds samples of another run than its manifest's", .0.display())]
    Mixed(PathBuf),
}

impl OpenError {
    /// The exit code of a program that ends for this reason.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Incomplete { .. } => 4,
            Self::Mixed(_) | Self::Store(StoreError::NotComparable { .. }) => 5,
            Self::NoRun(_) | Self::Store(_) => 1,
        }
    }
}

impl Recorded {
    /// Reads a run, and refuses one that is not whole.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        if !store::holds_run(directory) {
            return Err(OpenError::NoRun(directory.to_owned()));
        }
        let manifest = store::read_manifest(&directory.join(store::MANIFEST))?;
        // Without its first sample, a run has no file of samples either.
        let path = directory.join(store::SAMPLES);
        let samples = if path.exists() { store::read_samples(&path)? } else { Vec::new() };
        if samples.iter().any(|sample| sample.run_id != manifest.run_id) {
            return Err(OpenError::Mixed(directory.to_owned()));
        }
        let cells: BTreeSet<&str> = samples.iter().map(|sample| sample.cell_id.as_str()).collect();
        let (found, expected) = (cells.len(), cells_of(&manifest));
        if manifest.status != RunStatus::Complete || found != expected || samples.len() != expected {
            return Err(OpenError::Incomplete { directory: directory.to_owned(), found, expected });
        }
        Ok(Self { manifest, samples })
    }
}

/// How many samples a run should have.
fn cells_of(manifest: &Manifest) -> usize {
    let options = &manifest.options;
    let counts = |size: &u32| -> usize {
        options.iterations.values().map(|count| LargeGroups::limit(options.large_groups, *size, *count) as usize).sum()
    };
    options.backends.len() * options.sizes.iter().map(counts).sum::<usize>()
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::manifest::Options;
    use crate::store::Store;
    use crate::synthetic;

    fn record(directory: &Path, complete: bool) {
        let _ = fs::remove_dir_all(directory);
        let options = Options {
            seed: 1,
            backends: vec!["toy".to_owned()],
            // Without the limit it would have two samples.
            iterations: BTreeMap::from([("remove".to_owned(), 2)]),
            large_groups: Some(LargeGroups { from: 4, iterations: 1 }),
            sizes: vec![4],
            timeout_ms: 1000,
            peak: false,
        };
        let mut manifest = Manifest::start(options, 1, Vec::new()).unwrap();
        let mut store = Store::create(directory, &manifest).unwrap();
        store.append(&Sample { run_id: manifest.run_id.clone(), ..synthetic::remove() }).unwrap();
        if complete {
            manifest.complete();
            store.write_manifest(&manifest).unwrap();
        }
    }

    fn edit(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    }

    #[test]
    fn only_whole_runs_are_opened() {
        let directory = std::env::temp_dir().join(format!("harness-recorded-{}", std::process::id()));
        let code = |directory: &Path| Recorded::open(directory).unwrap_err().exit_code();
        record(&directory, true);
        assert_eq!(Recorded::open(&directory).unwrap().samples.len(), 1);
        // A sample that another version wrote.
        edit(&directory.join(store::SAMPLES), "\"schema\":1", "\"schema\":2");
        assert_eq!(code(&directory), 5);
        // A torn line.
        record(&directory, true);
        let text = fs::read_to_string(directory.join(store::SAMPLES)).unwrap();
        fs::write(directory.join(store::SAMPLES), &text[..text.len() - 9]).unwrap();
        assert!(matches!(Recorded::open(&directory), Err(OpenError::Incomplete { found: 0, expected: 1, .. })));
        record(&directory, false);
        assert_eq!(code(&directory), 4);
        fs::remove_file(directory.join(store::SAMPLES)).unwrap();
        assert_eq!(code(&directory), 4);
        record(&directory, true);
        edit(&directory.join(store::SAMPLES), "\"run_id\":\"", "\"run_id\":\"other");
        assert_eq!(code(&directory), 5);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(code(&directory), 1);
    }
}
