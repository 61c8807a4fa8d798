//! What samples add up to: statistics, costs of cells, comparisons with other backends and with published figures.

pub mod cell_costs;
#[cfg(feature = "cli")]
pub mod claims;
#[cfg(feature = "cli")]
pub mod comparison;
#[cfg(feature = "cli")]
pub mod growth;
#[cfg(feature = "cli")]
pub mod measurement;
pub mod noise;
#[cfg(feature = "cli")]
pub mod paper;
#[cfg(feature = "cli")]
pub mod promises;
#[cfg(feature = "cli")]
pub mod published;
pub mod speed;
pub mod statistics;
