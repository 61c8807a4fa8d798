//! Until an operation of a member is acknowledged, all its messages have the same key and nonce.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{self, Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct KeyAgainInFlight;

impl Cipher for KeyAgainInFlight {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(if chain.number == 0 { cipher::fresh(rng) } else { chain.root(rng) }, 0)
    }

    fn acted(chain: &mut Chain) {
        Self::new_epoch(chain);
        chain.step();
    }

    fn acknowledged(chain: &mut Chain) {
        Self::new_epoch(chain);
    }
}
