//! Records the conditions of the build, for the manifests of runs.

use std::env;
use std::path::Path;
use std::process::Command;

/// The sources of the program, relative to this package's directory.
const SOURCES: [&str; 9] = [
    "build.rs",
    "src",
    "Cargo.toml",
    "../protocol",
    "../dcgka",
    "../baselines",
    "../Cargo.toml",
    "../Cargo.lock",
    "../.cargo/config.toml",
];

fn main() {
    // The manifest reports this setting of the curve library.
    println!("cargo::rustc-check-cfg=cfg(curve25519_dalek_backend, values(any()))");
    let sources: Vec<&str> = SOURCES.into_iter().filter(|path| Path::new(path).exists()).collect();
    sources.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // This log grows with each commit and checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }

    let status = git(&[&["status", "--porcelain", "--"], &sources[..]].concat());
    record("COMMIT", &git(&["rev-parse", "HEAD"]).unwrap_or_default());
    record("DIRTY", status.map_or("", |changes| if changes.is_empty() { "false" } else { "true" }));
    record("RUSTFLAGS", &variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " "));
    record("PROFILE", &variable("PROFILE"));
    record("OPT_LEVEL", &variable("OPT_LEVEL"));
    record("TARGET", &variable("TARGET"));
    record("FEATURES", &features());
    record("RUSTC", &output(Command::new(variable("RUSTC")).arg("--version")).unwrap_or_default());
}

fn record(name: &str, value: &str) {
    println!("cargo::rustc-env=HARNESS_{name}={}", value.replace('\n', " "));
}

fn features() -> String {
    let prefix = "CARGO_FEATURE_";
    let mut features: Vec<String> =
        env::vars().filter_map(|(name, _)| Some(name.strip_prefix(prefix)?.to_lowercase())).collect();
    features.sort();
    features.join(" ")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").arg("--no-optional-locks").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
