//! The parent's side of a runner: starts it, sends it requests, and ends it if it does not answer.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::cell_protocol::{self, Hello, Request, Turn, Verdict, Welcome};
use super::turns::Turns;
use crate::record::name::{cell_id, join};
use crate::record::sample::Sample;
use crate::record::version::{CELL_PROTOCOL, NotComparable, SCHEMA, same_version};
use crate::system::command::{command, lines_of};
use crate::system::process;

/// How long a runner may take until its first line. Until then it only measures its clock and primitives.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes of a runner's standard error are kept. The first ones are enough: a panic's message comes first.
const STDERR_KEPT: usize = 1024;
/// The longest line that is read, in bytes. A sample of 2,048 members has some 100,000.
const MAX_LINE: u64 = 16 << 20;

/// The lines in which a runner takes its turns, in one request. It takes one for each attempt.
const MAX_TURNS: u32 = 16;

/// The option with the directory of a program behind a pipe.
const PIPED: &str = "--piped";

/// How to start a process of this program. For a runner, `--backend NAME --variant VARIANT` is appended to the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The path of the program.
    pub program: PathBuf,
    /// The arguments, for a runner those before `--backend`.
    pub args: Vec<String>,
    /// The directory in which it runs; `None` for that of this process.
    pub directory: Option<PathBuf>,
    /// If it is this program, and its backends are behind a pipe: the directory of the program there. It comes after the other
    /// arguments.
    pub piped: Option<PathBuf>,
}

impl Launch {
    /// Starts this program's own subcommand `runner`.
    ///
    /// # Errors
    /// The system does not report the path of this program.
    pub fn this_program() -> io::Result<Self> {
        Self::subcommand("runner")
    }

    /// Starts another subcommand of this program.
    ///
    /// # Errors
    /// The system does not report the path of this program.
    pub fn subcommand(verb: &str) -> io::Result<Self> {
        // Runners start one after the other, and in the meantime another build may take the place of this program's file.
        // On Linux this name means the program that runs, wherever its file is now.
        let itself = PathBuf::from("/proc/self/exe");
        let program = if cfg!(target_os = "linux") && itself.exists() { itself } else { std::env::current_exe()? };
        Ok(Self { program, args: vec![verb.to_owned()], directory: None, piped: None })
    }

    /// The same subcommand, for the program behind a pipe in this directory.
    #[must_use]
    pub fn piped(self, directory: &Path) -> Self {
        Self { piped: Some(directory.to_owned()), ..self }
    }

    /// The file or directory that holds the backends.
    #[must_use]
    pub fn holder(&self) -> &Path {
        self.piped.as_ref().unwrap_or(&self.program)
    }

    /// The command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = command(&self.program);
        command.args(&self.args);
        if let Some(directory) = &self.piped {
            command.arg(PIPED).arg(directory);
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// Why a runner does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program cannot be run.
    #[error("cannot start the runner: {0}")]
    Spawn(#[from] io::Error),
    /// The runner uses another version of the cell protocol or of samples.
    #[error(transparent)]
    NotComparable(#[from] NotComparable),
    /// The runner does not send a valid first line.
    #[error("the runner of `{backend}` did not start: {reason}")]
    NoWelcome {
        /// The full name of the backend.
        backend: String,
        /// What the runner did instead.
        reason: String,
    },
}

/// What a runner did after a request.
#[derive(Debug)]
pub enum Answer {
    /// It answered with a sample of the requested cell.
    Sample(Box<Sample>),
    /// It did not answer in time, and has been ended.
    Timeout,
    /// It ended, or was ended after an invalid answer; with the reason.
    Crash(String),
}

/// What a runner did when it had to run the conformance suite.
#[derive(Debug)]
pub enum Checked {
    /// It finished the suite and reported the result.
    Verdict(Verdict),
    /// It did not finish in time, and has been ended.
    Timeout,
    /// It ended, or was ended after an invalid answer; with the reason.
    Crash(String),
}

/// A runner process. It ends when this value is dropped.
pub struct Runner {
    child: Child,
    input: ChildStdin,
    lines: Receiver<io::Result<String>>,
    complaints: Complaints,
    backend: String,
    variant: String,
    welcome: Welcome,
}

impl Runner {
    /// Starts a runner and exchanges versions. `conformance` is the size of the largest group that will be measured, if the
    /// conformance suite must run before; then [`Self::conformance`] must be called next. The
    /// calling thread must live as long as the runner: on Linux the parent of a process is a thread, and a runner ends
    /// with its parent.
    ///
    /// # Errors
    /// The cases of [`StartError`].
    pub fn start(
        launch: &Launch,
        backend: &str,
        variant: &str,
        jobs: usize,
        conformance: Option<u32>,
    ) -> Result<Self, StartError> {
        let mut command = launch.command();
        command.args(["--backend", backend, "--variant", variant]).env("RUST_BACKTRACE", "0");
        // An interrupt from the keyboard reaches a whole process group. Only the parent must get it: if it ended a
        // runner first, that would look like a crash.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            // Ends when the process ends or the receiver is dropped.
            let mut output = BufReader::new(output);
            while let Some(line) = next_line(&mut output) {
                let is_last = line.is_err();
                if sender.send(line).is_err() || is_last {
                    break;
                }
            }
        });
        let complaints = Complaints::of(errors);
        let none = || Welcome {
            protocol: 0,
            schema: 0,
            backend: backend.to_owned(),
            variant: variant.to_owned(),
            clock_read_ns: 0.0,
            primitive_ns: Default::default(),
            about: None,
            asks: false,
        };
        let (backend, variant) = (backend.to_owned(), variant.to_owned());
        let mut runner = Self { child, input, lines, complaints, welcome: none(), backend, variant };
        let (largest, conformance) = (conformance.unwrap_or(0), conformance.is_some());
        runner.welcome = runner.greet(&Hello { protocol: CELL_PROTOCOL, jobs, conformance, largest })?;
        Ok(runner)
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The runner's first line.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The result of the conformance suite that [`Self::start`] requested. After anything but a verdict, the process
    /// has ended.
    pub fn conformance(&mut self, timeout: Duration) -> Checked {
        match self.next_line(timeout) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(verdict) => Checked::Verdict(verdict),
                Err(error) => {
                    self.end();
                    Checked::Crash(format!("the runner's answer is not a verdict: {error}"))
                }
            },
            Err(NoLine::Timeout) => Checked::Timeout,
            Err(NoLine::Ended(reason)) => Checked::Crash(reason),
        }
    }

    /// Measures one cell. After anything but a sample, the process has ended.
    pub fn ask(&mut self, request: &Request, timeout: Duration) -> Answer {
        let line = self.exchange(request, timeout);
        self.answer(line, request)
    }

    /// The same while runners of other lanes work too. Only the time counts in which the process does not stand still.
    pub fn ask_among_others(&mut self, request: &Request, timeout: Duration, (turns, lane): (&Turns, usize)) -> Answer {
        let working = turns.work(lane, self.id());
        let asks = self.welcome.asks;
        if !asks && !request.peak {
            working.begin();
        }
        let start = Instant::now();
        let left = || (timeout + working.paused()).saturating_sub(start.elapsed());
        let mut said = 0;
        self.write(&Request { asks, ..request.clone() });
        let line = loop {
            let line = match self.lines.recv_timeout(left()) {
                // While it stood still, nothing could come.
                Err(RecvTimeoutError::Timeout) if !left().is_zero() => continue,
                line => self.received(line),
            };
            let Ok(Ok(turn)) = line.as_deref().map(serde_json::from_str::<Turn>) else { break line };
            said += 1;
            if said > MAX_TURNS || turn == Turn::Go {
                self.kill();
                self.end();
                break Err(NoLine::Ended("the runner asks for its turn too often".to_owned()));
            }
            if turn == Turn::Begin {
                working.begin();
                self.write(&Turn::Go);
            } else {
                working.end();
            }
        };
        drop(working);
        self.answer(line, request)
    }

    fn answer(&mut self, line: Result<String, NoLine>, request: &Request) -> Answer {
        match line {
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

    /// The sample in an answer, if it is the requested one.
    fn sample_of(&self, line: &str, request: &Request) -> Result<Box<Sample>, String> {
        let sample: Box<Sample> =
            serde_json::from_str(line).map_err(|error| format!("the runner's answer is not a sample: {error}"))?;
        let Request { run_id, operation, group_size, iteration, seed, .. } = request;
        let cell_id = cell_id(&self.backend, &self.variant, *operation, *group_size, *iteration);
        if (&sample.cell_id, &sample.run_id, &sample.seed) == (&cell_id, run_id, seed) {
            return Ok(sample);
        }
        let Sample { cell_id: other, run_id: other_run, seed: other_seed, .. } = &*sample;
        Err(format!(
            "the runner was asked for {cell_id} with seed {seed} in run {run_id}, but answered with {other} with seed \
             {other_seed} in run {other_run}"
        ))
    }

    fn greet(&mut self, hello: &Hello) -> Result<Welcome, StartError> {
        let name = join(&self.backend, &self.variant);
        let no_welcome = |reason| StartError::NoWelcome { backend: name.clone(), reason };
        let line = self.exchange(hello, START_TIMEOUT).map_err(|no_line| {
            no_welcome(match no_line {
                NoLine::Timeout => format!("no answer within {START_TIMEOUT:?}"),
                NoLine::Ended(reason) => reason,
            })
        })?;
        let theirs = cell_protocol::version_of(&line)
            .ok_or_else(|| no_welcome("its first line has no protocol version".to_owned()))?;
        same_version("cell protocol", CELL_PROTOCOL, theirs)?;
        let welcome: Welcome = serde_json::from_str(&line).map_err(|error| no_welcome(error.to_string()))?;
        same_version("samples", SCHEMA, welcome.schema)?;
        Ok(welcome)
    }

    /// Writes a line and reads one. If no line comes back, the process is ended.
    fn exchange(&mut self, line: &impl serde::Serialize, timeout: Duration) -> Result<String, NoLine> {
        self.write(line);
        self.next_line(timeout)
    }

    /// Writes a line. A failure is ignored: a runner that has already ended may have said why before.
    fn write(&mut self, line: &impl serde::Serialize) {
        let _ = serde_json::to_string(line)
            .map_err(io::Error::from)
            .and_then(|line| self.input.write_all(format!("{line}\n").as_bytes()));
    }

    /// Reads a line. If none comes, the process is ended.
    fn next_line(&mut self, timeout: Duration) -> Result<String, NoLine> {
        let line = self.lines.recv_timeout(timeout);
        self.received(line)
    }

    /// The line, if one has come. If not, the process is ended.
    fn received(&mut self, line: Result<io::Result<String>, RecvTimeoutError>) -> Result<String, NoLine> {
        match line {
            Ok(Ok(line)) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                self.end();
                Err(NoLine::Timeout)
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(NoLine::Ended(self.end())),
        }
    }

    /// Ends the process, and returns how it ended and what it wrote to standard error.
    fn end(&mut self) -> String {
        // A process that is ending by itself gets 100 ms for that, so that its own exit status is reported.
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
            self.kill();
            status = self.child.wait().ok();
        }
        let how = status.map_or_else(|| "the runner ended".to_owned(), |status| format!("the runner ended: {status}"));
        let said = self.complaints.said();
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }

    /// Kills the process and all that it has started: a runner is the parent of those whose own parents have ended.
    fn kill(&mut self) {
        let started = process::descendants(self.child.id());
        // This fails only if the process has ended in the meantime.
        let _ = self.child.kill();
        process::kill(&started);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // A runner has nothing to save. This fails only if it has already ended.
        self.kill();
        let _ = self.child.wait();
    }
}

enum NoLine {
    Timeout,
    Ended(String),
}

/// The next line; `None` at the end.
fn next_line(output: &mut impl BufRead) -> Option<io::Result<String>> {
    let mut line = Vec::new();
    match output.take(MAX_LINE).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) if line.pop_if(|last| *last == b'\n').is_none() && line.len() as u64 == MAX_LINE => {
            Some(Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long")))
        }
        Ok(_) => Some(String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))),
        Err(error) => Some(Err(error)),
    }
}

/// The first bytes of standard error. The rest is read too, so that the writer never waits.
struct Complaints {
    kept: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Complaints {
    fn of(mut errors: ChildStderr) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeps = Arc::clone(&kept);
        let thread = std::thread::spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = errors.read(&mut chunk) {
                let mut kept = keeps.lock().unwrap_or_else(PoisonError::into_inner);
                let room = STDERR_KEPT - kept.len();
                kept.extend_from_slice(&chunk[..read.min(room)]);
            }
        });
        Self { kept, thread }
    }

    /// What has been said, on one line. Another process may hold the pipe open, so its end is not awaited for long.
    fn said(&self) -> String {
        for _ in 0..20 {
            if self.thread.is_finished() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept);
        lines_of(&text).collect::<Vec<_>>().join("; ")
    }
}
