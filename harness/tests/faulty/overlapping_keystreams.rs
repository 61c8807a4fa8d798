//! The counter of messages is the counter of blocks too: each message begins one block further in the same keystream.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct OverlappingKeystreams {
    root: Option<[u8; 20]>,
    number: u32,
}

impl OverlappingKeystreams {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { root: None, number: 0 })
    }
}

impl Cipher for OverlappingKeystreams {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        self.number += 1;
        Key { seed: cipher::root(&mut self.root, rng), skipped: 16 * self.number }
    }

    fn new_epoch(&mut self) {
        *self = Self { root: None, number: 0 };
    }

    fn encode(&self) -> Vec<u8> {
        cipher::encode(&self.root, self.number)
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        (self.root, self.number) = cipher::decode(state)?;
        Ok(())
    }
}
