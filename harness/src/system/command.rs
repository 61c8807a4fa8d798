//! Child processes.

use std::ffi::OsStr;
use std::process::Command;

/// A command whose process does not inherit git's variables.
///
/// In a hook, git exports `GIT_INDEX_FILE`, `GIT_DIR` and others. A git that inherits them works on the index of the commit
/// that is being made, wherever it runs; and so does one that cargo or a build script starts. Every process of this
/// program is started with such a command.
#[must_use]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"GIT_")) {
        command.env_remove(name);
    }
    command
}
