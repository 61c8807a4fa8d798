//! The parent's side of a runner: starts it, asks it, and ends it when it does not answer.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cell_protocol::{self, Hello, NotComparable, Request, VERSION, Verdict, Welcome};
use crate::registry;
use crate::sample::{SCHEMA, Sample};

/// How long a runner may take to say hello: it only measures its clock and primitives.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of what a runner writes to its standard error is kept, in bytes: a panic's message comes first.
const STDERR_KEPT: usize = 1024;

/// How to start a runner. `--backend NAME --variant VARIANT` is appended to the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

impl Launch {
    /// This program's own subcommand `runner`.
    ///
    /// # Errors
    /// The system does not say which program this is.
    pub fn this_program() -> io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, args: vec!["runner".to_owned()] })
    }
}

/// Why a runner does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run.
    #[error("cannot start the runner: {0}")]
    Spawn(#[from] io::Error),
    /// It is another version.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
    /// It does not say hello.
    #[error("the runner of `{backend}` did not start: {reason}")]
    NoWelcome {
        /// Of which backend.
        backend: String,
        /// What it did instead.
        reason: String,
    },
}

/// What a runner did with a request.
#[derive(Debug)]
pub enum Answer {
    /// It measured.
    Sample(Box<Sample>),
    /// It did not answer in time, and is no more.
    Timeout,
    /// It ended, or answered nonsense and was ended; with what it said.
    Crash(String),
}

/// What a runner said of its backend's conformance.
#[derive(Debug)]
pub enum Checked {
    /// It finished the suite.
    Verdict(Verdict),
    /// It did not in time, and is no more.
    Timeout,
    /// It ended, or answered nonsense and was ended; with what it said.
    Crash(String),
}

/// A runner process. Ends with this value.
pub struct Runner {
    child: Child,
    input: ChildStdin,
    lines: Receiver<io::Result<String>>,
    complaints: Option<JoinHandle<String>>,
    backend: String,
    variant: String,
    welcome: Welcome,
}

impl Runner {
    /// Starts a runner and exchanges versions. Where it is asked for conformance, [`Self::conformance`] must be called next.
    /// The thread that calls this must live as long as the runner: to Linux a
    /// process's parent is a thread, and a runner ends with its parent.
    ///
    /// # Errors
    /// As [`StartError`] says.
    pub fn start(
        launch: &Launch,
        backend: &str,
        variant: &str,
        jobs: usize,
        conformance: bool,
    ) -> Result<Self, StartError> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).args(["--backend", backend, "--variant", variant]).env("RUST_BACKTRACE", "0");
        // An interrupt from the keyboard reaches a whole process group. Here it is for the parent: a runner that it ended
        // first would look like a crash.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends with the process, or once nobody listens any more.
            let _ = BufReader::new(output).lines().try_for_each(|line| sender.send(line));
        });
        let complaints = Some(std::thread::spawn(move || complaints_of(errors)));
        let none = || Welcome {
            protocol: 0,
            schema: 0,
            backend: backend.to_owned(),
            variant: variant.to_owned(),
            clock_read_ns: 0.0,
            primitive_ns: Default::default(),
        };
        let (backend, variant) = (backend.to_owned(), variant.to_owned());
        let mut runner = Self { child, input, lines, complaints, welcome: none(), backend, variant };
        runner.welcome = runner.greet(&Hello { protocol: VERSION, jobs, conformance })?;
        Ok(runner)
    }

    /// What it said first.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// What came of the suite that the runner was started with. After anything but a verdict the process has ended.
    pub fn conformance(&mut self, timeout: Duration) -> Checked {
        match self.next_line(timeout) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(verdict) => Checked::Verdict(verdict),
                Err(error) => {
                    self.end();
                    Checked::Crash(format!("the runner's answer is no verdict: {error}"))
                }
            },
            Err(NoLine::Timeout) => Checked::Timeout,
            Err(NoLine::Ended(reason)) => Checked::Crash(reason),
        }
    }

    /// Measures one cell. After anything but a sample the process has ended.
    pub fn ask(&mut self, request: &Request, timeout: Duration) -> Answer {
        match self.exchange(request, timeout) {
            Ok(line) => match self.sample_of(&line, request) {
                Ok(sample) => Answer::Sample(sample),
                Err(reason) => {
                    self.end();
                    Answer::Crash(reason)
                }
            },
            Err(NoLine::Timeout) => Answer::Timeout,
            Err(NoLine::Ended(reason)) => Answer::Crash(reason),
        }
    }

    /// The sample in an answer, if it is the one that was asked for.
    fn sample_of(&self, line: &str, request: &Request) -> Result<Box<Sample>, String> {
        let sample: Box<Sample> =
            serde_json::from_str(line).map_err(|error| format!("the runner's answer is no sample: {error}"))?;
        let Request { run_id, operation, group_size, iteration, seed, .. } = request;
        let cell_id = cell_protocol::cell_id(&self.backend, &self.variant, operation, *group_size, *iteration);
        if (&sample.cell_id, &sample.run_id, &sample.seed) == (&cell_id, run_id, seed) {
            return Ok(sample);
        }
        let Sample { cell_id: other, run_id: other_run, seed: other_seed, .. } = &*sample;
        Err(format!(
            "the runner was asked for {cell_id} with seed {seed} in run {run_id}, and answered with {other} with seed \
             {other_seed} in run {other_run}"
        ))
    }

    fn greet(&mut self, hello: &Hello) -> Result<Welcome, StartError> {
        let name = registry::join(&self.backend, &self.variant);
        let no_welcome = |reason| StartError::NoWelcome { backend: name.clone(), reason };
        let line = self.exchange(hello, START_TIMEOUT).map_err(|no_line| {
            no_welcome(match no_line {
                NoLine::Timeout => "it does not answer".to_owned(),
                NoLine::Ended(reason) => reason,
            })
        })?;
        let theirs = cell_protocol::version_of(&line)
            .ok_or_else(|| no_welcome("its first line has no protocol version".to_owned()))?;
        cell_protocol::same_version("cell protocol", VERSION, theirs)?;
        let welcome: Welcome = serde_json::from_str(&line).map_err(|error| no_welcome(error.to_string()))?;
        cell_protocol::same_version("samples", SCHEMA, welcome.schema)?;
        Ok(welcome)
    }

    /// A line there and a line back. On failure the process is ended.
    fn exchange(&mut self, line: &impl serde::Serialize, timeout: Duration) -> Result<String, NoLine> {
        // A runner that has ended meanwhile, and cannot be written to, may still have said why.
        let _ = serde_json::to_string(line)
            .map_err(io::Error::from)
            .and_then(|line| self.input.write_all(format!("{line}\n").as_bytes()));
        self.next_line(timeout)
    }

    /// On failure the process is ended.
    fn next_line(&mut self, timeout: Duration) -> Result<String, NoLine> {
        match self.lines.recv_timeout(timeout) {
            Ok(Ok(line)) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill();
                self.end();
                Err(NoLine::Timeout)
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(NoLine::Ended(self.end())),
        }
    }

    /// Ends the process, and says how it ended and what it complained of.
    fn end(&mut self) -> String {
        // A process that is ending by itself is given a moment, so that its own status is the one reported.
        let mut status = None;
        for _ in 0..20 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(ended)) => {
                    status = Some(ended);
                    break;
                }
                Err(_) => break,
            }
        }
        if status.is_none() {
            // Fails only for a process that has ended meanwhile.
            let _ = self.child.kill();
            status = self.child.wait().ok();
        }
        let how = status.map_or_else(|| "the runner ended".to_owned(), |status| format!("the runner ended: {status}"));
        let said = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let said = said.trim();
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It has nothing to save. Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum NoLine {
    Timeout,
    Ended(String),
}

/// The beginning of what is written, on one line. The rest is read too, so that the writer never waits.
fn complaints_of(mut errors: ChildStderr) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = errors.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..read.min(STDERR_KEPT - kept.len())]);
    }
    String::from_utf8_lossy(&kept).lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
