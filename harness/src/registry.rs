//! The backends by name.

use protocol::member::Backend;
#[cfg(feature = "cli")]
use protocol::simulation::NewAudit;

use crate::record::name::join;

/// Makes an instance of a backend.
pub type Constructor = fn() -> Box<dyn Backend>;

/// The backends of this workspace, one line each.
#[cfg(feature = "cli")]
const BUILT_IN: &[Constructor] = &[
    || Box::new(dcgka::Dcgka::CORRECTED),
    || Box::new(dcgka::Dcgka::PUBLISHED),
    || Box::new(dcgka::Dcgka::LEAN_CHANNELS),
    || Box::new(dcgka::Dcgka::TAGGED_ACKS),
    || Box::new(dcgka::Dcgka::LEAN),
    || Box::new(baselines::Pairwise),
    || Box::new(baselines::SenderKeys::EAGER),
    || Box::new(baselines::SenderKeys::LAZY),
    || Box::new(baselines::SenderKeys::PCS),
];

/// Auditors, by the full name of their backend. In simulations they add checks that only this backend has.
#[cfg(feature = "cli")]
const AUDITS: &[(&str, NewAudit)] = &[
    ("dcgka", dcgka::audit::Auditor::boxed),
    ("dcgka:lean-channels", dcgka::audit::Auditor::lean_channels),
    ("dcgka:tagged-acks", dcgka::audit::Auditor::tagged_acks),
    ("dcgka:lean", dcgka::audit::Auditor::lean),
];

/// A list of backends that finds them by name.
#[derive(Clone, Copy, Debug)]
pub struct Registry {
    constructors: &'static [Constructor],
    added: &'static [Constructor],
}

/// No backend has the requested name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no backend `{asked}`; try {}", known.join(", "))]
pub struct UnknownBackend {
    /// The requested name.
    pub asked: String,
    /// The full names of all backends.
    pub known: Vec<String>,
}

/// A backend cannot have its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Another backend has it, or one that would be the same in some file.
    #[error("the name `{0}` means another backend already; try another name, or a variant, in Backend::description")]
    Taken(String),
    /// It has characters that have a meaning on the command line or in data.
    #[error(
        "`{0}` cannot be the name of a backend; try a name, and perhaps a variant, of a to z, 0 to 9 and hyphens, beginning \
         with one of a to z, in Backend::description"
    )]
    Malformed(String),
}

/// The name that the paper's files have for DCGKA.
const PAPERS_NAME: &str = "full";

impl Registry {
    /// The backends of this workspace.
    #[cfg(feature = "cli")]
    #[must_use]
    pub const fn built_in() -> Self {
        Self::new(BUILT_IN)
    }

    /// A registry of these backends. The first variant of each name is the default.
    #[must_use]
    pub const fn new(constructors: &'static [Constructor]) -> Self {
        Self { constructors, added: &[] }
    }

    /// The same backends, and after them those of another crate.
    #[must_use]
    pub const fn with(self, added: &'static [Constructor]) -> Self {
        Self { added, ..self }
    }

    /// Checks that every backend is found by its full name, on the command line and in data.
    ///
    /// # Errors
    /// A name has other characters than it may have, or it means an earlier backend: it occurs twice, it is the short name of
    /// another one's default variant, or they differ only in the sign between name and variant.
    pub fn check(&self) -> Result<(), BadName> {
        for (index, backend) in self.all().enumerate() {
            let (name, description) = (full_name(&*backend), backend.description());
            if !is_name(description.name) || !description.variant.is_empty() && !is_name(description.variant) {
                return Err(BadName::Malformed(name));
            }
            let in_files = |name: &str| name.replace(':', "-");
            let has_it = |earlier: Box<dyn Backend>| {
                in_files(&full_name(&*earlier)) == in_files(&name) || earlier.description().name == name
            };
            if name == PAPERS_NAME || self.all().take(index).any(has_it) {
                return Err(BadName::Taken(name));
            }
        }
        Ok(())
    }

    /// The auditor of the backend with this full name; `None` if it has none.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn audit(&self, name: &str) -> Option<NewAudit> {
        AUDITS.iter().find(|(audited, _)| *audited == name).map(|(_, make)| *make)
    }

    /// A new instance of each backend.
    pub fn all(&self) -> impl Iterator<Item = Box<dyn Backend>> {
        self.constructors().map(|construct| construct())
    }

    /// The full name of each backend.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.all().map(|backend| full_name(&*backend))
    }

    fn constructors(&self) -> impl Iterator<Item = Constructor> {
        self.constructors.iter().chain(self.added).copied()
    }

    /// The backend with this name: `name` or `name:variant`. A name alone means the first variant.
    ///
    /// # Errors
    /// No backend has the name. The error lists all names.
    pub fn find(&self, name: &str) -> Result<Box<dyn Backend>, UnknownBackend> {
        self.constructor(name).map(|construct| construct())
    }

    /// The constructor of the backend with this name.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn constructor(&self, name: &str) -> Result<Constructor, UnknownBackend> {
        let exact = self.constructors().find(|construct| full_name(&*construct()) == name);
        let short = || self.constructors().find(|construct| construct().description().name == name);
        exact.or_else(short).ok_or_else(|| UnknownBackend { asked: name.to_owned(), known: self.names().collect() })
    }
}

/// Whether a text can be a name or a variant.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `name`, or `name:variant` if there is a variant.
#[must_use]
pub fn full_name(backend: &dyn Backend) -> String {
    let description = backend.description();
    join(description.name, description.variant)
}
