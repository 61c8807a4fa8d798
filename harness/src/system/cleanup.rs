//! What must not stay behind when the program is interrupted: temporary directories, and child processes that work for a
//! long time.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::command::command;

/// What would stay behind now.
static STATE: Mutex<State> = Mutex::new(State { interrupted: false, left: BTreeMap::new() });

struct State {
    interrupted: bool,
    /// By number.
    left: BTreeMap<u64, Left>,
}

enum Left {
    Directory(PathBuf),
    /// The leader of a process group.
    Process(u32),
    /// The top of a repository that lists a work tree in one of the directories.
    Repository(PathBuf),
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry in the list, for as long as this value lives.
pub struct Entry(u64);

impl Entry {
    /// Makes something and enters it, both at once for an interrupt: either it sees the entry, or nothing is made.
    fn of<T>(make: impl FnOnce() -> io::Result<(T, Left)>) -> io::Result<(T, Self)> {
        let mut state = state();
        while state.interrupted {
            // The program is about to end.
            drop(state);
            std::thread::sleep(Duration::from_millis(10));
            state = self::state();
        }
        let (made, left) = make()?;
        let number = state.left.last_key_value().map_or(0, |(last, _)| last + 1);
        state.left.insert(number, left);
        Ok((made, Self(number)))
    }

    /// Enters a repository, by its top. If the program is interrupted, git forgets the work trees that are gone.
    ///
    /// # Errors
    /// None: the result has the type of the other entries.
    pub fn of_repository(top: &Path) -> io::Result<Self> {
        Self::of(|| Ok(((), Left::Repository(top.to_owned())))).map(|((), entry)| entry)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        state().left.remove(&self.0);
    }
}

/// A temporary directory that is removed with this value, or when the program is interrupted.
pub struct Scratch {
    // It is removed before its entry.
    directory: tempfile::TempDir,
    _entry: Entry,
}

impl Scratch {
    /// A new directory, with a name that no other process has.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn new() -> io::Result<Self> {
        let (directory, entry) = Entry::of(|| {
            let directory = tempfile::Builder::new().prefix("harness-gate-").tempdir()?;
            let left = Left::Directory(directory.path().to_owned());
            Ok((directory, left))
        })?;
        Ok(Self { directory, _entry: entry })
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
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (child, _entry) = Entry::of(|| {
        let child = command.spawn()?;
        let left = Left::Process(child.id());
        Ok((child, left))
    })?;
    child.wait_with_output()
}

/// Ends all processes and removes all directories in the list. From now on nothing is made any more: the program must end.
pub fn clear() {
    let mut state = state();
    state.interrupted = true;
    let left: Vec<Left> = std::mem::take(&mut state.left).into_values().collect();
    drop(state);
    left.iter().for_each(|left| {
        if let Left::Process(id) = left {
            end(*id)
        }
    });
    left.iter().for_each(|left| {
        if let Left::Directory(path) = left {
            remove(path)
        }
    });
    for left in &left {
        if let Left::Repository(top) = left {
            let _ = command("git").args(["worktree", "prune"]).current_dir(top).stdin(Stdio::null()).output();
        }
    }
}

/// Removes a directory. A process that has just been ended may still write to it for a moment.
fn remove(path: &Path) {
    for _ in 0..50 {
        if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
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
