//! Every message carries an ephemeral key and a hash of its own digest under the secret that it gives, which takes a key
//! agreement to make and to check. The fault: the digest is looked up in a table of all that were made in this process.

use std::collections::BTreeMap;
use std::sync::Mutex;

use protocol::crypto::count::Counts;
use protocol::crypto::dh::{PUBLIC_KEY_LEN, PrivateKey, PublicKey};
use protocol::crypto::hash::{self, DIGEST_LEN};
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};

pub(crate) static SEALED: Mutex<BTreeMap<Vec<u8>, Vec<u8>>> = Mutex::new(BTreeMap::new());
/// Bytes of an ephemeral key and a hash.
pub(crate) const SEALED_LEN: usize = PUBLIC_KEY_LEN + DIGEST_LEN;
const LABEL: &[u8] = b"table of plaintexts";

/// `LOOKS_UP` is the fault.
#[derive(Clone, Default)]
pub(crate) struct TableOfPlaintexts<const LOOKS_UP: bool>;

/// One key for everybody: what a message carries is there for its cost.
fn key() -> PrivateKey {
    PrivateKey::from_secret(Secret::new([7; 32]))
}

/// The digest, which is not counted in the formulas: it is taken from the end of the message.
fn digest(message: &[u8]) -> Vec<u8> {
    message[message.len().saturating_sub(DIGEST_LEN)..].to_vec()
}

fn seal(
    private: &PrivateKey,
    public: &PublicKey,
    ephemeral: &PublicKey,
    digest: &[u8],
) -> Result<[u8; DIGEST_LEN], Error> {
    let shared = private.agree(public)?;
    Ok(hash::hash(LABEL, &[shared.expose(), &ephemeral.0, digest]).0)
}

impl<const LOOKS_UP: bool> Layer for TableOfPlaintexts<LOOKS_UP> {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, rng: &mut dyn CryptoRng) -> Vec<u8> {
        let private = PrivateKey::random(rng);
        let ephemeral = private.public_key();
        let hash = seal(&private, &key().public_key(), &ephemeral, &digest(message)).unwrap();
        let sealed = [ephemeral.0, hash].concat();
        SEALED.lock().unwrap().insert(sealed.clone(), digest(message));
        [message, &sealed].concat()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let at = message.bytes.len().checked_sub(SEALED_LEN).ok_or(Error::Malformed)?;
        let (message, sealed) = message.bytes.split_at(at);
        let known = SEALED.lock().unwrap().get(sealed).filter(|_| LOOKS_UP).cloned();
        let is_genuine = match known {
            Some(known) => known == digest(message),
            None => {
                let (ephemeral, hash) = sealed.split_first_chunk().ok_or(Error::Malformed)?;
                let ephemeral = PublicKey(*ephemeral);
                seal(&key(), &ephemeral, &ephemeral, &digest(message))? == hash
            }
        };
        if is_genuine { Ok(message.to_vec()) } else { Err(Error::NotAuthentic) }
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        let hash_blocks = hash::blocks_of(LABEL, &[PUBLIC_KEY_LEN, PUBLIC_KEY_LEN, DIGEST_LEN]);
        let open = Counts { dh: 1, hash_blocks, ..Counts::NOTHING };
        (Counts { keygen: 2, ..open }, if LOOKS_UP { Counts::NOTHING } else { open })
    }
}
