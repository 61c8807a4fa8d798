//! Export.
use protocol::error::Error;

use crate::dsgm::Dsgm;

impl Dsgm {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    pub(crate) fn decode(_state: &[u8]) -> Result<Self, Error> {
        Err(Error::BadExport)
    }
}
