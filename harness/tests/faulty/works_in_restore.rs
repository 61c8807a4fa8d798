//! The fault: a member that is restored from its export signs and verifies something before it is used, which a member that
//! has lived on does not.

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::{SecondSignature, Signed, next_key, sign};

#[derive(Clone, Default)]
pub(crate) struct WorksInRestore;

impl Layer for WorksInRestore {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        SecondSignature.put_on(owner, message, ack, rng)
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        SecondSignature.take_off(message, members)
    }

    fn costs(ack: bool, group_size: usize) -> (Counts, Counts) {
        SecondSignature::costs(ack, group_size)
    }

    fn made(&mut self, owner: &Owner, by: &'static str) {
        if by == "restore" {
            let key = next_key(owner);
            Signed::read(&sign(&mut { *owner }, &key, &[], false)).and_then(|signed| signed.verify()).unwrap();
        }
    }
}
