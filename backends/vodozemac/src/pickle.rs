//! vodozemac's pickles in bytes. They are CBOR: the same pickle gives the same bytes.

use protocol::error::Error;
use protocol::wire::codec::{Reader, put_prefixed};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn put(out: &mut Vec<u8>, pickle: &impl Serialize) {
    let mut bytes = Vec::new();
    // To write into memory does not fail. If a pickle had a value without an encoding, its export would not be
    // restored.
    if ciborium::into_writer(pickle, &mut bytes).is_err() {
        bytes.clear();
    }
    put_prefixed(out, &bytes);
}

pub(crate) fn take<T: DeserializeOwned>(reader: &mut Reader<'_>) -> Result<T, Error> {
    ciborium::from_reader(reader.prefixed()?).map_err(|_| Error::Malformed)
}
