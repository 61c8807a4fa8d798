//! The counter in the nonce is not in the export: after a restart it begins again, under the same key.

use protocol::member::Member;
use rand_core::CryptoRng;

use super::cipher::{Chain, Cipher, Key};

#[derive(Clone)]
pub(crate) struct CounterRestarts;

impl Cipher for CounterRestarts {
    fn next_key(chain: &mut Chain, _sender: &dyn Member, _plaintext: &[u8], rng: &mut dyn CryptoRng) -> Key {
        Key::numbered(chain.root(rng), chain.step())
    }

    fn exported(chain: &Chain) -> Chain {
        let mut exported = chain.clone();
        exported.number = 0;
        exported
    }
}
