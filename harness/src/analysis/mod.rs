//! What samples add up to: statistics, costs of cells, comparisons with other backends and with the paper.

#[cfg(feature = "cli")]
pub mod cell_costs;
#[cfg(feature = "cli")]
pub mod claims;
#[cfg(feature = "cli")]
pub mod comparison;
#[cfg(feature = "cli")]
pub mod measurement;
#[cfg(feature = "cli")]
pub mod paper;
pub mod statistics;
