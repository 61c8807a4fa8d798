//! A counter in the nonce has one byte: after 256 messages in an epoch it begins again.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct CounterWraps;

impl Cipher for CounterWraps {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        chain.number = (chain.number + 1) % 256;
        Key::numbered(chain.root(rng), chain.number)
    }
}
