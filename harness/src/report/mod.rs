//! A run as files, tables and figures.

pub mod export;
pub mod files;
pub mod plot;
pub mod readme;
pub mod summary;
