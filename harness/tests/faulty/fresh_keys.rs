//! No fault: a cipher of its own, with a fresh key for each message.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct FreshKeys;

impl FreshKeys {
    pub(crate) fn correct() -> Recrypted<Self> {
        Recrypted::new(Self)
    }
}

impl Cipher for FreshKeys {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(cipher::root(&mut None, rng), 0)
    }

    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(&mut self, _state: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
