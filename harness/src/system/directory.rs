//! Directories to which one process writes at a time.
//!
//! Files are written through a [`Directory`], which is locked as long as it lives. The lock is a file in the directory. The
//! system releases it when the process ends, however it ends.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The name of the file that is locked.
pub const LOCK: &str = ".lock";

/// A directory that is locked: no other process writes to it in this way.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked until it is closed.
    lock: File,
}

/// Why a directory cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory cannot be created, or no file can be created or locked in it.
    #[error(
        "cannot write to {}: {source}; try a directory that can be created and written to",
        directory.display()
    )]
    Unwritable {
        /// The path of the directory.
        directory: PathBuf,
        /// The error from the system.
        source: io::Error,
    },
    /// Another process holds the directory.
    #[error(
        "{holder} is writing to {}; try again when it has ended, or try another directory",
        directory.display()
    )]
    Busy {
        /// The path of the directory.
        directory: PathBuf,
        /// That process: `process` and its number, or `another process` if that is unknown.
        holder: String,
    },
}

impl Directory {
    /// Locks a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// The directory cannot be written to, or another process holds it.
    pub fn lock(path: &Path) -> Result<Self, DirectoryError> {
        Self::hold(path, |file| match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        })
    }

    /// Like [`Directory::lock`], but waits until no other process holds the directory.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn wait(path: &Path) -> Result<Self, DirectoryError> {
        Self::hold(path, |file| file.lock().map(|()| true))
    }

    /// `acquire` locks a file and returns whether it has succeeded.
    fn hold(path: &Path, acquire: impl Fn(&File) -> io::Result<bool>) -> Result<Self, DirectoryError> {
        let unwritable = |source| DirectoryError::Unwritable { directory: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unwritable)?;
        let name = path.join(LOCK);
        if name.is_symlink() {
            return Err(unwritable(io::Error::other(format!("{LOCK} in it is a symbolic link"))));
        }
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
            let mut file = file.map_err(unwritable)?;
            if !acquire(&file).map_err(unwritable)? {
                let holder = fs::read_to_string(&name).unwrap_or_default().trim().to_owned();
                let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                return Err(DirectoryError::Busy { directory: path.to_owned(), holder });
            }
            // The holder before may have removed the file after it was opened here. Then another process can lock
            // another file of this name.
            if is_at(&file, &name) {
                // A failure only makes the message of others less helpful.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
                return Ok(Self { path: path.to_owned(), lock: file });
            }
        }
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the path still means the directory that is locked. All that write to it must ask this first: another
    /// directory of this name may belong to another process.
    ///
    /// # Errors
    /// The directory was moved, removed or replaced.
    pub fn check(&self) -> io::Result<()> {
        let held = is_at(&self.lock, &self.path.join(LOCK));
        let gone = || io::Error::other(format!("{} was moved or replaced meanwhile", self.path.display()));
        held.then_some(()).ok_or_else(gone)
    }

    /// Writes a whole file and moves it into place in one step. Returns its path.
    ///
    /// # Errors
    /// The file cannot be written. An earlier file of this name is left as it was.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> io::Result<PathBuf> {
        self.place(name, |fresh| fs::write(fresh, bytes))
    }

    /// Lets `make` write a file with another name, and moves it into place in one step. Returns its path. The other name
    /// has the same ending.
    ///
    /// # Errors
    /// As `make`, or the file cannot be moved. An earlier file of this name is left as it was.
    pub fn place<E: From<io::Error>>(
        &self,
        name: impl AsRef<OsStr>,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let mut other = OsString::from(".new.");
        other.push(name.as_ref());
        self.check()?;
        let (path, fresh) = (self.path.join(name.as_ref()), self.path.join(other));
        let made = make(&fresh).and_then(|()| fs::rename(&fresh, &path).map_err(E::from));
        if made.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        made.map(|()| path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // It is still locked here. A process that has opened it in the meantime sees that it is gone.
        if self.check().is_ok() {
            let _ = fs::remove_file(self.path.join(LOCK));
        }
    }
}

/// Whether the file of this name is the open one.
#[cfg(unix)]
fn is_at(file: &File, name: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let open = id(file.metadata());
    open.is_some() && open == id(fs::metadata(name))
}

/// Elsewhere an open file cannot be removed.
#[cfg(not(unix))]
fn is_at(_file: &File, _name: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("harness-directory-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_directory_has_one_holder_at_a_time_and_nothing_of_it_stays() {
        let path = fresh("held");
        let held = Directory::lock(&path).unwrap();
        let refusal = Directory::lock(&path).unwrap_err().to_string();
        let holder = format!("process {} is writing to {}", std::process::id(), path.display());
        assert!(refusal.starts_with(&holder) && refusal.contains("; try "), "{refusal}");
        drop(held);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        drop(Directory::lock(&path).unwrap());
        // A process that was killed leaves its file, which nobody holds.
        fs::write(path.join(LOCK), "process 1\n").unwrap();
        drop(Directory::lock(&path).unwrap());
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_directory_that_was_moved_is_not_written_any_more_and_its_successor_is_left_alone() {
        let (path, moved) = (fresh("moved"), fresh("moved-away"));
        let held = Directory::lock(&path).unwrap();
        fs::rename(&path, &moved).unwrap();
        assert!(held.write("file", b"lost").unwrap_err().to_string().contains("was moved or replaced"));
        let successor = Directory::lock(&path).unwrap();
        assert!(held.write("file", b"not mine").is_err());
        drop(held);
        assert!(Directory::lock(&path).is_err(), "the lock of the successor is still there");
        successor.write("file", b"mine").unwrap();
        drop(successor);
        #[cfg(unix)]
        {
            fs::write(moved.join("victim"), "text").unwrap();
            std::os::unix::fs::symlink(moved.join("victim"), path.join(LOCK)).unwrap();
            assert!(Directory::lock(&path).unwrap_err().to_string().contains("symbolic link"));
            assert_eq!(fs::read_to_string(moved.join("victim")).unwrap(), "text");
        }
        [path, moved].iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    }

    #[test]
    fn many_threads_hold_it_one_after_the_other() {
        let path = fresh("many");
        let count = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let held = Directory::wait(&path).unwrap();
                        let text = fs::read_to_string(path.join("count")).unwrap_or_default();
                        let next = text.parse::<u32>().unwrap_or(0) + 1;
                        held.write("count", next.to_string().as_bytes()).unwrap();
                        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(path.join("count")).unwrap(), count.into_inner().to_string());
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_not_written_leaves_the_earlier_one() {
        let path = fresh("whole");
        let held = Directory::lock(&path).unwrap();
        held.write("file.txt", b"earlier").unwrap();
        let failed: io::Result<PathBuf> = held.place("file.txt", |fresh| {
            fs::write(fresh, "half")?;
            Err(io::Error::other("no space"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space");
        assert_eq!(fs::read_to_string(path.join("file.txt")).unwrap(), "earlier");
        drop(held);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "").unwrap();
        let refusal = Directory::lock(&path.join("below")).unwrap_err();
        assert!(matches!(refusal, DirectoryError::Unwritable { .. }), "{refusal}");
        fs::remove_file(&path).unwrap();
    }
}
