//! The chain of each epoch starts from the same secret: the keys are those of the epoch before.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct ChainRestarts {
    root: Option<[u8; 20]>,
    number: u32,
}

impl ChainRestarts {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { root: None, number: 0 })
    }
}

impl Cipher for ChainRestarts {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        self.number += 1;
        Key::numbered(cipher::root(&mut self.root, rng), self.number)
    }

    fn new_epoch(&mut self) {
        self.number = 0;
    }

    fn encode(&self) -> Vec<u8> {
        cipher::encode(&self.root, self.number)
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        (self.root, self.number) = cipher::decode(state)?;
        Ok(())
    }
}
