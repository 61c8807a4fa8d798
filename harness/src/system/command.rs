//! Child processes.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);

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

/// What a process has written, and how it has ended.
#[derive(Debug)]
pub struct Ended {
    /// How it has ended.
    pub status: ExitStatus,
    /// Its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
}

/// Runs a command without input. A process that has not ended after `time` is killed, and `None` is returned. Of each of its
/// outputs, at most `bytes` are kept.
///
/// # Errors
/// The process cannot be started.
pub fn run_within(mut command: Command, time: Duration, bytes: u64) -> io::Result<Option<Ended>> {
    let end = Instant::now() + time;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().map(|output| read(output, bytes));
    let stderr = child.stderr.take().map(|output| read(output, bytes));
    loop {
        if let Some(status) = child.try_wait()? {
            // Another process can hold the outputs open.
            let left = || end.saturating_duration_since(Instant::now()).max(POLL);
            let all = |output: Option<Receiver<Vec<u8>>>| output.and_then(|it| it.recv_timeout(left()).ok());
            let (stdout, stderr) = (all(stdout).unwrap_or_default(), all(stderr).unwrap_or_default());
            return Ok(Some(Ended { status, stdout, stderr }));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Reads an output on another thread, so that the process is not held up.
fn read(mut output: impl Read + Send + 'static, bytes: u64) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        // What cannot be read is as good as not written.
        let _ = output.by_ref().take(bytes).read_to_end(&mut kept);
        let _ = io::copy(&mut output, &mut io::sink());
        let _ = sender.send(kept);
    });
    receiver
}

/// The lines of what a program has said, without empty ones.
pub fn lines_of(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = command("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_process_writes_is_kept_up_to_the_limit() {
        let ended = run_within(shell("printf abcdef; printf xyz >&2; exit 3"), Duration::from_secs(60), 4);
        let ended = ended.unwrap().unwrap();
        assert_eq!((ended.status.code(), &*ended.stdout, &*ended.stderr), (Some(3), &b"abcd"[..], &b"xyz"[..]));
    }

    #[test]
    fn a_process_that_does_not_end_is_killed() {
        assert!(run_within(shell("exec sleep 600"), Duration::from_millis(50), 4).unwrap().is_none());
    }
}
