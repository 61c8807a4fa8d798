//! A run: the parent, which decides what is measured and keeps the samples, and the runner processes, which measure.

pub mod apart;
pub mod attacks;
pub mod cell_protocol;
pub mod child;
pub mod describe;
mod error;
#[cfg(feature = "cli")]
pub mod external;
mod lanes;
pub mod plan;
pub mod runner;
mod runners;
pub mod schedule;
pub mod turns;
