//! All members encrypt under keys of one chain of the group, and each counts its own messages only.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct OneChainForAll {
    number: u32,
}

impl OneChainForAll {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { number: 0 })
    }
}

impl Cipher for OneChainForAll {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], _rng: &mut dyn CryptoRng) -> Key {
        self.number += 1;
        Key::numbered([7; 20], self.number)
    }

    fn encode(&self) -> Vec<u8> {
        cipher::encode(&None, self.number)
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.number = cipher::decode(state)?.1;
        Ok(())
    }
}
