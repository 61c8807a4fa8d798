//! The nonce is a hash of the plaintext: equal plaintexts in an epoch give equal ciphertexts.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};
use super::note;

#[derive(Clone)]
pub(crate) struct DeterministicEncryption {
    root: Option<[u8; 20]>,
    number: u32,
}

impl DeterministicEncryption {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self { root: None, number: 0 })
    }
}

impl Cipher for DeterministicEncryption {
    fn next_key(&mut self, _sender: &dyn Member, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        let hash = note::sum(plaintext) >> 32;
        Key::numbered(cipher::root(&mut self.root, rng), hash as u32)
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
