//! Every message carries a MAC, and beside it the key of the MAC, which is derived from a secret.

use protocol::crypto::count::Counts;
use protocol::crypto::kdf;
use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};

#[derive(Clone, Default)]
pub(crate) struct KeyInClear;

impl Layer for KeyInClear {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], _: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        owner.number += 1;
        let key: Secret = kdf::derive(b"key in clear", &[], &owner.secret, &owner.number.to_be_bytes());
        [message, key.expose(), kdf::hmac(&key, message).expose()].concat()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let (bytes, tag) = message.bytes.split_last_chunk::<SECRET_LEN>().ok_or(Error::Malformed)?;
        let (bytes, key) = bytes.split_last_chunk::<SECRET_LEN>().ok_or(Error::Malformed)?;
        let right = kdf::hmac(&Secret::new(*key), bytes) == Secret::new(*tag);
        if right { Ok(bytes.to_vec()) } else { Err(Error::NotAuthentic) }
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (Counts { kdf: 3, ..Counts::NOTHING }, Counts { kdf: 1, ..Counts::NOTHING })
    }
}
