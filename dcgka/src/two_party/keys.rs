//! What a ciphertext is bound to, and the keys of a channel, whichever way it encrypts.

use protocol::crypto::dh::{PRIVATE_KEY_LEN, PrivateKey, PublicKey};
use protocol::crypto::label;
use protocol::crypto::ristretto;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::VERIFICATION_KEY_LEN;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::x3dh::PeerBundle;

use super::slot::Header;
use crate::rules::Rules;

/// What a ciphertext is bound to: one message of one sender to one recipient.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) sender: &'a MemberId,
    /// The key that verifies the message which carries the ciphertext.
    pub(crate) sender_key: &'a [u8; VERIFICATION_KEY_LEN],
    pub(crate) recipient: &'a MemberId,
    pub(crate) number: u32,
    /// What all ciphertexts of the message share.
    pub(crate) header: Header<'a>,
    pub(crate) rules: Rules,
}

impl Binding<'_> {
    /// The parts have fixed lengths, so they need no prefixes.
    pub(super) fn info(&self) -> Vec<u8> {
        [label::TWO_PARTY, &self.group.0, &self.sender.0, &self.recipient.0].concat()
    }

    pub(super) fn associated(&self) -> Vec<u8> {
        let key: &[u8] = if self.rules.binds_senders_key() { self.sender_key } else { &[] };
        [key, &self.number.to_be_bytes(), self.header].concat()
    }

    pub(super) fn both(&self) -> Vec<u8> {
        [self.info(), self.associated()].concat()
    }
}

/// A private key to which the peer may encrypt.
#[derive(Clone)]
pub(super) enum Private {
    X25519(PrivateKey),
    Ristretto(ristretto::PrivateKey),
}

impl Private {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::X25519(key) => out.extend_from_slice(key.as_secret().expose()),
            Self::Ristretto(key) => out.extend_from_slice(key.to_secret().expose()),
        }
    }

    pub(super) fn of(bytes: Secret<PRIVATE_KEY_LEN>, rules: Rules) -> Result<Self, Error> {
        match rules.lean_channels() {
            true => ristretto::PrivateKey::from_secret(&bytes).map(Self::Ristretto),
            false => Ok(Self::X25519(PrivateKey::from_secret(bytes))),
        }
    }
}

/// A public key of the peer.
#[derive(Clone)]
pub(super) enum Public {
    X25519(PublicKey),
    Ristretto(ristretto::PublicKey),
    Announced(Announced),
}

/// A key of the peer, as its message announces it: A + t·G, which is computed when it is needed.
#[derive(Clone)]
pub(super) struct Announced {
    pub(super) a: [u8; ristretto::PUBLIC_KEY_LEN],
    pub(super) t: ristretto::PrivateKey,
}

impl Announced {
    /// `None` if the peer has announced no key.
    pub(super) fn key(&self) -> Option<ristretto::PublicKey> {
        ristretto::PublicKey::from_bytes(&self.a).ok()?.plus(&self.t.public_key()).ok()
    }
}

/// The key that a ciphertext is encrypted to, at its sender.
pub(super) enum To<'a> {
    /// A bundle, and a one-time prekey as the directory has handed it out.
    Prekeys(PeerBundle, Option<Vec<u8>>),
    /// The peer's identity key, and its fresh key in the place of the signed prekey.
    Fresh(PeerBundle),
    Key(&'a Public),
}

/// The same at its recipient; with the sender's identity key where it is needed.
pub(super) enum Means<'a> {
    Prekeys(PublicKey),
    Fresh(&'a PrivateKey, PublicKey),
    Key(&'a Private),
}

/// What its sender gets from a ciphertext that it makes.
pub(super) struct Made {
    pub(super) sealed: Vec<u8>,
    /// My next key.
    pub(super) mine: Private,
    /// The key that I encrypt to next.
    pub(super) theirs: Public,
}

/// What its recipient gets from a ciphertext.
pub(super) struct Opened {
    pub(super) secret: Secret,
    /// The key that the peer encrypts to next.
    pub(super) received: Private,
    /// The peer's next key.
    pub(super) peer: Public,
    /// The index of that key.
    pub(super) index: u32,
}
