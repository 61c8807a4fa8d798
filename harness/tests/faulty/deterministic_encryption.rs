//! The nonce is a hash of the plaintext: equal plaintexts in an epoch give equal ciphertexts.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Chain, Cipher, Key};
use super::note;

#[derive(Clone)]
pub(crate) struct DeterministicEncryption;

impl Cipher for DeterministicEncryption {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        let hash = note::sum(plaintext) >> 32;
        Key::numbered(chain.root(rng), hash as u32)
    }
}
