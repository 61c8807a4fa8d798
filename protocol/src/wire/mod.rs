//! The wire format: a hand-written canonical codec in the style of MLS's presentation language, and the signed
//! envelope.
//!
//! It is hand-written because each message must have only one encoding, which decoding checks. Nearly all of a message
//! is keys and ciphertexts: a serialisation library would add a dependency and save no line.

pub mod codec;
pub mod envelope;
