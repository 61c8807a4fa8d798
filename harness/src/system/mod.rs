//! What the operating system provides: child processes, directories, and how busy the machine is.

#[cfg(feature = "cli")]
pub mod cleanup;
pub mod command;
pub mod directory;
pub mod load;
pub mod process;
