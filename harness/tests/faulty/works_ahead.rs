//! The fault: the key of a member's next message is made before the call, where a member is made: as a new user, from an
//! export and as a copy, or not as a copy but for many messages.

use protocol::crypto::count::Counts;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::{SIGN, SecondSignature, VERIFY, next_key, sign};

/// More messages than a member sends in a test.
const MANY: u32 = 80;

/// `COPIES`: only the next key is made, also in a copy.
#[derive(Clone, Default)]
pub(crate) struct WorksAhead<const COPIES: bool> {
    /// With the numbers of their messages.
    keys: Vec<(u32, SigningKey)>,
}

impl<const COPIES: bool> Layer for WorksAhead<COPIES> {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        let ready = self.keys.iter().find(|(number, _)| *number == owner.number);
        let key = ready.map_or_else(|| next_key(owner), |(_, key)| key.clone());
        sign(owner, &key, message, ack)
    }

    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error> {
        SecondSignature.take_off(message, members)
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (SIGN, VERIFY)
    }

    fn made(&mut self, owner: &Owner, by: &'static str) {
        if by == "duplicate" && !COPIES {
            return;
        }
        let numbers = owner.number..owner.number + if COPIES { 2 } else { MANY };
        let key = |number| (number, next_key(&Owner { number, ..*owner }));
        self.keys = numbers.map(key).collect();
    }
}
