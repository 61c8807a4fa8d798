//! Records the conditions of the build, for the manifests of runs.

use std::env;
use std::path::Path;
use std::process::Command;

/// The sources of the program, relative to this package's directory.
const SOURCES: [&str; 10] = [
    "build.rs",
    "src",
    "Cargo.toml",
    "../protocol",
    "../dcgka",
    "../baselines",
    "../results/paper",
    "../Cargo.toml",
    "../Cargo.lock",
    "../.cargo/config.toml",
];

fn main() {
    // The manifest reports this setting of the curve library.
    println!("cargo::rustc-check-cfg=cfg(curve25519_dalek_backend, values(any()))");
    let sources: Vec<&str> = SOURCES.into_iter().filter(|path| Path::new(path).exists()).collect();
    sources.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // The log grows with each commit and checkout. A repository need not have one: then the branch or its commit changes.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["logs/HEAD", "HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }

    let commit = is_ours().then(|| git(&["rev-parse", "HEAD"])).flatten();
    let dirty = commit.as_ref().and_then(|_| dirty(&sources));
    record("COMMIT", &commit.unwrap_or_default());
    record("DIRTY", dirty.map_or("", |dirty| if dirty { "true" } else { "false" }));
    record("RUSTFLAGS", &variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " "));
    record("PROFILE", &variable("PROFILE"));
    record("OPT_LEVEL", &variable("OPT_LEVEL"));
    record("TARGET", &variable("TARGET"));
    record("FEATURES", &features());
    record("RUSTC", &output(Command::new(variable("RUSTC")).arg("--version")).unwrap_or_default());
}

/// Whether the sources are in a repository of their own. One that encloses them says nothing about them.
fn is_ours() -> bool {
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok());
    let ours = Path::new("..").canonicalize().ok();
    top.is_some() && top == ours
}

/// Whether the sources differ from the commit: changed, not tracked, or ignored. `None` if git does not tell.
fn dirty(sources: &[&str]) -> Option<bool> {
    let of_sources = |arguments: &[&str]| git(&[arguments, &["--"], sources].concat());
    let status = of_sources(&["status", "--porcelain", "--untracked-files=all", "--ignored=traditional"])?;
    // Git does not look at a file whose mark is in lower case, or an S.
    let marks = of_sources(&["ls-files", "-v"])?;
    let unseen = marks.lines().any(|line| line.starts_with(|mark: char| mark.is_ascii_lowercase() || mark == 'S'));
    match (status.is_empty(), unseen) {
        (false, _) => Some(true),
        (true, true) => None,
        (true, false) => Some(false),
    }
}

fn record(name: &str, value: &str) {
    println!("cargo::rustc-env=HARNESS_{name}={}", value.replace('\n', " "));
}

fn features() -> String {
    let prefix = "CARGO_FEATURE_";
    let mut features: Vec<String> =
        env::vars_os().filter_map(|(name, _)| Some(name.to_str()?.strip_prefix(prefix)?.to_lowercase())).collect();
    features.sort();
    features.join(" ")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// What git prints. Its variables are those of another repository if the build runs in a hook, or in a program that git has
/// started.
fn git(arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        git.env_remove(name);
    }
    output(git.arg("--no-optional-locks").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
