//! Thin typed wrappers of the primitives. No other module names a type or a length of the libraries below, so that the
//! suite can be replaced without changing the protocols.
//!
//! Each wrapper counts what it does ([`count`]): the primitive counts of a run are exact, and comparable between
//! machines.

pub mod aead;
pub mod count;
pub mod dh;
pub mod hash;
pub mod hpke;
pub mod kdf;
pub mod label;
pub mod ristretto;
pub mod secret;
pub mod signature;
pub(crate) mod tap;
