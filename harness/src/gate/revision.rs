//! Another revision of this repository, built once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::Launch;

/// Where the programs of revisions are kept, from the top of the repository.
const BUILDS: &str = "target/gate";

/// A revision that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its commit.
    pub commit: String,
    /// The top of the repository.
    root: PathBuf,
}

/// Why a revision cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// This is no repository.
    #[error("this is no git repository, so there is no revision `{0}` in it; --against wants to be run in one")]
    NoRepository(String),
    /// There is no such revision.
    #[error(
        "there is no revision `{0}` in this repository; right would be a commit, branch or tag, such as HEAD~1 or origin/main"
    )]
    Unknown(String),
    /// It does not build.
    #[error("revision {commit} does not build: {reason}")]
    Build {
        /// Which.
        commit: String,
        /// The last words.
        reason: String,
    },
    /// A file, or a program that is not there.
    #[error("cannot build revision {commit}: {source}")]
    Io {
        /// Which.
        commit: String,
        /// Why.
        source: io::Error,
    },
}

impl Revision {
    /// The revision with this name, in the repository of the working directory.
    ///
    /// # Errors
    /// There is none, or no repository.
    pub fn find(name: &str) -> Result<Self, RevisionError> {
        let root = git(Path::new("."), &["rev-parse", "--show-toplevel"])
            .ok_or_else(|| RevisionError::NoRepository(name.to_owned()))?;
        let root = PathBuf::from(root);
        let commit =
            git(&root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
        let commit = commit.ok_or_else(|| RevisionError::Unknown(name.to_owned()))?;
        Ok(Self { commit, root })
    }

    /// How to start its runners. Builds it where that has not been done before; `say` hears of it.
    ///
    /// # Errors
    /// It does not build.
    pub fn build(&self, say: &mut dyn FnMut(&str)) -> Result<Launch, RevisionError> {
        let builds = self.root.join(BUILDS);
        let directory = builds.join(&self.commit);
        let program = directory.join(format!("harness{}", std::env::consts::EXE_SUFFIX));
        if !program.exists() {
            say(&format!("building revision {}", self.commit));
            // Not below this repository, whose .cargo/config.toml would be added to the revision's own.
            let tree = std::env::temp_dir().join(format!("harness-gate-{}", self.commit));
            let built = self.build_in(&tree, &builds.join("build"))?;
            fs::create_dir_all(&directory).map_err(|source| self.io(source))?;
            let fresh = program.with_extension("new");
            // Moved to its place as a whole: what is there is taken for finished.
            fs::copy(built, &fresh).and_then(|_| fs::rename(&fresh, &program)).map_err(|source| self.io(source))?;
        }
        Ok(Launch { program, args: vec!["runner".to_owned()] })
    }

    /// Checks the revision out and builds it; the tree goes again. The dependencies' builds serve all revisions.
    fn build_in(&self, tree: &Path, target: &Path) -> Result<PathBuf, RevisionError> {
        let checkout = Checkout::new(self, tree)?;
        let output = Command::new("cargo")
            .args(["build", "--release", "--locked", "--package", "harness", "--bin", "harness"])
            // Where .cargo/config.toml of that revision holds.
            .current_dir(checkout.tree)
            .env("CARGO_TARGET_DIR", target)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| self.io(source))?;
        if output.status.success() {
            return Ok(target.join("release").join(format!("harness{}", std::env::consts::EXE_SUFFIX)));
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = complaint.lines().find(|line| line.starts_with("error")).unwrap_or("cargo fails without a word");
        Err(RevisionError::Build { commit: self.commit.clone(), reason: reason.to_owned() })
    }

    fn io(&self, source: io::Error) -> RevisionError {
        RevisionError::Io { commit: self.commit.clone(), source }
    }
}

/// A work tree that goes with this value.
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

    /// What an interrupted build has left is removed too.
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

/// What git prints; None where it fails.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(directory).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
