//! Keys depend on the sender and the number of the message, and not on the group.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct SameInAllGroups {
    number: u32,
}

impl SameInAllGroups {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { number: 0 })
    }
}

impl Cipher for SameInAllGroups {
    fn next_key(&mut self, sender: &dyn Member, _plaintext: &[u8], _rng: &mut dyn CryptoRng) -> Key {
        self.number += 1;
        let id = sender.id();
        Key::numbered(std::array::from_fn(|at| id.0[at]), self.number)
    }

    fn encode(&self) -> Vec<u8> {
        cipher::encode(&None, self.number)
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.number = cipher::decode(state)?.1;
        Ok(())
    }
}
