//! Backends behind a pipe: the members live in a program in any language, which answers a line of JSON for each call.
//!
//! `docs/MEMBER_PROTOCOL.md` describes the lines. The program is not trusted: what it writes is bounded, and a line that is no
//! answer ends it. Then the call unwinds, because most methods of a member cannot fail; it is a panic of the backend like
//! any other.

mod connection;
mod error;
mod line;
mod member;
mod program;
mod wire;

use std::process::Command;
use std::sync::Arc;

use protocol::member::Backend;

use connection::Connection;
pub use error::PipeError;
use member::Piped;

use crate::record::name::join;
use crate::registry::UnknownBackend;

/// What every reader must know of the times of such a backend.
const CAVEATS: [&str; 2] = [
    "in another program, whose CPU time includes its JSON and base64",
    "all its members share one process, so what they share in memory shows only where parts are repeated",
];

/// The backends of a program that runs.
pub struct Pipe {
    connection: Arc<Connection>,
    variants: Vec<&'static wire::Spoken>,
}

impl Pipe {
    /// Starts a program and asks what it is. `name` and `implementation` are what it is declared as; `command` starts it, now
    /// and each time after it has failed.
    ///
    /// # Errors
    /// The program cannot be used.
    pub fn start(
        name: &str,
        implementation: &str,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Result<Self, PipeError> {
        let (connection, hello) = Connection::start(Box::new(command))?;
        if hello.name != name {
            return Err(PipeError::Name { theirs: hello.name, declared: name.to_owned() });
        }
        let variants = wire::Spoken::all(hello, implementation, &CAVEATS).map_err(PipeError::Broken)?;
        Ok(Self { connection: Arc::new(connection), variants })
    }

    /// An instance of each of its backends.
    pub fn all(&self) -> impl Iterator<Item = Box<dyn Backend>> {
        self.variants.iter().map(|spoken| self.backend(spoken))
    }

    /// Makes instances of the backend with this full name.
    ///
    /// # Errors
    /// There is none.
    pub fn constructor(&self, name: &str) -> Result<impl Fn() -> Box<dyn Backend> + '_, UnknownBackend> {
        let full_name = |spoken: &wire::Spoken| join(spoken.description.name, spoken.description.variant);
        let unknown =
            || UnknownBackend { asked: name.to_owned(), known: self.variants.iter().map(|it| full_name(it)).collect() };
        let spoken = *self.variants.iter().find(|spoken| full_name(spoken) == name).ok_or_else(unknown)?;
        Ok(move || self.backend(spoken))
    }

    /// The backend with this full name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<Box<dyn Backend>, UnknownBackend> {
        self.constructor(name).map(|construct| construct())
    }

    fn backend(&self, spoken: &'static wire::Spoken) -> Box<dyn Backend> {
        Box::new(Piped { connection: Arc::clone(&self.connection), spoken })
    }
}
