//! Another revision of this repository, built once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::manifest::{Build, file_hash};
use crate::record::program::Program;
use crate::run::child::Launch;
use crate::system::cleanup::{self, Entry, Scratch};
use crate::system::command::command;
use crate::system::directory::{Directory, DirectoryError};

/// Where the programs of revisions are kept, from the directory of a revision.
const BUILDS: &str = "target/gate";
/// The file beside a kept program that says how it was built.
const BUILT: &str = "built.json";

/// How many lines of cargo's complaint are shown.
const ERROR_LINES: usize = 12;

/// A revision that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The full hash of its commit.
    pub commit: String,
    /// The top of the repository.
    root: PathBuf,
    /// The directory, from the top of the repository.
    prefix: PathBuf,
    program: Program,
}

/// A revision that has been built.
#[derive(Debug)]
pub struct Other {
    /// How to start its runners.
    pub launch: Launch,
    /// How its build differs from that of this program, in words.
    pub differences: Vec<String>,
    /// While it is held, no other gate builds in this repository, or measures CPU time with what is built there.
    _builds: Directory,
}

/// Why a revision cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// Git cannot be run.
    #[error("cannot run git: {0}; try to install it, or the gate without --against")]
    NoGit(io::Error),
    /// The working directory is not in a repository that git uses.
    #[error(
        "git finds no revision `{name}` from this directory: {said}; try --against inside a repository that git accepts"
    )]
    NoRepository {
        /// The name of the revision.
        name: String,
        /// What git says.
        said: String,
    },
    /// There is no such revision.
    #[error(
        "there is no revision `{0}` in this repository; try a commit, branch or tag, such as HEAD~1 or origin/main"
    )]
    Unknown(String),
    /// There is no such revision, but the repository holds only a part of the history.
    #[error(
        "there is no revision `{0}` in this repository, which is a shallow clone; try `git fetch --unshallow`, or in a \
         workflow `fetch-depth: 0`"
    )]
    Shallow(String),
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
    /// The directory of the builds cannot be written to.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What decides how a revision is built. A kept program is used only if all of it is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    commit: String,
    package: String,
    bin: String,
    profile: String,
    /// What `rustc -vV` prints. `None` if it cannot be run: then nothing that was kept is used.
    rustc: Option<String>,
    /// The variables from which cargo takes flags, target and profile.
    variables: BTreeMap<String, String>,
    /// The configuration files outside the revision from which it takes the same, and their texts.
    configuration: BTreeMap<String, String>,
}

/// How a kept program was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Built {
    key: Key,
    /// A hash of the program's file.
    hash: String,
    /// What its build script reported: compiler, flags and so on, by name. Empty if cargo did not say.
    reported: BTreeMap<String, String>,
}

impl Revision {
    /// The revision with this name, in the repository of a directory.
    ///
    /// # Errors
    /// There is no such revision, or no repository.
    pub fn find(here: &Path, name: &str, program: Program) -> Result<Self, RevisionError> {
        let no_repository = |error| match error {
            GitError::NotRun(source) => RevisionError::NoGit(source),
            GitError::Refused(said) => RevisionError::NoRepository { name: name.to_owned(), said },
        };
        let root = PathBuf::from(git(here, ["rev-parse", "--show-toplevel"]).map_err(no_repository)?);
        let prefix = PathBuf::from(git(here, ["rev-parse", "--show-prefix"]).map_err(no_repository)?);
        let commit = format!("{name}^{{commit}}");
        let commit = git(&root, ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]);
        let Ok(commit) = commit else {
            let shallow = git(&root, ["rev-parse", "--is-shallow-repository"]).is_ok_and(|answer| answer == "true");
            let unknown = if shallow { RevisionError::Shallow } else { RevisionError::Unknown };
            return Err(unknown(name.to_owned()));
        };
        let commit = commit.to_string_lossy().into_owned();
        // Git answers to `^HEAD` with a hash that is negated.
        if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(RevisionError::Unknown(name.to_owned()));
        }
        Ok(Self { commit, root, prefix, program })
    }

    /// Builds the revision, unless it has been built before in the same way. Reports to `say` what takes long.
    ///
    /// # Errors
    /// The revision does not build.
    pub fn build(&self, this: &Build, say: &mut dyn FnMut(&str)) -> Result<Other, RevisionError> {
        let path = self.root.join(&self.prefix).join(BUILDS);
        let builds = match Directory::lock(&path) {
            Err(DirectoryError::Busy { holder, .. }) => {
                say(&format!("waiting until the gate of {holder} has ended"));
                Directory::wait(&path)?
            }
            locked => locked?,
        };
        // Outside this repository, whose .cargo/config.toml would otherwise be added to the revision's own.
        let tree = Scratch::new().map_err(|source| self.io(source))?;
        let key = Key::of(self, tree.path());
        let directory = builds.path().join(&self.commit);
        let program = directory.join(format!("{}{}", self.program.bin, std::env::consts::EXE_SUFFIX));
        let kept = kept(&directory).filter(|built| {
            let is_whole = file_hash(&program).is_ok_and(|hash| hash == built.hash);
            built.key == key && key.is_known() && is_whole
        });
        let built = match kept {
            Some(built) => built,
            None => {
                say(&format!("building revision {}", self.commit));
                self.build_in(tree.path(), &builds, &directory, key)?
            }
        };
        let launch = Launch { program, args: vec!["runner".to_owned()], directory: None, piped: None };
        Ok(Other { launch, differences: built.differences(this), _builds: builds })
    }

    /// Checks the revision out, builds it, and keeps its program in `directory`. All revisions share the builds of
    /// dependencies.
    fn build_in(&self, tree: &Path, builds: &Directory, directory: &Path, key: Key) -> Result<Built, RevisionError> {
        let failed = |reason: &str| RevisionError::Build { commit: self.commit.clone(), reason: reason.to_owned() };
        let io = |source| self.io(source);
        let checkout = Checkout::new(self, tree)?;
        let from = checkout.tree.join(&self.prefix);
        if !from.is_dir() {
            return Err(failed(&format!("it has no directory {}", self.prefix.display())));
        }
        let target = builds.path().join("build");
        let name = format!("{}{}", self.program.bin, std::env::consts::EXE_SUFFIX);
        // What an earlier build has left must not be taken for what this one makes.
        for earlier in places(&target, &name) {
            fs::remove_file(earlier).map_err(io)?;
        }
        let mut cargo = command("cargo");
        cargo
            .args(["build", "--release", "--locked", "--package", self.program.package, "--bin", self.program.bin])
            .arg("--message-format=json-render-diagnostics")
            // Here the revision's own .cargo/config.toml is in effect.
            .current_dir(from)
            .env("CARGO_TARGET_DIR", &target);
        let not_run = |error: io::Error| io(io::Error::new(error.kind(), format!("cannot run cargo: {error}")));
        let output = cleanup::output(&mut cargo).map_err(not_run)?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            // The first error and its causes.
            let lines = complaint.lines().skip_while(|line| !line.starts_with("error")).map(str::trim);
            let said = lines.filter(|line| !line.is_empty()).take(ERROR_LINES).collect::<Vec<_>>().join(" ");
            return Err(failed(if said.is_empty() { "cargo reports no error" } else { &said }));
        }
        let Messages { executable, reported } = Messages::of(&output, self.program);
        // Something that stands for cargo may not say what it has made. Then it is clear only if there is one such file.
        let executable = executable.or_else(|| match places(&target, &name).as_slice() {
            [made] => Some(made.clone()),
            _ => None,
        });
        let executable = executable.ok_or_else(|| failed("cargo does not say where the program is"))?;
        let built = Built { key, hash: file_hash(&executable).map_err(io)?, reported };
        // Made in a place of its own, and moved into place as a whole.
        let fresh = builds.path().join(format!(".new.{}", self.commit));
        let text = serde_json::to_vec_pretty(&built).map_err(|error| io(error.into()))?;
        let replaced = |path: &Path| if path.exists() { fs::remove_dir_all(path) } else { Ok(()) };
        replaced(&fresh)
            .and_then(|()| fs::create_dir_all(&fresh))
            .and_then(|()| fs::copy(executable, fresh.join(&name)))
            .and_then(|_| fs::write(fresh.join(BUILT), text))
            .and_then(|()| replaced(directory))
            .and_then(|()| fs::rename(&fresh, directory))
            .map_err(io)?;
        Ok(built)
    }

    fn io(&self, source: io::Error) -> RevisionError {
        RevisionError::Io { commit: self.commit.clone(), source }
    }
}

/// Where cargo puts a release program: below the target triple if one is configured.
fn places(target: &Path, name: &str) -> Vec<PathBuf> {
    let below = fs::read_dir(target).into_iter().flatten().flatten().map(|entry| entry.path());
    let directories = std::iter::once(target.to_owned()).chain(below);
    directories.map(|directory| directory.join("release").join(name)).filter(|path| path.is_file()).collect()
}

fn kept(directory: &Path) -> Option<Built> {
    serde_json::from_slice(&fs::read(directory.join(BUILT)).ok()?).ok()
}

impl Key {
    fn of(revision: &Revision, tree: &Path) -> Self {
        let here = revision.root.join(&revision.prefix);
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let version = command(compiler).arg("-vV").current_dir(here).stdin(Stdio::null()).output().ok();
        let version = version.filter(|output| output.status.success());
        Self {
            commit: revision.commit.clone(),
            package: revision.program.package.to_owned(),
            bin: revision.program.bin.to_owned(),
            profile: "release".to_owned(),
            rustc: version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()),
            variables: variables(),
            configuration: configuration(tree),
        }
    }
}

impl Key {
    /// Whether this is all that decides how a revision is built.
    fn is_known(&self) -> bool {
        self.rustc.is_some() && !self.configuration.values().any(|text| text.contains("include"))
    }
}

/// The variables from which cargo takes flags, target and profile.
fn variables() -> BTreeMap<String, String> {
    let names = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"];
    let prefixes = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"];
    // These say where builds are, which changes nothing in them.
    let places = ["CARGO_TARGET_DIR", "CARGO_TARGET_TMPDIR", "CARGO_BUILD_TARGET_DIR"];
    let texts = std::env::vars_os().map(|(name, value)| (name, value.to_string_lossy().into_owned()));
    let texts = texts.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let decides = |name: &str| {
        names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix)) && !places.contains(&name)
    };
    texts.filter(|(name, _)| decides(name)).collect()
}

/// The texts of cargo's configuration files that are in effect in a directory, its own left out.
fn configuration(tree: &Path) -> BTreeMap<String, String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let above = tree.ancestors().skip(1).map(|directory| directory.join(".cargo"));
    let files = above.chain(home).flat_map(|directory| ["config.toml", "config"].map(|name| directory.join(name)));
    let texts = files.filter_map(|path| {
        let text = fs::read(&path).ok()?;
        Some((path.to_string_lossy().into_owned(), String::from_utf8_lossy(&text).into_owned()))
    });
    texts.collect()
}

impl Built {
    /// How this build differs from another one, in words.
    fn differences(&self, this: &Build) -> Vec<String> {
        let reported = |name: &str| self.reported.get(name).cloned();
        let profile = reported("HARNESS_PROFILE").zip(reported("HARNESS_OPT_LEVEL"));
        let both = [
            ("compiler", reported("HARNESS_RUSTC"), &this.rustc),
            ("compiler flags", reported("HARNESS_RUSTFLAGS"), &this.rustflags),
            ("target", reported("HARNESS_TARGET"), &this.target),
            ("profile", profile.map(|(name, level)| format!("{name}, opt-level {level}")), &this.profile),
        ];
        let difference = |(what, theirs, ours): (&str, Option<String>, &String)| match theirs {
            None => Some(format!("not known of the other build: its {what}")),
            Some(theirs) if theirs != *ours => {
                Some(format!("{what} of the other build: `{theirs}`; of this one: `{ours}`"))
            }
            Some(_) => None,
        };
        // A program does not know all that was set when it was built.
        let set = self.key.variables.iter().filter(|(name, _)| !name.ends_with("RUSTFLAGS"));
        let set = set.map(|(name, value)| {
            format!("set when the other revision was built, perhaps not for this one: {name}={value}")
        });
        both.into_iter().filter_map(difference).chain(set).collect()
    }
}

/// What cargo says about a build: a JSON object a line.
struct Messages {
    executable: Option<PathBuf>,
    /// The variables that the harness's build script has set, by name.
    reported: BTreeMap<String, String>,
}

impl Messages {
    fn of(output: &Output, program: Program) -> Self {
        let mut messages = Self { executable: None, reported: BTreeMap::new() };
        for line in output.stdout.split(|byte| *byte == b'\n') {
            let Ok(message) = serde_json::from_slice::<Value>(line) else { continue };
            match message["reason"].as_str() {
                Some("compiler-artifact") if message["target"]["name"] == program.bin => {
                    let path = message["executable"].as_str().map(PathBuf::from);
                    messages.executable = path.or(messages.executable);
                }
                Some("build-script-executed") => {
                    let pairs = message["env"].as_array().into_iter().flatten();
                    let pairs = pairs.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?)));
                    let of_harness = pairs.filter(|(name, _)| name.starts_with("HARNESS_"));
                    messages.reported.extend(of_harness.map(|(name, value)| (name.to_owned(), value.to_owned())));
                }
                _ => (),
            }
        }
        messages
    }
}

/// A work tree that is removed with this value.
struct Checkout<'a> {
    revision: &'a Revision,
    tree: PathBuf,
    _entry: Entry,
}

impl<'a> Checkout<'a> {
    fn new(revision: &'a Revision, directory: &Path) -> Result<Self, RevisionError> {
        let _entry = Entry::of_repository(&revision.root).map_err(|source| revision.io(source))?;
        let checkout = Self { revision, tree: directory.join("tree"), _entry };
        // Git still knows the trees of gates that were interrupted.
        let _ = git(&revision.root, ["worktree", "prune"]);
        let before = ["worktree", "add", "--quiet", "--detach"].map(OsStr::new);
        let arguments = before.into_iter().chain([checkout.tree.as_os_str(), OsStr::new(&revision.commit)]);
        match git(&revision.root, arguments) {
            Ok(_) => Ok(checkout),
            Err(GitError::NotRun(source)) => Err(RevisionError::NoGit(source)),
            Err(GitError::Refused(said)) => {
                Err(revision.io(io::Error::other(format!("git cannot check it out: {said}"))))
            }
        }
    }
}

impl Drop for Checkout<'_> {
    fn drop(&mut self) {
        let arguments = ["worktree", "remove", "--force"].map(OsStr::new);
        // What git leaves behind goes with the temporary directory.
        let _ = git(&self.revision.root, arguments.into_iter().chain([self.tree.as_os_str()]));
    }
}

/// Why git prints nothing.
enum GitError {
    NotRun(io::Error),
    /// It fails, and says this.
    Refused(String),
}

/// What git prints, without the end of the line. It runs no hooks.
fn git<S: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = S>) -> Result<OsString, GitError> {
    let mut git = command("git");
    git.args(["-c", "core.hooksPath=/dev/null"]).args(arguments).current_dir(directory).env("LC_ALL", "C");
    let Output { status, mut stdout, stderr } = cleanup::output(&mut git).map_err(GitError::NotRun)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        return Err(GitError::Refused(lines.collect::<Vec<_>>().join(" ")));
    }
    while stdout.last().is_some_and(|byte| *byte == b'\n' || *byte == b'\r') {
        stdout.pop();
    }
    Ok(text(stdout))
}

/// A text of git. On Unix, a path is any bytes.
fn text(bytes: Vec<u8>) -> OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(bytes);
    #[cfg(not(unix))]
    return String::from_utf8_lossy(&bytes).into_owned().into();
}
