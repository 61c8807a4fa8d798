//! Every message carries a second ciphertext (HPKE) of its own digest. The fault: its plaintext is looked up in a table of
//! all ciphertexts that were made in this process, not decrypted.

use std::collections::BTreeMap;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::crypto::dh::PrivateKey;
use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::hpke;
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};

pub(crate) static SEALED: Mutex<BTreeMap<Vec<u8>, Vec<u8>>> = Mutex::new(BTreeMap::new());
const LABEL: &[u8] = b"table of plaintexts";

/// `LOOKS_UP` is the fault.
#[derive(Clone, Default)]
pub(crate) struct TableOfPlaintexts<const LOOKS_UP: bool>;

/// One key for everybody: the ciphertext is there for its cost.
fn key() -> PrivateKey {
    PrivateKey::from_secret(Secret::new([7; 32]))
}

/// The digest, which is not counted in the formulas: it is taken from the end of the message.
fn digest(message: &[u8]) -> Vec<u8> {
    message[message.len().saturating_sub(DIGEST_LEN)..].to_vec()
}

impl<const LOOKS_UP: bool> Layer for TableOfPlaintexts<LOOKS_UP> {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let sealed = hpke::seal(&key().public_key(), LABEL, &[], &digest(message), rng).unwrap();
        SEALED.lock().unwrap().insert(sealed.clone(), digest(message));
        [message, &sealed].concat()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let length = DIGEST_LEN + hpke::OVERHEAD;
        let at = message.bytes.len().checked_sub(length).ok_or(Error::Malformed)?;
        let (message, sealed) = message.bytes.split_at(at);
        let known = SEALED.lock().unwrap().get(sealed).filter(|_| LOOKS_UP).cloned();
        let plaintext = match known {
            Some(plaintext) => plaintext,
            None => hpke::open(&key(), LABEL, &[], sealed)?.expose().to_vec(),
        };
        if plaintext == digest(message) { Ok(message.to_vec()) } else { Err(Error::NotAuthentic) }
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        let (dh, aead_bytes) = (1, DIGEST_LEN as u64);
        let seal = Counts { dh, keygen: 2, kdf: hpke::KDF_CALLS, aead_bytes, ..Counts::NOTHING };
        let open = Counts { dh, keygen: 1, kdf: hpke::KDF_CALLS, aead_bytes, ..Counts::NOTHING };
        (seal, if LOOKS_UP { Counts::NOTHING } else { open })
    }
}
