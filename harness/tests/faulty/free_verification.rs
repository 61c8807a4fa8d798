//! The fault: in place of a second signature there are bytes that everybody can compute, with an S that is too large. The
//! library refuses them before it computes anything, and so they are "verified" for nothing.

use std::sync::LazyLock;

use protocol::crypto::count::Counts;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey, VerificationKey};
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::VERIFY;

const FREE: [u8; SIGNATURE_LEN] = [0xff; SIGNATURE_LEN];
static KEY: LazyLock<VerificationKey> =
    LazyLock::new(|| SigningKey::from_secret(&Secret::new([7; 32])).verification_key());

#[derive(Clone, Default)]
pub(crate) struct FreeVerification;

impl Layer for FreeVerification {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], _: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        [message, &FREE].concat()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let (message, signature) = message.bytes.split_last_chunk().ok_or(Error::Malformed)?;
        let _ = KEY.verify(message, &Signature(*signature));
        if *signature == FREE { Ok(message.to_vec()) } else { Err(Error::NotAuthentic) }
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        LazyLock::force(&KEY);
        (Counts::NOTHING, VERIFY)
    }
}
