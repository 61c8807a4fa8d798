//! The data of a run: what its files hold, and how they are written and read.

pub mod about;
pub(crate) mod by_name;
pub mod exposure;
pub mod manifest;
pub mod metric;
pub mod name;
pub mod program;
pub mod recorded;
pub mod sample;
pub mod store;
pub mod version;
