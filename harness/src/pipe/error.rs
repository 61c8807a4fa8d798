//! Why a program cannot be used.

use std::io;

use crate::record::version::MEMBER_PROTOCOL;

/// A program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// It cannot be started.
    #[error("the program cannot be started: {0}")]
    Start(#[from] io::Error),
    /// It does not answer as it must.
    #[error("{0}")]
    Broken(String),
    /// It speaks another version.
    #[error("the program speaks version {theirs} of the member protocol, and this one version {MEMBER_PROTOCOL}")]
    Version {
        /// Its version.
        theirs: u64,
    },
    /// It is another backend than the one that is declared.
    #[error("the program is the backend `{theirs}`, and `{declared}` is declared")]
    Name {
        /// Its name.
        theirs: String,
        /// The declared name.
        declared: String,
    },
}
