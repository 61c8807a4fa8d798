//! The program from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[cfg(unix)]
mod external;
mod gate;
#[cfg(target_os = "linux")]
mod piped;
mod readme;
#[cfg(unix)]
mod revision;
