//! Another revision is built as it is, once, wherever the build runs: in a hook, with other flags, or beside another build.
//! The repository is made up: its program prints the number of its revision.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use harness::gate::revision::{Other, Revision, RevisionError};
use harness::record::manifest::Build;
use harness::record::program::Program;
use harness::system::cleanup;
use harness::system::command::command;
use harness::system::directory::Directory;

const PROGRAM: Program = Program { package: "counter", version: "0.1.0", bin: "counts", directory: "" };
const MANIFEST: &str = "[package]\nname = \"counter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                        [[bin]]\nname = \"counts\"\npath = \"main.rs\"\n[workspace]\n";
const LOCK: &str = "version = 4\n[[package]]\nname = \"counter\"\nversion = \"0.1.0\"\n";
/// After how many milliseconds the process is interrupted, or after the creation of which file.
const INTERRUPT: &str = "INTERRUPT_AFTER";
/// Which revision the test below builds, in the variable's own process.
const ASKED: &str = "ASKED_REVISION";

fn git(directory: &Path, arguments: &[&str]) -> Output {
    let name = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"];
    let output = command("git").args(name).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with three revisions, outside of this one.
struct Repository {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("repository");
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "--quiet"]);
        let files = [("Cargo.toml", MANIFEST), ("Cargo.lock", LOCK), (".gitignore", "/target\n")];
        files.iter().for_each(|(name, text)| fs::write(path.join(name), text).unwrap());
        for number in 1..=3 {
            fs::write(path.join("main.rs"), format!("fn main() {{\n    println!(\"{number}\");\n}}\n")).unwrap();
            fs::write(path.join(format!("{number}.txt")), "a file of its own\n").unwrap();
            git(&path, &["add", "."]);
            git(&path, &["commit", "--quiet", "-m", &number.to_string()]);
        }
        Self { path, _directory: directory }
    }

    /// Builds a revision in this process. Returns what its program prints, and whether it had to be built.
    fn build(&self, name: &str) -> (String, bool) {
        let mut said = Vec::new();
        let other = build(&self.path, name, &mut |text| said.push(text.to_owned())).unwrap();
        (printed(&other), said.iter().any(|line| line.starts_with("building revision")))
    }

    /// The same in another process, with these variables.
    fn build_with(&self, name: &str, variables: &[(&str, &str)]) -> Output {
        let mut process = inner();
        process.current_dir(&self.path).env(ASKED, name).envs(variables.iter().copied()).output().unwrap()
    }
}

fn build(directory: &Path, name: &str, say: &mut dyn FnMut(&str)) -> Result<Other, RevisionError> {
    let this = Build::of_this_program(Program::HARNESS).unwrap();
    Revision::find(directory, name, PROGRAM)?.build(&this, say)
}

fn printed(other: &Other) -> String {
    text(&Command::new(&other.launch.program).output().unwrap())
}

/// The test below, alone.
fn inner() -> Command {
    let mut process = command(std::env::current_exe().unwrap());
    process.args(["--exact", "revision::builds_what_it_is_asked_for", "--ignored", "--nocapture"]);
    process
}

#[test]
#[ignore = "started by the others, in a process of its own"]
fn builds_what_it_is_asked_for() {
    let asked = std::env::var(ASKED).unwrap_or_else(|_| "HEAD~1".to_owned());
    if let Ok(after) = std::env::var(INTERRUPT) {
        // As the handler of an interrupt does.
        std::thread::spawn(move || {
            match after.parse() {
                Ok(milliseconds) => std::thread::sleep(Duration::from_millis(milliseconds)),
                Err(_) => {
                    while fs::read_to_string(&after).map_or(true, |text| text.is_empty()) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            }
            cleanup::clear();
            // What goes on until the process has ended must not make anything new.
            std::thread::sleep(Duration::from_millis(100));
            std::process::exit(130);
        });
    }
    match build(Path::new("."), &asked, &mut |text| println!("said {text}")) {
        Ok(other) => {
            println!("printed {}", printed(&other));
            other.differences.iter().for_each(|difference| println!("different: {difference}"));
        }
        Err(error) => println!("error {error}"),
    }
}

#[test]
fn a_hook_that_builds_another_revision_leaves_the_commit_as_it_is() {
    let repository = Repository::new();
    let hook = repository.path.join(".git/hooks/pre-commit");
    let program = std::env::current_exe().unwrap();
    let arguments = "--exact revision::builds_what_it_is_asked_for --ignored --nocapture";
    // Git exports its variables to the hook, and the hook to what it starts.
    let script = format!(
        "#!/bin/sh\ntest -n \"$GIT_INDEX_FILE\" || exit 1\n\
         {ASKED}=HEAD~2 exec '{}' {arguments} >hook.log 2>&1\n",
        program.display()
    );
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(repository.path.join("main.rs"), "fn main() {\n    println!(\"4\");\n}\n").unwrap();
    git(&repository.path, &["commit", "--quiet", "-a", "-m", "one line"]);
    let log = fs::read_to_string(repository.path.join("hook.log")).unwrap();
    assert!(log.contains("printed 1"), "{log}");
    let changed = text(&git(&repository.path, &["show", "--stat", "--format=", "HEAD"]));
    assert!(changed.ends_with("1 file changed, 1 insertion(+), 1 deletion(-)"), "{changed}");
    let committed = text(&git(&repository.path, &["show", "HEAD:main.rs"]));
    assert!(committed.contains("println!(\"4\")"), "{committed}");
}

#[test]
fn a_program_is_built_once_and_again_if_target_flags_or_profile_differ() {
    let repository = Repository::new();
    assert_eq!(repository.build("HEAD~1"), ("2".to_owned(), true));
    assert_eq!(repository.build("HEAD~1"), ("2".to_owned(), false));
    assert_eq!(repository.build("HEAD"), ("3".to_owned(), true));
    // What is damaged is built again.
    let commit = text(&git(&repository.path, &["rev-parse", "HEAD"]));
    fs::write(repository.path.join("target/gate").join(commit).join("counts"), "").unwrap();
    assert_eq!(repository.build("HEAD"), ("3".to_owned(), true));
    let target = Build::of_this_program(Program::HARNESS).unwrap().target;
    for variable in [
        ("CARGO_BUILD_TARGET", target.as_str()),
        ("RUSTFLAGS", "--cfg other"),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ] {
        for name in ["HEAD~2", "HEAD~1"] {
            let said = text(&repository.build_with(name, &[variable]));
            let number = if name == "HEAD~2" { 1 } else { 2 };
            assert!(said.contains("said building revision") && said.contains(&format!("printed {number}")), "{said}");
            let again = text(&repository.build_with(name, &[variable]));
            assert!(!again.contains("said building") && again.contains(&format!("printed {number}")), "{again}");
        }
    }
    // The made-up build says nothing of the flags that the harness reports, and that is said.
    let said = text(&repository.build_with("HEAD", &[]));
    assert!(said.contains("different: not known of the other build: its compiler flags"), "{said}");
    // A target in a configuration file outside of the revision counts, too.
    let home = repository.path.parent().unwrap().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("config.toml"), format!("[build]\ntarget = \"{target}\"\n")).unwrap();
    let said = text(&repository.build_with("HEAD", &[("CARGO_HOME", home.to_str().unwrap())]));
    assert!(said.contains("said building revision") && said.contains("printed 3"), "{said}");
}

/// Checks that one of the lines is what the test below prints of this revision.
fn prints(lines: impl Iterator<Item = String>, number: u32) {
    assert_eq!(lines.filter(|line| *line == format!("printed {number}")).count(), 1, "{number}");
}

#[test]
fn builds_at_once_wait_for_each_other_and_other_clones_do_not_disturb() {
    let repository = Repository::new();
    let clone = repository.path.with_file_name("clone");
    git(&repository.path, &["clone", "--quiet", ".", clone.to_str().unwrap()]);
    let path = repository.path.as_path();
    let held = Directory::lock(&path.join("target/gate")).unwrap();
    let of = |directory: &Path, name: &str| {
        let mut process = inner();
        process.current_dir(directory).env(ASKED, name).stdout(std::process::Stdio::piped());
        BufReader::new(process.spawn().unwrap().stdout.unwrap()).lines().map(Result::unwrap)
    };
    let in_clone = of(&clone, "HEAD");
    let mut waiting = [(of(path, "HEAD"), 3), (of(path, "HEAD"), 3), (of(path, "HEAD~2"), 1)];
    for (lines, _) in &mut waiting {
        assert!(lines.any(|line| line.starts_with("said waiting until the gate of process ")));
    }
    // The other clone waits for nobody.
    prints(in_clone, 3);
    drop(held);
    waiting.into_iter().for_each(|(lines, number)| prints(lines, number));
    let left = fs::read_dir(path.join("target/gate")).unwrap().flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".new")));
}

#[test]
fn a_cargo_that_does_not_name_its_program_is_believed_only_if_there_is_one() {
    let repository = Repository::new();
    let bin = repository.path.with_file_name("bin");
    fs::create_dir(&bin).unwrap();
    let shim = |places: &str| {
        let script = format!(
            "#!/bin/sh\nfor place in {places}; do\n  mkdir -p \"$CARGO_TARGET_DIR/$place\"\n  \
             printf '#!/bin/sh\\necho %s\\n' \"$(git rev-list --count HEAD)\" >\"$CARGO_TARGET_DIR/$place/counts\"\n  \
             chmod +x \"$CARGO_TARGET_DIR/$place/counts\"\ndone\n"
        );
        fs::write(bin.join("cargo"), script).unwrap();
        fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let build = |name: &str| text(&repository.build_with(name, &[("PATH", &path)]));
    shim("release");
    let said = build("HEAD~2");
    assert!(said.contains("printed 1"), "{said}");
    // What the build before has left elsewhere is not taken for what this one makes.
    shim("some-target/release");
    let said = build("HEAD~1");
    assert!(said.contains("printed 2"), "{said}");
    for (places, name) in [("release some-target/release", "HEAD"), ("debug", "HEAD")] {
        shim(places);
        let said = build(name);
        assert!(said.contains("cargo does not say where the program is"), "{said}");
    }
}

#[test]
fn an_interrupted_gate_leaves_neither_a_work_tree_nor_a_process() {
    let repository = Repository::new();
    let (bin, temporary) = (repository.path.with_file_name("bin"), repository.path.with_file_name("tmp"));
    [&bin, &temporary].iter().for_each(|path| fs::create_dir(path).unwrap());
    let started = temporary.join("started");
    let script = format!("#!/bin/sh\nsleep 600 &\necho $! >'{}'\nwait\n", started.display());
    fs::write(bin.join("cargo"), script).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    // While cargo works, and at moments before that: while git makes the work tree, and so on.
    let moments = (0..40).step_by(8).map(|milliseconds| milliseconds.to_string());
    let started_text = started.to_str().unwrap().to_owned();
    for (slow_git, moment) in
        moments.map(|moment| (false, moment)).chain([(false, started_text.clone()), (true, started_text)])
    {
        let _ = fs::remove_file(&started);
        if slow_git {
            // It has begun, but has not made the work tree yet.
            let paths = std::env::var_os("PATH").unwrap();
            let real = std::env::split_paths(&paths).map(|path| path.join("git")).find(|git| git.exists()).unwrap();
            let (real, started) = (real.display(), started.display());
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in *'worktree add'*) echo $$ >'{started}'; sleep 1 ;; esac\nexec '{real}' \"$@\"\n"
            );
            fs::write(bin.join("git"), script).unwrap();
            fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut gate = inner();
        let variables = [(ASKED, "HEAD~1"), (INTERRUPT, &moment), ("PATH", &path)];
        gate.current_dir(&repository.path)
            .envs(variables)
            .env("TMPDIR", &temporary)
            .stdout(std::process::Stdio::null());
        assert_eq!(gate.status().unwrap().code(), Some(130), "{moment}");
        let process = fs::read_to_string(&started).unwrap_or_default();
        let is_running = || !process.is_empty() && Path::new("/proc").join(process.trim()).join("exe").exists();
        for _ in 0..1000 {
            if is_running() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(!is_running(), "{moment}: what cargo has started goes on");
        let left = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(left.into_iter().all(|name| name == "started"), "{moment}");
        assert_eq!(text(&git(&repository.path, &["worktree", "list"])).lines().count(), 1, "{moment}");
    }
    assert_eq!(repository.build("HEAD~1"), ("2".to_owned(), true));
}

#[test]
fn what_git_cannot_find_is_explained() {
    let repository = Repository::new();
    let outside = tempfile::tempdir().unwrap();
    let refused = |directory: &Path, name: &str| Revision::find(directory, name, PROGRAM).unwrap_err().to_string();
    let said = refused(outside.path(), "HEAD");
    assert!(said.contains("git finds no revision `HEAD`") && said.contains("not a git repository"), "{said}");
    let said = refused(&repository.path, "HEAD~9");
    assert!(said.starts_with("there is no revision `HEAD~9` in this repository; try "), "{said}");
    assert!(refused(&repository.path, "^HEAD").starts_with("there is no revision `^HEAD` in this repository; try "));
    let shallow = outside.path().join("shallow");
    let url = format!("file://{}", repository.path.display());
    git(outside.path(), &["clone", "--quiet", "--depth", "1", &url, shallow.to_str().unwrap()]);
    let said = refused(&shallow, "HEAD~1");
    assert!(said.contains("shallow clone") && said.contains("git fetch --unshallow"), "{said}");
    let said = text(&repository.build_with("HEAD", &[("PATH", outside.path().to_str().unwrap())]));
    assert!(said.contains("error cannot run git: ") && said.contains("; try "), "{said}");
    fs::write(repository.path.join("main.rs"), "fn main() {\n").unwrap();
    git(&repository.path, &["commit", "--quiet", "-a", "-m", "broken"]);
    let said = text(&repository.build_with("HEAD", &[]));
    assert!(said.contains("does not build: error"), "{said}");
}
