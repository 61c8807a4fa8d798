//! The build script names the commit of these sources and whether they differ from it, or nothing. Here it runs by itself, in
//! repositories that are made up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use harness::system::command::command;

use crate::texts::root;

/// The compiled script, and a folder for repositories.
struct Script {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Script {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("build-script");
        let source = root().join("harness/build.rs");
        let built = command("rustc").args(["--edition", "2024", "-o"]).arg(&program).arg(source).status().unwrap();
        assert!(built.success());
        Self { program, folder }
    }

    /// Sources as in this repository, in a directory of this name.
    fn sources(&self, name: &str) -> PathBuf {
        let sources = self.folder.path().join(name);
        fs::create_dir_all(sources.join("harness/src")).unwrap();
        fs::create_dir_all(sources.join("protocol/src")).unwrap();
        for file in ["harness/src/main.rs", "harness/Cargo.toml", "protocol/src/lib.rs", "Cargo.toml", "README.md"] {
            fs::write(sources.join(file), "// as committed\n").unwrap();
        }
        sources
    }

    /// What the script says about sources, and about `commit` and `dirty` among it.
    fn run(&self, sources: &Path, variables: &[(&str, &Path)]) -> (String, String) {
        let mut script = command(&self.program);
        script.current_dir(sources.join("harness")).env("RUSTC", "rustc").envs(variables.iter().copied());
        #[cfg(unix)]
        script.env(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"NO_TEXT_\xff"), "1");
        let output = script.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let said = text.lines().filter_map(|line| line.strip_prefix("cargo::rustc-env=HARNESS_")?.split_once('='));
        let said: BTreeMap<&str, &str> = said.collect();
        (said["COMMIT"].to_owned(), said["DIRTY"].to_owned())
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let name = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
    let output = command("git").args(name).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a repository of everything in a directory, and returns its commit.
fn commit(directory: &Path) -> String {
    git(directory, &["init", "--quiet"]);
    git(directory, &["add", "."]);
    git(directory, &["commit", "--quiet", "-m", "x"]);
    git(directory, &["rev-parse", "HEAD"])
}

#[test]
fn a_repository_around_the_sources_says_nothing_about_them() {
    let script = Script::new();
    let unknown = || (String::new(), String::new());
    for ignored in ["vendor/\n", ""] {
        let outer = script.folder.path().join(format!("outer{}", ignored.len()));
        fs::create_dir(&outer).unwrap();
        fs::write(outer.join(".gitignore"), ignored).unwrap();
        let sources = script.sources(outer.join("vendor/project").to_str().unwrap());
        commit(&outer);
        assert_eq!(script.run(&sources, &[]), unknown(), "ignored: {ignored:?}");
    }
    let alone = script.sources("alone");
    assert_eq!(script.run(&alone, &[]), unknown());
    // Nor does one that the variables of a hook name.
    let other = script.sources("other");
    commit(&other);
    let variables = [("GIT_DIR", other.join(".git")), ("GIT_WORK_TREE", other.clone())];
    let variables: Vec<(&str, &Path)> = variables.iter().map(|(name, path)| (*name, path.as_path())).collect();
    assert_eq!(script.run(&alone, &variables), unknown());
}

#[test]
fn changed_untracked_and_ignored_sources_are_dirty_and_what_git_does_not_see_is_unknown() {
    let script = Script::new();
    let sources = script.sources("own");
    fs::write(sources.join(".gitignore"), "*.ignored.rs\n").unwrap();
    let commit = commit(&sources);
    git(&sources, &["config", "status.showUntrackedFiles", "no"]);
    let dirty = || {
        let (found, dirty) = script.run(&sources, &[]);
        assert_eq!(found, commit);
        dirty
    };
    assert_eq!(dirty(), "false");
    fs::write(sources.join("README.md"), "no source\n").unwrap();
    assert_eq!(dirty(), "false");
    for file in ["harness/src/new.rs", "protocol/src/made.ignored.rs"] {
        fs::write(sources.join(file), "").unwrap();
        assert_eq!(dirty(), "true", "{file}");
        fs::remove_file(sources.join(file)).unwrap();
    }
    let tracked = sources.join("protocol/src/lib.rs");
    fs::write(&tracked, "// changed\n").unwrap();
    assert_eq!(dirty(), "true");
    for mark in ["--assume-unchanged", "--skip-worktree"] {
        git(&sources, &["update-index", mark, "protocol/src/lib.rs"]);
        assert_eq!(dirty(), "", "{mark}");
        git(&sources, &["update-index", &mark.replace("--", "--no-"), "protocol/src/lib.rs"]);
    }
    fs::write(&tracked, "// as committed\n").unwrap();
    assert_eq!(dirty(), "false");
}
