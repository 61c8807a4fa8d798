//! Notes the conditions of the build for the manifests of runs.

use std::env;
use std::path::Path;
use std::process::Command;

/// What the program is made of, from this package's directory.
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
    // A setting of the curve library, which the manifest reports.
    println!("cargo::rustc-check-cfg=cfg(curve25519_dalek_backend, values(any()))");
    let sources: Vec<&str> = SOURCES.into_iter().filter(|path| Path::new(path).exists()).collect();
    sources.iter().for_each(|path| println!("cargo::rerun-if-changed={path}"));
    // Grows with each commit and check-out.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }

    let status = git(&[&["status", "--porcelain", "--"], &sources[..]].concat());
    note("COMMIT", &git(&["rev-parse", "HEAD"]).unwrap_or_default());
    note("DIRTY", status.map_or("", |changes| if changes.is_empty() { "false" } else { "true" }));
    note("RUSTFLAGS", &variable("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " "));
    note("PROFILE", &variable("PROFILE"));
    note("OPT_LEVEL", &variable("OPT_LEVEL"));
    note("TARGET", &variable("TARGET"));
    note("FEATURES", &features());
    note("RUSTC", &output(Command::new(variable("RUSTC")).arg("--version")).unwrap_or_default());
}

fn note(name: &str, value: &str) {
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
