//! The chain of each epoch starts from the same secret: the keys are those of the epoch before.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct ChainRestarts;

impl Cipher for ChainRestarts {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(chain.root(rng), chain.step())
    }

    fn new_epoch(chain: &mut Chain) {
        chain.number = 0;
    }
}
