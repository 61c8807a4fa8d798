//! The regression gate: whether this build costs more than a recorded one.
//!
//! | what is compared | with | how |
//! |---|---|---|
//! | messages, bytes, primitive counts ([`exact`]) | the [`baseline`] in the repository | exactly, on any machine |
//! | instructions of an update's sender and one recipient ([`instructions`]) | the baseline | if compiler, processor features and valgrind are the same |
//! | CPU time of an update ([`time`]) | another revision, built and measured beside this one ([`revision`]) | in pairs |
//!
//! [`config`] says what to measure and which increases to tolerate. [`figures`] has the names of exact figures.
//! [`coverage`] says what became of each cell. [`comparison`] finds what has changed and why. [`report`] is for people and programs. [`run`](fn@run) does all of it.

mod ask;
pub mod baseline;
pub mod comparison;
pub mod config;
pub mod coverage;
pub mod exact;
pub mod figures;
pub mod instructions;
pub mod report;
pub mod revision;
mod run;
pub mod time;

pub use run::{Gate, GateError, Instructions, Measured, Watch, check, run};
