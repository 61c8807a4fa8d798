//! No fault: a cipher of its own, with a fresh key for each message.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct FreshKeys;

impl Cipher for FreshKeys {
    fn next_key(_chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(cipher::fresh(rng), 0)
    }
}
