//! Every message is encrypted under one constant key and nonce.

use protocol::error::Error;
use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Cipher, Key, Recrypted};

#[derive(Clone)]
pub(crate) struct ConstantKey;

impl ConstantKey {
    pub(crate) fn fault() -> Recrypted<Self> {
        Recrypted::new(Self)
    }
}

impl Cipher for ConstantKey {
    fn next_key(&mut self, _sender: &dyn Member, _plaintext: &[u8], _rng: &mut dyn CryptoRng) -> Key {
        Key { seed: [7; 20], skipped: 0 }
    }

    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(&mut self, _state: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}
