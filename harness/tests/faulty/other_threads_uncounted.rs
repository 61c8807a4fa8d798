//! The fault: what a message costs its receivers is done on a thread of its own, in a library that nothing counts.

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner, arithmetic};

#[derive(Clone, Default)]
pub(crate) struct OtherThreadsUncounted;

impl Layer for OtherThreadsUncounted {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        message.to_vec()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        std::thread::spawn(arithmetic).join().unwrap();
        Ok(message.bytes.to_vec())
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (Counts::NOTHING, Counts::NOTHING)
    }
}
