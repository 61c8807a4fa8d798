//! Measures group key agreement protocols: an in-memory network, a meter, runner processes, samples and reports.
//!
//! The modules of this crate. Each uses only those below it:
//!
//! | module | what it holds |
//! |---|---|
//! | [`program`] | the `main` of a program with backends |
//! | `cmd` | the command line: one file for each subcommand, options, exit codes |
//! | `gate` | whether a build costs more than a recorded one |
//! | `report` | a run as files, tables and figures |
//! | [`run`] | the parent, which decides what is measured, and the runners, which measure |
//! | [`measure`] | one sample: network, meter, operation, validation |
//! | `pipe` | backends in programs of any language |
//! | [`registry`] | the backends by name |
//! | [`analysis`] | statistics, costs of cells, comparisons |
//! | [`record`] | the data: samples, manifest, metrics, files |
//! | [`system`] | child processes, locked directories, how busy the machine is |
//!
//! The modules without a link, most of `analysis`, and the backends of this workspace need the feature `cli`, which is
//! on by default.

pub mod analysis;
#[cfg(feature = "cli")]
pub mod cmd;
#[cfg(feature = "cli")]
pub mod gate;
pub mod measure;
#[cfg(feature = "cli")]
pub mod pipe;
pub mod program;
pub mod record;
pub mod registry;
#[cfg(feature = "cli")]
pub mod report;
pub mod run;
pub mod system;

#[cfg(test)]
#[cfg(feature = "cli")]
mod synthetic;
