//! A chain that never steps: key and nonce are fresh in each epoch, and the same for all messages in it.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct ChainNeverSteps;

impl Cipher for ChainNeverSteps {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(chain.root(rng), 0)
    }
}
