//! Thin typed wrappers of the primitives. No other module names a type of the libraries below or a length of theirs, so
//! that another suite fits without a change of the protocols.
//!
//! Each wrapper counts what it does ([`count`]): a run's counts are exact and comparable between machines.

pub mod aead;
pub mod count;
pub mod dh;
pub mod hash;
pub mod hpke;
pub mod kdf;
pub mod label;
pub mod secret;
pub mod signature;
