//! Which program this is: the harness itself, or one with backends of its own.

/// A program with the command line of the harness. `harness::main!` fills it in where it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name of its package.
    pub package: &'static str,
    /// The version of its package.
    pub version: &'static str,
    /// The name of its binary.
    pub bin: &'static str,
}

impl Program {
    /// Whether it is the program of this package.
    #[must_use]
    pub fn is_harness(&self) -> bool {
        self.package == env!("CARGO_PKG_NAME")
    }
}
