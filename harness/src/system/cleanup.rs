//! What must not stay behind when the program is interrupted: temporary directories, and child processes that work for a
//! long time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// What would stay behind now, by number.
static LEFT: Mutex<BTreeMap<u64, Left>> = Mutex::new(BTreeMap::new());

enum Left {
    Directory(PathBuf),
    /// The leader of a process group.
    Process(u32),
}

/// An entry in the list, for as long as this value lives.
struct Entry(u64);

impl Entry {
    fn new(left: Left) -> Self {
        let mut all = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.last_key_value().map_or(0, |(last, _)| last + 1);
        all.insert(number, left);
        Self(number)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A temporary directory that is removed with this value, or when the program is interrupted.
pub struct Scratch {
    _entry: Entry,
    directory: tempfile::TempDir,
}

impl Scratch {
    /// A new directory, with a name that no other process has.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("harness-gate-").tempdir()?;
        Ok(Self { _entry: Entry::new(Left::Directory(directory.path().to_owned())), directory })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Runs a command without input to its end, and returns what it prints. If the program is interrupted, the command ends, too.
///
/// # Errors
/// The command cannot be started.
pub fn output(command: &mut Command) -> io::Result<Output> {
    // A group of its own, so that its children can be ended with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let _entry = Entry::new(Left::Process(child.id()));
    child.wait_with_output()
}

/// Ends all processes and removes all directories in the list. The program must end after this.
pub fn clear() {
    let all = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
    let (directories, processes): (Vec<_>, Vec<_>) =
        all.into_values().partition(|left| matches!(left, Left::Directory(_)));
    // First the processes, which write to the directories.
    for left in processes.into_iter().chain(directories) {
        match left {
            Left::Directory(path) => drop(std::fs::remove_dir_all(path)),
            Left::Process(id) => end(id),
        }
    }
}

/// Ends a process group. This fails only if it has ended.
fn end(leader: u32) {
    #[cfg(unix)]
    if let Some(leader) = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = leader;
}
