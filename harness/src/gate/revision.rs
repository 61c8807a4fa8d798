//! Another revision of this repository, built once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::child::Launch;

/// The directory in which the programs of revisions are kept, from the top of the repository.
const BUILDS: &str = "target/gate";

/// A revision that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The full hash of its commit.
    pub commit: String,
    /// The top of the repository.
    root: PathBuf,
}

/// Why a revision cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// The working directory is not in a repository.
    #[error("this directory is in no git repository, so there is no revision `{0}`; try --against inside a repository")]
    NoRepository(String),
    /// There is no such revision.
    #[error(
        "there is no revision `{0}` in this repository; try a commit, branch or tag, such as HEAD~1 or origin/main"
    )]
    Unknown(String),
    /// Cargo does not build it.
    #[error("revision {commit} does not build: {reason}")]
    Build {
        /// The full hash of its commit.
        commit: String,
        /// The first error that cargo reports.
        reason: String,
    },
    /// A file cannot be written, or git or cargo cannot be used.
    #[error("cannot build revision {commit}: {source}")]
    Io {
        /// The full hash of its commit.
        commit: String,
        /// The error from the system.
        source: io::Error,
    },
}

impl Revision {
    /// The revision with this name, in the repository of the working directory.
    ///
    /// # Errors
    /// There is no such revision, or no repository.
    pub fn find(name: &str) -> Result<Self, RevisionError> {
        let root = git(Path::new("."), &["rev-parse", "--show-toplevel"])
            .ok_or_else(|| RevisionError::NoRepository(name.to_owned()))?;
        let root = PathBuf::from(root);
        let commit =
            git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
        let commit = commit.ok_or_else(|| RevisionError::Unknown(name.to_owned()))?;
        Ok(Self { commit, root })
    }

    /// How to start the revision's runners. Builds the revision unless it has been built before, and reports that to `say`.
    ///
    /// # Errors
    /// The revision does not build.
    pub fn build(&self, say: &mut dyn FnMut(&str)) -> Result<Launch, RevisionError> {
        let builds = self.root.join(BUILDS);
        let directory = builds.join(&self.commit);
        let program = directory.join(format!("harness{}", std::env::consts::EXE_SUFFIX));
        if !program.exists() {
            say(&format!("building revision {}", self.commit));
            // Outside this repository, whose .cargo/config.toml would otherwise be added to the revision's own.
            let tree = std::env::temp_dir().join(format!("harness-gate-{}", self.commit));
            let built = self.build_in(&tree, &builds.join("build"))?;
            fs::create_dir_all(&directory).map_err(|source| self.io(source))?;
            let fresh = program.with_extension("new");
            // Moved into place as a whole, because a program that exists is not built again.
            fs::copy(built, &fresh).and_then(|_| fs::rename(&fresh, &program)).map_err(|source| self.io(source))?;
        }
        Ok(Launch { program, args: vec!["runner".to_owned()] })
    }

    /// Checks the revision out, builds it and removes the work tree. All revisions share the builds of dependencies.
    fn build_in(&self, tree: &Path, target: &Path) -> Result<PathBuf, RevisionError> {
        let checkout = Checkout::new(self, tree)?;
        let output = Command::new("cargo")
            .args(["build", "--release", "--locked", "--package", "harness", "--bin", "harness"])
            // Here the revision's own .cargo/config.toml is in effect.
            .current_dir(checkout.tree)
            .env("CARGO_TARGET_DIR", target)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| self.io(source))?;
        if output.status.success() {
            return Ok(target.join("release").join(format!("harness{}", std::env::consts::EXE_SUFFIX)));
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = complaint.lines().find(|line| line.starts_with("error")).unwrap_or("cargo reports no error");
        Err(RevisionError::Build { commit: self.commit.clone(), reason: reason.to_owned() })
    }

    fn io(&self, source: io::Error) -> RevisionError {
        RevisionError::Io { commit: self.commit.clone(), source }
    }
}

/// A work tree that is removed with this value.
struct Checkout<'a> {
    revision: &'a Revision,
    tree: &'a Path,
}

impl<'a> Checkout<'a> {
    fn new(revision: &'a Revision, tree: &'a Path) -> Result<Self, RevisionError> {
        let checkout = Self { revision, tree };
        checkout.remove();
        let path = tree.to_string_lossy();
        let added =
            git(&revision.root, &["worktree", "add", "--quiet", "--detach", "--force", &path, &revision.commit]);
        match added {
            Some(_) => Ok(checkout),
            None => Err(revision.io(io::Error::other("git cannot check it out"))),
        }
    }

    /// Removes the work tree, and what an interrupted build has left.
    fn remove(&self) {
        let path = self.tree.to_string_lossy();
        if self.tree.exists() && git(&self.revision.root, &["worktree", "remove", "--force", &path]).is_none() {
            let _ = fs::remove_dir_all(self.tree);
        }
        git(&self.revision.root, &["worktree", "prune"]);
    }
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What git prints. `None` if it fails.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(directory).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
