//! Why a run ends early.

use std::io;

use super::child::StartError;
use super::plan::PlanError;
use crate::record::store::StoreError;

/// Why a run ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file of the run cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The earlier run was started by another program, or with other options.
    #[error(
        "the run cannot be resumed, because it has {differences}; try what it was started with, `{argv}`, or another directory"
    )]
    OtherRun {
        /// What differs, in words.
        differences: String,
        /// The command with which it was started.
        argv: String,
    },
    /// A runner process does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Threads could not be started.
    #[error("cannot start threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The program's own file cannot be read, or its path is unknown.
    #[error("cannot read the file of this program: {0}")]
    Program(#[from] io::Error),
}
