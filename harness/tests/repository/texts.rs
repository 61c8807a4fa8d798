//! The texts of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose texts are the project's own words. Recorded runs are data.
const FOLDERS: [&str; 14] = [
    ".cargo",
    ".ci",
    ".github",
    "baselines",
    "benches",
    "dcgka",
    "docs",
    "examples",
    "fuzz",
    "harness",
    "protocol",
    "results/paper",
    "results/published",
    "scripts",
];
const ENDINGS: [&str; 8] = ["rs", "md", "toml", "sh", "yml", "patch", "cff", ""];
/// Built files, and data.
const LEFT_OUT: [&str; 4] = ["target", "corpus", "artifacts", "vectors"];

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The texts, with their paths from the top of the repository.
pub(crate) fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut paths = Vec::new();
    FOLDERS.iter().for_each(|folder| collect(&root.join(folder), &mut paths));
    paths.extend(entries(&root).into_iter().filter(|path| path.is_file()));
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        ENDINGS.contains(&&*ending) && !name.starts_with("LICENSE")
    });
    paths.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        Some((name, fs::read_to_string(&path).ok()?))
    };
    paths.into_iter().filter_map(named).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for path in entries(directory) {
        if path.is_file() {
            paths.push(path);
        } else if !LEFT_OUT.iter().any(|name| path.ends_with(name)) {
            collect(&path, paths);
        }
    }
}
