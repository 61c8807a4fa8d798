//! Measures group key agreement protocols: an in-memory network, a meter, cells, runner processes, samples and reports.
//!
//! | module | what it holds |
//! |---|---|
//! | [`network`], [`meter`], [`calibrate`] | carries messages between members; counts bytes, operations and thread CPU time |
//! | [`randomness`], [`group`] | streams of randomness that a seed fixes, and the groups made from them |
//! | [`script`], [`cell`], [`proof`] | what an operation is; one, measured; and what must hold before it counts |
//! | [`runner`], [`cell_protocol`] | the process that measures, and how its parent talks with it |
//! | [`schedule`], [`plan`] | the parent: which cells, in which order, into which files |
//! | [`sample`], [`store`], [`manifest`] | the data: a line for each run, and the conditions of them all |
//! | [`recorded`] | the data of a finished run, read again |
//! | [`statistics`], [`cell_costs`], `measurement` | what samples come to: figures, rows of a table, costs of a cell |
//! | `paper`, `claims` | the published figures, and what the paper claims |
//! | `comparison` | several backends side by side |
//! | `plot`, `summary`, `export`, `report`, `readme` | pictures, text and files made from a run |
//! | `gate`, `replay` | whether a build costs more than a recorded one |
//! | [`registry`] | the backends by name |
//!
//! Modules without a link, and the backends of this workspace, come with the feature `cli`, which is on unless turned off.

pub mod calibrate;
pub mod cell;
pub mod cell_costs;
pub mod cell_protocol;
pub mod child;
#[cfg(feature = "cli")]
pub mod claims;
#[cfg(feature = "cli")]
pub mod comparison;
#[cfg(feature = "cli")]
pub mod export;
#[cfg(feature = "cli")]
pub mod gate;
pub mod group;
pub mod manifest;
#[cfg(feature = "cli")]
pub mod measurement;
pub mod meter;
pub mod network;
#[cfg(feature = "cli")]
pub mod paper;
pub mod plan;
#[cfg(feature = "cli")]
pub mod plot;
pub mod proof;
pub mod randomness;
#[cfg(feature = "cli")]
pub mod readme;
pub mod recorded;
pub mod registry;
#[cfg(feature = "cli")]
pub mod replay;
#[cfg(feature = "cli")]
pub mod report;
pub mod runner;
pub mod sample;
pub mod schedule;
pub mod script;
pub mod statistics;
pub mod store;
#[cfg(feature = "cli")]
pub mod summary;

#[cfg(test)]
#[cfg(feature = "cli")]
mod synthetic;
