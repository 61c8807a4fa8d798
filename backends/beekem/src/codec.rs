//! Messages. A change is one operation of BeeKEM, which its author has signed. A welcome holds all earlier operations, and
//! BeeKEM has no application messages: both are this adapter's, and signed too.

use std::sync::Arc;

use beekem::operation::CgkaOperation;
use beekem::pcs_key::PcsKey;
use ed25519_dalek::Signature;
use keyhive_codec::traits::{Encode as _, StreamDecode as _};
use keyhive_crypto::digest::Digest;
use keyhive_crypto::verified::{Signed, Verified};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};

use crate::ed25519::{self, Key};

/// The first byte of an operation, which begins with `KH`.
const OPERATION: u8 = b'K';
const WELCOME: u8 = 1;
const TEXT: u8 = 2;
const SIGNATURE_LEN: usize = 64;
/// What is signed besides operations begins with this.
const DOMAIN: &[u8] = b"beekem-backend-v1 message";

/// An operation whose signature is valid.
pub(crate) type Change = Arc<Verified<CgkaOperation>>;

/// A decoded message whose signatures are valid.
pub(crate) enum Message {
    Change(Change),
    Welcome(Vec<Change>),
    Text(Text),
}

/// An application message.
#[derive(Clone)]
pub(crate) struct Text {
    /// The digests of the update whose secret encrypts it, and of that secret.
    pub(crate) update: Digest<CgkaOperation>,
    pub(crate) secret: Digest<PcsKey>,
    /// Among its author's messages in this group.
    pub(crate) counter: u64,
    pub(crate) sealed: Vec<u8>,
    /// The whole message.
    pub(crate) bytes: Vec<u8>,
}

/// Decodes a message of `author` and checks its signatures.
pub(crate) fn decode(group: &GroupId, author: &MemberId, bytes: &[u8]) -> Result<Message, Error> {
    match bytes.split_first() {
        Some((&OPERATION, _)) => match change(group, bytes)? {
            (change, []) if change.issuer().to_bytes() == author.0 => Ok(Message::Change(change)),
            (_, []) => Err(Error::WrongAuthor),
            _ => Err(Error::Malformed),
        },
        Some((&WELCOME, _)) => {
            let mut rest = &unsigned(group, author, bytes)?[1..];
            let mut changes = Vec::new();
            while !rest.is_empty() {
                let (change, more) = change(group, rest)?;
                changes.push(change);
                rest = more;
            }
            Ok(Message::Welcome(changes))
        }
        Some((&TEXT, _)) => Text::decode(group, author, bytes).map(Message::Text),
        _ => Err(Error::Malformed),
    }
}

/// The operation in front, and what follows it.
pub(crate) fn change<'a>(group: &GroupId, bytes: &'a [u8]) -> Result<(Change, &'a [u8]), Error> {
    let (signed, rest) = Signed::<CgkaOperation>::decode_next(bytes).map_err(|_| Error::Malformed)?;
    let verified = ed25519::verify_operation(signed)?;
    if verified.payload().doc_id().to_bytes() != group.0 {
        return Err(Error::WrongGroup);
    }
    Ok((Arc::new(verified), rest))
}

/// An operation as a message.
pub(crate) fn encode(change: &Verified<CgkaOperation>) -> Vec<u8> {
    let mut bytes = Vec::new();
    change.signed().encode_into(&mut bytes);
    bytes
}

/// A welcome with these operations.
pub(crate) fn welcome(group: &GroupId, changes: &[Change], signing: &Key) -> Vec<u8> {
    let mut bytes = vec![WELCOME];
    changes.iter().for_each(|change| change.signed().encode_into(&mut bytes));
    sign(group, bytes, signing)
}

/// Appends a signature to a message that is not one of BeeKEM's.
fn sign(group: &GroupId, mut bytes: Vec<u8>, signing: &Key) -> Vec<u8> {
    let signature = signing.sign(&[DOMAIN, &group.0, &bytes].concat());
    bytes.extend_from_slice(&signature.to_bytes());
    bytes
}

/// What such a signature signs, if it is valid.
fn unsigned<'a>(group: &GroupId, author: &MemberId, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
    if signed.is_empty() {
        return Err(Error::Malformed);
    }
    let signature = Signature::from_bytes(signature);
    let is_authentic = ed25519::verify(author, &[DOMAIN, &group.0, signed].concat(), &signature);
    if is_authentic { Ok(signed) } else { Err(Error::NotAuthentic) }
}

impl Text {
    /// What comes before the ciphertext.
    pub(crate) fn header(update: &Digest<CgkaOperation>, secret: &Digest<PcsKey>, counter: u64) -> Vec<u8> {
        [&[TEXT][..], update.as_slice(), secret.as_slice(), &counter.to_be_bytes()].concat()
    }

    pub(crate) fn encode(group: &GroupId, header: &[u8], sealed: &[u8], signing: &Key) -> Vec<u8> {
        sign(group, [header, sealed].concat(), signing)
    }

    /// Decodes a message and checks its signature.
    pub(crate) fn decode(group: &GroupId, author: &MemberId, bytes: &[u8]) -> Result<Self, Error> {
        let (_, rest) = unsigned(group, author, bytes)?.split_first().ok_or(Error::Malformed)?;
        let (update, rest) = Digest::decode_next(rest).map_err(|_| Error::Malformed)?;
        let (secret, rest) = Digest::decode_next(rest).map_err(|_| Error::Malformed)?;
        let (counter, sealed) = rest.split_first_chunk().ok_or(Error::Malformed)?;
        let (counter, sealed) = (u64::from_be_bytes(*counter), sealed.to_vec());
        Ok(Self { update, secret, counter, sealed, bytes: bytes.to_vec() })
    }
}
