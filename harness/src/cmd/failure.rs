//! Exit codes, and the errors that end a command with them.

use std::io;

use crate::analysis::paper::Malformed;
use crate::gate::GateError;
use crate::gate::baseline::BaselineError;
use crate::gate::config::ConfigError;
use crate::gate::revision::RevisionError;
use crate::record::recorded::OpenError;
use crate::record::store::StoreError;
use crate::registry::{BadName, UnknownBackend};
use crate::report::files::ReportError;
use crate::run::child::StartError;
use crate::run::external::{ExternalError, NotFound};
use crate::run::runner::ServeError;
use crate::run::schedule::MeasureError;
use crate::system::directory::DirectoryError;

/// The command has done everything.
pub(super) const OK: u8 = 0;
/// An error, such as a file that cannot be written.
pub(super) const ERROR: u8 = 1;
/// The command line or the configuration is wrong.
pub(super) const USAGE: u8 = 2;
/// A cost has grown, or a claim does not hold: of the paper, or of a backend about its growth.
pub(super) const REGRESSION: u8 = 3;
/// Some samples do not count, or the run has not ended.
pub(super) const INCOMPLETE: u8 = 4;
/// Two versions, seeds or builds cannot be compared.
pub(super) const NOT_COMPARABLE: u8 = 5;
/// The command was interrupted or asked to terminate.
pub(super) const INTERRUPTED: u8 = 130;

/// The exit codes, for the help text.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 error, such as an --out that cannot be written; 2 wrong usage; 3 a cost has grown, or a claim
of the paper, or of a backend about its growth, does not hold; 4 incomplete: some samples do not count, or something was not
measured or not compared; 5 not comparable; 130 interrupted.";

/// Why a command failed, and the exit code for it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: u8, error: &dyn std::error::Error) -> Self {
        Self { code, message: error.to_string() }
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        let code = match &error {
            MeasureError::Plan(_) | MeasureError::OtherRun { .. } => USAGE,
            MeasureError::Store(error) => code_of_store(error),
            MeasureError::Start(error) => code_of_start(error),
            MeasureError::Threads(_) | MeasureError::Program(_) => ERROR,
        };
        Self::new(code, &error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(code_of_store(&error), &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let code = match &error {
            OpenError::Incomplete { .. } => INCOMPLETE,
            OpenError::Store(error) => code_of_store(error),
            OpenError::NoRun(_) => ERROR,
        };
        Self::new(code, &error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let code = match error {
            ServeError::Unknown(_) => USAGE,
            ServeError::NotComparable(_) => NOT_COMPARABLE,
            _ => ERROR,
        };
        Self::new(code, &error)
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        let code = match &error {
            GateError::Seed { .. } | GateError::NotRelease | GateError::NotComparable(_) => NOT_COMPARABLE,
            GateError::NothingTimed | GateError::FewPairs { .. } => USAGE,
            GateError::Revision(error) => code_of_revision(error),
            GateError::Start(error) => code_of_start(error),
            GateError::Program(_) | GateError::Threads(_) => ERROR,
        };
        Self::new(code, &error)
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let code = match &error {
            NotFound::Unknown(_) => USAGE,
            NotFound::Unusable { .. } => INCOMPLETE,
        };
        Self::new(code, &error)
    }
}

impl From<RevisionError> for Failure {
    fn from(error: RevisionError) -> Self {
        Self::new(code_of_revision(&error), &error)
    }
}

fn code_of_store(error: &StoreError) -> u8 {
    match error {
        StoreError::Occupied(_) => USAGE,
        StoreError::NotComparable { .. } | StoreError::Mixed { .. } => NOT_COMPARABLE,
        _ => ERROR,
    }
}

fn code_of_start(error: &StartError) -> u8 {
    match error {
        StartError::NotComparable(_) => NOT_COMPARABLE,
        _ => ERROR,
    }
}

fn code_of_revision(error: &RevisionError) -> u8 {
    match error {
        RevisionError::NoRepository { .. } | RevisionError::Unknown(_) | RevisionError::Shallow(_) => USAGE,
        _ => ERROR,
    }
}

/// Errors that always end a command with the same code.
macro_rules! always {
    ($($code:ident: $($error:ty),+;)+) => {$($(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new($code, &error)
            }
        }
    )+)+};
}

always! {
    ERROR: ExternalError, BaselineError, DirectoryError, Malformed, ReportError, csv::Error, io::Error, serde_json::Error;
    USAGE: BadName, ConfigError, UnknownBackend;
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::record::version::NotComparable;
    use crate::run::plan::PlanError;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let versions = || NotComparable { what: "data", ours: 1, theirs: 2 };
        let other_version = || StoreError::NotComparable { path: PathBuf::new(), source: versions() };
        let code = |failure: Failure| failure.code;
        assert_eq!(code(MeasureError::from(PlanError::Nothing).into()), USAGE);
        assert_eq!(code(MeasureError::from(StoreError::Occupied(PathBuf::new())).into()), USAGE);
        assert_eq!(code(MeasureError::from(other_version()).into()), NOT_COMPARABLE);
        assert_eq!(code(MeasureError::from(StartError::from(versions())).into()), NOT_COMPARABLE);
        assert_eq!(code(OpenError::from(other_version()).into()), NOT_COMPARABLE);
        assert_eq!(code(OpenError::Incomplete { directory: PathBuf::new(), found: 0, expected: 1 }.into()), INCOMPLETE);
        let mixed = StoreError::Mixed { directory: PathBuf::new(), reason: String::new() };
        assert_eq!(code(OpenError::from(mixed).into()), NOT_COMPARABLE);
        assert_eq!(code(OpenError::NoRun(PathBuf::new()).into()), ERROR);
        assert_eq!(code(GateError::Seed { recorded: 1, configured: 2 }.into()), NOT_COMPARABLE);
        assert_eq!(code(RevisionError::Unknown(String::new()).into()), USAGE);
        assert_eq!(code(BadName::Taken(String::new()).into()), USAGE);
    }
}
