//! A note at the end of a message. Who receives the message notices if it is altered.

use protocol::error::Error;
use std::hash::{DefaultHasher, Hasher as _};

/// Bytes of the checksum.
const SUM: usize = 8;

/// Appends a note, its length, and a checksum of the whole.
pub(super) fn attach(bytes: &mut Vec<u8>, note: &[u8]) {
    bytes.extend_from_slice(note);
    bytes.extend(u32::try_from(note.len()).unwrap().to_be_bytes());
    bytes.extend(sum(bytes).to_be_bytes());
}

/// The message and its note.
pub(super) fn detach(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (bytes, checksum) = bytes.split_last_chunk::<SUM>().ok_or(Error::Malformed)?;
    if *checksum != sum(bytes).to_be_bytes() {
        return Err(Error::NotAuthentic);
    }
    let (bytes, len) = bytes.split_last_chunk().ok_or(Error::Malformed)?;
    let at = bytes.len().checked_sub(u32::from_be_bytes(*len) as usize).ok_or(Error::Malformed)?;
    Ok(bytes.split_at(at))
}

/// No counted primitive, and no security: who knows the code can forge it.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
