//! The program from end to end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
#[cfg(unix)]
mod external;
mod gate;
mod readme;
#[cfg(unix)]
mod revision;
