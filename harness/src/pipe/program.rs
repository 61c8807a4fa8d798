//! The process of a program that speaks the member protocol, and the lines that go to it and come from it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// How long a program that has closed its output may take to end by itself, so that its exit status is known.
const ENDS_WITHIN: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(5);

/// A program that runs. It is killed when this value is dropped.
pub(super) struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it. Its standard error is that of this process.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self { child, input, output: BufReader::new(output) }),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line. What goes wrong shows when the answer is read: a program that has ended may have said why before.
    pub(super) fn write(&mut self, line: &impl serde::Serialize) {
        let bytes = serde_json::to_vec(line).map_err(io::Error::from);
        let _ = bytes.and_then(|mut bytes| {
            bytes.push(b'\n');
            self.input.write_all(&bytes)
        });
    }

    /// Reads a line.
    ///
    /// # Errors
    /// There is none, or it is too long; in words.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, String> {
        let mut line = Vec::new();
        let read = self.output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match (read, line.pop()) {
            (Ok(_), Some(b'\n')) => Ok(line),
            (Ok(_), Some(_)) if line.len() as u64 + 1 == MAX_LINE => {
                Err(format!("it has written a line of more than {MAX_LINE} bytes"))
            }
            (Ok(_), _) => Err(self.end()),
            (Err(error), _) => Err(format!("its output cannot be read: {error}")),
        }
    }

    /// How it has ended, in words.
    fn end(&mut self) -> String {
        for _ in 0..ENDS_WITHIN.as_millis() / POLL.as_millis() {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(POLL),
                Ok(Some(status)) => return format!("it has ended: {status}"),
                Err(_) => break,
            }
        }
        "it has closed its output".to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
