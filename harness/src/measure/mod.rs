//! One sample: a group on an in-memory network carries out one operation, and the cost is measured. The result is
//! validated before the sample counts.

pub mod calibrate;
pub mod cell;
pub mod group;
pub mod inspection;
pub mod meter;
pub mod network;
pub mod outside;
pub mod randomness;
pub mod replay;
pub mod script;
mod sequencer;
pub mod tampering;
pub mod transcript;
pub mod validation;
