//! Every message carries its signature, but nobody checks it: what is checked is a second copy that is sent along.

use protocol::crypto::signature::SIGNATURE_LEN;
use protocol::error::Error;
use protocol::member::Outgoing;

use super::Fault;

#[derive(Clone)]
pub(crate) struct SkipsSignature;

impl Fault for SkipsSignature {
    fn sends(&self, message: &mut Outgoing) {
        message.bytes.extend_from_within(message.bytes.len() - SIGNATURE_LEN..);
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let (message, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        let (body, _) = message.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        Ok([body, signature].concat())
    }
}
