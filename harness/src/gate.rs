//! The regression gate: whether this build costs more than a recorded one.
//!
//! | what is compared | with | how |
//! |---|---|---|
//! | messages, bytes, operation counts ([`exact`]) | the [`baseline`] in the repository | exactly, on any machine |
//! | instructions of an update's sender and one recipient ([`instructions`]) | the baseline | where compiler, processor features and valgrind are the same |
//! | CPU time of an update ([`time`]) | another revision, built and measured beside this one ([`revision`]) | in pairs |
//!
//! [`config`] is what to measure and which increase to tolerate, [`comparison`] what is worse or better and why, [`report`]
//! the same for people and programs.

pub mod baseline;
pub mod comparison;
pub mod config;
pub mod exact;
pub mod instructions;
pub mod report;
pub mod revision;
pub mod time;
