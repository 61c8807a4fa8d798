//! The fault: in groups of 20 or more members nobody verifies the second signature, of any message or of
//! acknowledgements alone. The suite tries no group of that size.

use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::{KEY, SIGN, Signed, VERIFY, next_key, sign};

const LARGE: usize = 20;

/// `ACKS_ONLY`: what is no acknowledgement is verified in any group.
#[derive(Clone, Default)]
pub(crate) struct SmallGroupsOnly<const ACKS_ONLY: bool>;

impl<const ACKS_ONLY: bool> SmallGroupsOnly<ACKS_ONLY> {
    fn trusts(ack: bool, members: usize) -> bool {
        members >= LARGE && (ack || !ACKS_ONLY)
    }
}

impl<const ACKS_ONLY: bool> Layer for SmallGroupsOnly<ACKS_ONLY> {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        let key = next_key(owner);
        sign(owner, &key, message, ack)
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        let signed = Signed::read(message.bytes)?;
        if !Self::trusts(signed.is_ack(), members) {
            signed.verify()?;
        }
        Ok(signed.into_message())
    }

    fn costs(ack: bool, group_size: usize) -> (Counts, Counts) {
        (KEY + SIGN, if Self::trusts(ack, group_size) { Counts::NOTHING } else { VERIFY })
    }
}
