//! Measures group key agreement protocols: an in-memory network, a meter, cells, runner processes, samples and reports.

pub mod sample;
