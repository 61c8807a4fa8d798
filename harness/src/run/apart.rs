//! A process that repeats one member's part alone, and the runner's side of it.
//!
//! It reads a recording from standard input. It writes a line as soon as it has started, and another one with what has
//! become of the part. So a program that does not have this subcommand is not taken for a backend that fails.
//!
//! Members must not meet there but in bytes. So the process opens nothing once it has its input, and is told nothing by its
//! surroundings.

use std::io::{self, Read as _, Write as _};
use std::process::{Output, Stdio};

use protocol::member::Backend;
use serde::{Deserialize, Serialize};

use super::child::Launch;
use crate::measure::inspection::Repetition;
use crate::measure::replay::{self, Part, Recording};
use crate::registry::UnknownBackend;
use crate::system::command::lines_of;

/// The hidden subcommand.
pub const VERB: &str = "part";
/// The first line.
const STARTED: &str = "started";

/// The second line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Done(Part),
    Failed(String),
}

/// Starts a process that repeats a part, and waits for it. On Linux it ends with the calling thread.
#[must_use]
pub fn repeat(launch: &Launch, recording: &Recording) -> Repetition {
    match output(launch, recording) {
        Ok(output) => repetition(&output),
        Err(error) => Repetition::NotMade(format!("the process cannot be started: {error}")),
    }
}

fn output(launch: &Launch, recording: &Recording) -> io::Result<Output> {
    let mut command = launch.command();
    // The backend that runs here could leave something in variables for the one there. One behind a pipe cannot, and may need
    // some to start.
    if launch.piped.is_none() {
        command.env_clear();
    }
    command.env("RUST_BACKTRACE", "0");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // This fails if the process has ended, which its output explains.
        let _ = input.write_all(&serde_json::to_vec(recording)?);
    }
    child.wait_with_output()
}

fn repetition(output: &Output) -> Repetition {
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines();
    let complaint = || {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = lines_of(&complaint).take(3).collect();
        format!("the process ended: {}: {}", output.status, lines.join("; "))
    };
    if lines.next() != Some(STARTED) {
        return Repetition::NotMade(complaint());
    }
    match lines.next().and_then(|line| serde_json::from_str(line).ok()) {
        Some(Answer::Done(part)) => Repetition::Done(part),
        Some(Answer::Failed(what)) => Repetition::Failed(what),
        None => Repetition::Failed(complaint()),
    }
}

/// Finds a backend by its full name.
pub type Find<'a> = dyn Fn(&str) -> Result<Box<dyn Backend>, UnknownBackend> + 'a;

/// Repeats the part in standard input, for the hidden subcommand. No backend may have run in this process before.
///
/// # Errors
/// The input is not a recording, or standard output cannot be written.
pub fn serve(find: &Find<'_>) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let mut output = io::stdout().lock();
    writeln!(output, "{STARTED}")?;
    output.flush()?;
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let recording: Recording = serde_json::from_slice(&input)?;
    open_nothing()?;
    let backend = find(&recording.backend).map_err(io::Error::other)?;
    let answer = match replay::replay(&recording, &*backend) {
        Ok(part) => Answer::Done(part),
        Err(error) => Answer::Failed(error.to_string()),
    };
    writeln!(output, "{}", serde_json::to_string(&answer)?)
}

/// From here on, this process opens no file, pipe or socket, and so starts no other process: the next free descriptor is
/// beyond the limit, even after one has been closed. What is open stays so.
#[cfg(unix)]
fn open_nothing() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: Some(0) })?)
}

#[cfg(not(unix))]
fn open_nothing() -> io::Result<()> {
    Ok(())
}
