//! The program from end to end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod gate;
mod readme;
