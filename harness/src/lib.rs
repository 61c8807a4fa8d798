//! Measures group key agreement protocols: an in-memory network, a meter, cells, runner processes, samples and reports.

pub mod cell_costs;
pub mod export;
pub mod measurement;
pub mod paper;
pub mod plot;
pub mod sample;
pub mod statistics;

#[cfg(test)]
mod synthetic;
