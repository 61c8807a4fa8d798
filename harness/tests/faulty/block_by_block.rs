//! Each block of a message is encrypted in the same way: equal blocks give equal blocks. No key is used for two messages.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct BlockByBlock;

impl Cipher for BlockByBlock {
    fn next_key(_chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(cipher::fresh(rng), 0)
    }

    fn apply(key: Key, text: &[u8]) -> Vec<u8> {
        key.stream(16).iter().cycle().zip(text).map(|(one, other)| one ^ other).collect()
    }
}
