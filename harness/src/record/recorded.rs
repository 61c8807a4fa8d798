//! A finished run, read from its directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::manifest::{LargeGroups, Manifest, RunStatus};
use super::sample::Sample;
use super::store::{self, StoreError};

/// A finished run with all its samples.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The conditions of the run.
    pub manifest: Manifest,
    /// One sample for each iteration of each cell.
    pub samples: Vec<Sample>,
}

/// Why no finished run can be read from a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory does not hold files of a run.
    #[error("{} holds no run; try `harness reproduce`, `harness compare` or `harness measure --out`", .0.display())]
    NoRun(PathBuf),
    /// A file cannot be read, or has another format.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run has not ended, or its samples are not one for each iteration of each cell.
    #[error("the run in {} is not complete ({found} of {expected} samples); try --resume", directory.display())]
    Incomplete {
        /// The path of the directory.
        directory: PathBuf,
        /// How many samples it has, without repeated ones.
        found: usize,
        /// How many samples it should have.
        expected: usize,
    },
    /// Some samples are not of the run that the manifest describes.
    #[error("{} holds samples of a run other than its manifest's; try measuring into another directory", .0.display())]
    Mixed(PathBuf),
}

impl Recorded {
    /// Reads a run, and refuses one that is not complete.
    ///
    /// # Errors
    /// The cases of [`OpenError`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        if !store::holds_run(directory) {
            return Err(OpenError::NoRun(directory.to_owned()));
        }
        let manifest = store::read_manifest(&directory.join(store::MANIFEST))?;
        // A run without samples has no file of samples.
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
    use crate::record::manifest::Options;
    use crate::record::store::Store;
    use crate::synthetic;

    fn record(directory: &Path, complete: bool) {
        let _ = fs::remove_dir_all(directory);
        let options = Options {
            seed: 1,
            backends: vec!["toy".to_owned()],
            // Without the limit, the run would have two samples.
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
    fn only_complete_runs_are_opened() {
        let directory = std::env::temp_dir().join(format!("harness-recorded-{}", std::process::id()));
        let refusal = |directory: &Path| Recorded::open(directory).unwrap_err();
        record(&directory, true);
        assert_eq!(Recorded::open(&directory).unwrap().samples.len(), 1);
        // A sample that another version wrote.
        edit(&directory.join(store::SAMPLES), "\"schema\":1", "\"schema\":2");
        assert!(matches!(refusal(&directory), OpenError::Store(StoreError::NotComparable { .. })));
        // A torn line.
        record(&directory, true);
        let text = fs::read_to_string(directory.join(store::SAMPLES)).unwrap();
        fs::write(directory.join(store::SAMPLES), &text[..text.len() - 9]).unwrap();
        assert!(matches!(Recorded::open(&directory), Err(OpenError::Incomplete { found: 0, expected: 1, .. })));
        record(&directory, false);
        assert!(matches!(refusal(&directory), OpenError::Incomplete { .. }));
        fs::remove_file(directory.join(store::SAMPLES)).unwrap();
        assert!(matches!(refusal(&directory), OpenError::Incomplete { .. }));
        record(&directory, true);
        edit(&directory.join(store::SAMPLES), "\"run_id\":\"", "\"run_id\":\"other");
        assert!(matches!(refusal(&directory), OpenError::Mixed(_)));
        fs::remove_dir_all(&directory).unwrap();
        assert!(matches!(refusal(&directory), OpenError::NoRun(_)));
    }
}
