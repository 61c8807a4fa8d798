//! No fault: a second signature on every message, by a key that is made for this message alone. Every receiver verifies it in
//! the call.

use protocol::crypto::count::Counts;
use protocol::crypto::kdf;
use protocol::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use protocol::error::Error;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};

/// What it costs to make the key, to sign, and to verify.
pub(crate) const KEY: Counts = Counts { sign_keygen: 1, kdf: 2, ..Counts::NOTHING };
pub(crate) const SIGN: Counts = Counts { sign: 1, ..Counts::NOTHING };
pub(crate) const VERIFY: Counts = Counts { verify: 1, ..Counts::NOTHING };

/// The key of the owner's next message.
pub(crate) fn next_key(owner: &Owner) -> SigningKey {
    SigningKey::from_secret(&kdf::derive(b"second signature", &[], &owner.secret, &owner.number.to_be_bytes()))
}

/// The message, whether it is an acknowledgement, the key and the signature.
pub(crate) fn sign(owner: &mut Owner, key: &SigningKey, message: &[u8], ack: bool) -> Vec<u8> {
    owner.number += 1;
    let mut bytes = [message, &[u8::from(ack)], key.verification_key().as_bytes()].concat();
    let signature = key.sign(&bytes);
    bytes.extend_from_slice(&signature.0);
    bytes
}

/// A message with its second signature, which has not been verified.
#[derive(Clone)]
pub(crate) struct Signed {
    signed: Vec<u8>,
    signature: Signature,
}

impl Signed {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        if signed.len() <= VERIFICATION_KEY_LEN {
            return Err(Error::Malformed);
        }
        Ok(Self { signed: signed.to_vec(), signature: Signature(*signature) })
    }

    pub(crate) fn is_ack(&self) -> bool {
        self.signed[self.signed.len() - VERIFICATION_KEY_LEN - 1] == 1
    }

    pub(crate) fn verify(&self) -> Result<(), Error> {
        let key = self.signed.last_chunk().ok_or(Error::Malformed)?;
        VerificationKey::from_bytes(key)?.verify(&self.signed, &self.signature)
    }

    pub(crate) fn into_message(mut self) -> Vec<u8> {
        self.signed.truncate(self.signed.len() - VERIFICATION_KEY_LEN - 1);
        self.signed
    }
}

#[derive(Clone, Default)]
pub(crate) struct SecondSignature;

impl Layer for SecondSignature {
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        let key = next_key(owner);
        sign(owner, &key, message, ack)
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let signed = Signed::read(message.bytes)?;
        signed.verify()?;
        Ok(signed.into_message())
    }

    fn costs(_: bool, _: usize) -> (Counts, Counts) {
        (KEY + SIGN, VERIFY)
    }
}
