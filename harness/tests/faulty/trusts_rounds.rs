//! Every message carries its signature twice, the second time with all bits turned. In a batch of five or more messages,
//! the second one is not compared with the first one, which is verified.

use protocol::crypto::signature::SIGNATURE_LEN;
use protocol::error::Error;
use protocol::member::Outgoing;

use super::Fault;

const ROUND: usize = 5;

#[derive(Clone, Default)]
pub(crate) struct TrustsRounds {
    batch: usize,
}

impl Fault for TrustsRounds {
    fn batch(&mut self, len: usize) {
        self.batch = len;
    }

    fn sends(&self, message: &mut Outgoing) {
        let turned: Vec<u8> = message.bytes.iter().rev().take(SIGNATURE_LEN).rev().map(|byte| !byte).collect();
        message.bytes.extend(turned);
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let (message, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        if self.batch < ROUND && !message.ends_with(&signature.map(|byte| !byte)) {
            return Err(Error::NotAuthentic);
        }
        Ok(message.to_vec())
    }
}
