//! Each block of a message is encrypted in the same way: equal blocks give equal blocks. No key is used for two messages.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct BlockByBlock;

impl BlockByBlock {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self)
    }
}

impl Cipher for BlockByBlock {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(cipher::root(&mut None, rng), 0)
    }

    fn apply(key: Key, text: &[u8]) -> Vec<u8> {
        key.stream(16).iter().cycle().zip(text).map(|(one, other)| one ^ other).collect()
    }

    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(&mut self, _state: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
