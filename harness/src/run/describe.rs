//! What a program says of its backends, in one line of JSON: the hidden subcommand `describe`.

use std::io::{self, Write as _};

use protocol::member::Backend;
use serde::{Deserialize, Serialize};

use crate::record::about::About;
use crate::record::version::{CELL_PROTOCOL, SCHEMA};
use crate::registry::{BadName, Registry};

/// The hidden subcommand.
pub const VERB: &str = "describe";

/// What a program says of its backends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// Its [`CELL_PROTOCOL`].
    pub protocol: u32,
    /// The [`SCHEMA`] of its samples.
    pub schema: u32,
    /// Its backends, in the order of its registry.
    pub backends: Vec<Named>,
}

/// A backend and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The backend's name, without the variant.
    pub backend: String,
    /// The variant; empty if there is only one.
    pub variant: String,
    /// What it says of itself.
    pub about: About,
}

impl Described {
    /// The backends of a registry.
    ///
    /// # Errors
    /// One of them cannot have its name.
    pub fn of(registry: &Registry) -> Result<Self, BadName> {
        registry.check()?;
        Ok(Self::of_all(registry.all()))
    }

    /// These backends, whose names have been checked.
    #[must_use]
    pub fn of_all(backends: impl Iterator<Item = Box<dyn Backend>>) -> Self {
        let backends = backends.map(|backend| {
            let description = backend.description();
            let (name, variant) = (description.name.to_owned(), description.variant.to_owned());
            Named { backend: name, variant, about: About::of(&*backend) }
        });
        Self { protocol: CELL_PROTOCOL, schema: SCHEMA, backends: backends.collect() }
    }
}

/// Writes what this program says.
///
/// # Errors
/// Standard output cannot be written.
pub fn serve(described: &Described) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(&described)?)?;
    output.flush()
}
