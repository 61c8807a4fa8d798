//! Which program this is: the harness itself, or another one that adds backends to it.

/// The package and the binary that a program was built from. [`harness::main!`](crate::main) fills it in where it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The name of its package.
    pub package: &'static str,
    /// The version of its package.
    pub version: &'static str,
    /// The name of its binary.
    pub bin: &'static str,
    /// The directory of its package when it was built. It tells packages of one name apart.
    pub directory: &'static str,
}

impl Program {
    /// The harness itself.
    pub const HARNESS: Self = Self {
        package: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        bin: "harness",
        directory: env!("CARGO_MANIFEST_DIR"),
    };

    /// Whether this is the harness itself, without backends of another package.
    #[must_use]
    pub fn is_harness(&self) -> bool {
        self.directory == Self::HARNESS.directory
    }
}
