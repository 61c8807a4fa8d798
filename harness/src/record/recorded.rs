//! A finished run, read from its directory.

use std::path::{Path, PathBuf};

use super::manifest::{Manifest, RunStatus};
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
    #[error("{} holds no run; try `reproduce`, `compare` or `measure --out`", .0.display())]
    NoRun(PathBuf),
    /// A file cannot be read, or has another format.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run has not ended, or its samples are not one for each iteration of each cell.
    #[error("the run in {} is not complete ({found} of {expected} samples); try --resume", directory.display())]
    Incomplete {
        /// The path of the directory.
        directory: PathBuf,
        /// How many samples it has.
        found: usize,
        /// How many samples it should have.
        expected: u64,
    },
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
        store::check_belong(directory, &manifest, &samples)?;
        let (found, expected) = (samples.len(), manifest.options.samples());
        if manifest.status != RunStatus::Complete || found as u64 != expected {
            return Err(OpenError::Incomplete { directory: directory.to_owned(), found, expected });
        }
        Ok(Self { manifest, samples })
    }
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::record::manifest::{LargeGroups, Options};
    use crate::record::program::Program;
    use crate::record::store::Store;
    use crate::synthetic;
    use crate::system::directory::Directory;

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
        let mut manifest = Manifest::start(Program::HARNESS, options, 1, Vec::new()).unwrap();
        let mut store = Store::create(Directory::lock(directory).unwrap(), &manifest).unwrap();
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
        // A sample of another run, one that is there twice, and one that nobody asked for.
        record(&directory, true);
        let whole = fs::read_to_string(directory.join(store::SAMPLES)).unwrap();
        let other_run = whole.replace("\"run_id\":\"", "\"run_id\":\"other");
        let unasked = whole.replace("toy/remove/4/0", "toy/remove/4/1");
        for (samples, said) in [(other_run, " is of run other"), (whole.repeat(2), "twice"), (unasked, "not asked for")]
        {
            fs::write(directory.join(store::SAMPLES), samples).unwrap();
            let refused = refusal(&directory);
            assert!(
                matches!(refused, OpenError::Store(StoreError::Mixed { .. })) && refused.to_string().contains(said)
            );
        }
        record(&directory, true);
        edit(&directory.join(store::MANIFEST), "\"remove\": 2", "\"remove\": 4294967295");
        edit(&directory.join(store::MANIFEST), "\"iterations\": 1", "\"iterations\": 4294967295");
        assert!(refusal(&directory).to_string().contains("more than 1000000 samples"));
        fs::remove_dir_all(&directory).unwrap();
        assert!(matches!(refusal(&directory), OpenError::NoRun(_)));
    }
}
