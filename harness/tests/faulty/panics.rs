//! An empty message causes a panic.

use protocol::error::Error;

use super::Fault;

#[derive(Clone)]
pub(crate) struct Panics;

impl Fault for Panics {
    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        assert!(!bytes.is_empty(), "the intended panic");
        Ok(bytes.to_vec())
    }
}
