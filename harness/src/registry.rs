//! The backends by name.

use protocol::member::Backend;
#[cfg(feature = "cli")]
use protocol::simulation::NewAudit;

/// Makes a backend.
pub type Constructor = fn() -> Box<dyn Backend>;

/// The backends of this workspace: one line each.
#[cfg(feature = "cli")]
const BUILT_IN: &[Constructor] = &[
    || Box::new(dcgka::Dcgka::CORRECTED),
    || Box::new(dcgka::Dcgka::PUBLISHED),
    || Box::new(baselines::Pairwise),
    || Box::new(baselines::SenderKeys::EAGER),
    || Box::new(baselines::SenderKeys::LAZY),
    || Box::new(baselines::SenderKeys::PCS),
];

/// What a backend brings to simulations besides what is checked of all.
#[cfg(feature = "cli")]
const AUDITS: &[(&str, NewAudit)] = &[("dcgka", dcgka::audit::Auditor::boxed)];

/// Backends that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Registry {
    constructors: &'static [Constructor],
}

/// Nobody has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no backend `{asked}`; known are: {}", known.join(", "))]
pub struct UnknownBackend {
    /// What was asked for.
    pub asked: String,
    /// All names that would do.
    pub known: Vec<String>,
}

impl Registry {
    /// The backends of this workspace.
    #[cfg(feature = "cli")]
    #[must_use]
    pub const fn built_in() -> Self {
        Self::new(BUILT_IN)
    }

    /// These backends.
    #[must_use]
    pub const fn new(constructors: &'static [Constructor]) -> Self {
        Self { constructors }
    }

    /// The auditor that a backend brings to simulations, by its full name.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn audit(&self, name: &str) -> Option<NewAudit> {
        AUDITS.iter().find(|(audited, _)| *audited == name).map(|(_, make)| *make)
    }

    /// All backends.
    pub fn all(&self) -> impl Iterator<Item = Box<dyn Backend>> {
        self.constructors.iter().map(|construct| construct())
    }

    /// The backend with this name: `name` or `name:variant`. A name alone means the first variant.
    ///
    /// # Errors
    /// No backend has the name; the error lists those there are.
    pub fn find(&self, name: &str) -> Result<Box<dyn Backend>, UnknownBackend> {
        self.constructor(name).map(|construct| construct())
    }

    /// What makes the backend with this name.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn constructor(&self, name: &str) -> Result<Constructor, UnknownBackend> {
        let all = || self.constructors.iter().copied();
        let exact = all().find(|construct| full_name(&*construct()) == name);
        exact.or_else(|| all().find(|construct| construct().description().name == name)).ok_or_else(|| UnknownBackend {
            asked: name.to_owned(),
            known: self.all().map(|backend| full_name(&*backend)).collect(),
        })
    }
}

/// Whether this is the backend that its name without a variant means.
#[must_use]
pub fn is_default(registry: &Registry, backend: &dyn Backend) -> bool {
    let description = backend.description();
    registry.find(description.name).is_ok_and(|found| found.description().variant == description.variant)
}

/// `name`, or `name:variant` where there is a variant.
#[must_use]
pub fn full_name(backend: &dyn Backend) -> String {
    let description = backend.description();
    join(description.name, description.variant)
}

/// A name and a variant as one.
#[must_use]
pub fn join(name: &str, variant: &str) -> String {
    if variant.is_empty() { name.to_owned() } else { format!("{name}:{variant}") }
}
