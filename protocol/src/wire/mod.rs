//! The wire format: a hand-written canonical codec in the style of MLS's presentation language, and the signed envelope.
//!
//! Hand-written because each message must have one encoding only, checked while decoding, and because keys and
//! ciphertexts are nearly all of it: a serialisation library would add a dependency and save no line.

pub mod codec;
pub mod envelope;
