//! A chain that never steps: key and nonce are fresh in each epoch, and the same for all messages in it.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct ChainNeverSteps {
    root: Option<[u8; 20]>,
    number: u32,
}

impl ChainNeverSteps {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { root: None, number: 0 })
    }
}

impl Cipher for ChainNeverSteps {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(cipher::root(&mut self.root, rng), 0)
    }

    fn new_epoch(&mut self) {
        self.root = None;
    }

    fn encode(&self) -> Vec<u8> {
        cipher::encode(&self.root, self.number)
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        (self.root, self.number) = cipher::decode(state)?;
        Ok(())
    }
}
