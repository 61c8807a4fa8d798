//! Versions of the formats in which data leaves the program: files, and the lines that runners and their parent
//! exchange, and programs behind a pipe and their runner.

use std::fmt;

/// Version of the format of samples.jsonl and manifest.json. Files of another version are not read.
pub const SCHEMA: u32 = 1;

/// Version of the cell protocol ([`crate::run::cell_protocol`]).
pub const CELL_PROTOCOL: u32 = 2;

/// Version of the member protocol (docs/MEMBER_PROTOCOL.md).
pub const MEMBER_PROTOCOL: u32 = 1;

/// Two programs use different versions of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotComparable {
    /// The format: `data`, `samples` or `cell protocol`.
    pub what: &'static str,
    /// The version that this program uses.
    pub ours: u32,
    /// The version that the other program or the file uses.
    pub theirs: u32,
}

impl std::error::Error for NotComparable {}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, ours, theirs } = self;
        write!(
            f,
            "not comparable: the other program has version {theirs} of the {what}, this one has version {ours}; try \
             the same version of the harness for both"
        )
    }
}

/// Compares two versions of the format `what`.
///
/// # Errors
/// The versions differ.
pub fn same_version(what: &'static str, ours: u32, theirs: u32) -> Result<(), NotComparable> {
    if ours == theirs { Ok(()) } else { Err(NotComparable { what, ours, theirs }) }
}
