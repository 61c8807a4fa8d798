//! Bytes from hexadecimal text.

#![allow(clippy::expect_used, reason = "a helper of tests may panic as a test may")]

/// The bytes that `text` gives in hexadecimal.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    assert!(text.is_ascii() && text.len().is_multiple_of(2), "whole bytes in hexadecimal");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The same, as an array of this length.
pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().expect("the right number of bytes")
}
