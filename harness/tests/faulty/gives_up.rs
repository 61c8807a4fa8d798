//! The fault: in a group of 20 or more members, a member in which many messages wait gives up, and accepts nothing any more.

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::{Incoming, Received};
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::SecondSignature;

const LARGE: usize = 20;
const MANY: usize = 10;

#[derive(Clone, Default)]
pub(crate) struct GivesUp {
    /// Messages that had to wait.
    waiting: usize,
}

impl Layer for GivesUp {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        SecondSignature.put_on(owner, message, ack, rng)
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        if members >= LARGE && self.waiting >= MANY {
            return Err(Error::NotAuthentic);
        }
        SecondSignature.take_off(message, members)
    }

    fn costs(ack: bool, group_size: usize) -> (Counts, Counts) {
        SecondSignature::costs(ack, group_size)
    }

    fn received(&mut self, received: &Received) {
        self.waiting += usize::from(received.events.is_empty());
    }
}
