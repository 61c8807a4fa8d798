//! A two-party ciphertext on the wire.

use protocol::crypto::dh::{PRIVATE_KEY_LEN, PUBLIC_KEY_LEN};
use protocol::crypto::secret::SECRET_LEN;
use protocol::crypto::{aead, hpke, ristretto};
use protocol::error::Error;
use protocol::wire::codec::{Reader, put_varint};
use protocol::x3dh;

use crate::rules::Rules;

/// Bytes of the header of a message over lean channels: two keys.
pub(super) const LEAN_HEADER_LEN: usize = 2 * ristretto::PUBLIC_KEY_LEN;
/// Bytes of an index in a plaintext.
const INDEX_LEN: usize = 4;

const EMPTY: u32 = 0;
const PREKEYS: u32 = 1;
const SENDER: u32 = 2;
/// Of a lean channel only: in 2SM, a ciphertext to a fresh key has the form of the others.
const LEAN_FRESH: u32 = 3;

/// Which key of the recipient a ciphertext is encrypted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its prekeys.
    Prekeys,
    /// The key that the sender's last ciphertext made for it.
    Sender,
    /// Its own key with this index.
    Own(u32),
    /// Its own fresh key with this index, over a lean channel.
    Fresh(u32),
}

impl Origin {
    fn decode(reader: &mut Reader<'_>, rules: Rules) -> Result<Option<Self>, Error> {
        let origin = Self::of(reader.varint()?, rules);
        Ok(if let Some(Self::Fresh(_)) = origin { Some(Self::Fresh(reader.varint()?)) } else { origin })
    }

    /// What a number says; `None` if it says that the slot is empty. The index of a fresh key follows.
    pub(super) fn of(number: u32, rules: Rules) -> Option<Self> {
        match (number, rules.lean_channels()) {
            (EMPTY, _) => None,
            (PREKEYS, _) => Some(Self::Prekeys),
            (SENDER, _) => Some(Self::Sender),
            (LEAN_FRESH, true) => Some(Self::Fresh(0)),
            (number, lean) => Some(Self::Own(number - last_named(lean))),
        }
    }

    /// The number that says it.
    pub(super) fn number(self, rules: Rules) -> u32 {
        match self {
            Self::Prekeys => PREKEYS,
            Self::Sender => SENDER,
            Self::Fresh(_) => LEAN_FRESH,
            // Indices are limited, so that no origin exceeds its range ([`super::is_index`]).
            Self::Own(index) => last_named(rules.lean_channels()).saturating_add(index),
        }
    }

    pub(super) fn put(self, rules: Rules, out: &mut Vec<u8>) {
        put_varint(out, self.number(rules));
        if let Self::Fresh(index) = self {
            put_varint(out, index);
        }
    }

    /// Bytes by which a ciphertext exceeds its plaintext.
    fn overhead(self, rules: Rules) -> usize {
        match (self, rules.lean_channels()) {
            (Self::Prekeys, _) => x3dh::OVERHEAD,
            (Self::Fresh(_), true) => x3dh::FRESH_OVERHEAD,
            (_, true) => aead::OVERHEAD,
            (_, false) => hpke::OVERHEAD,
        }
    }
}

/// The last origin that is no index. Indices start at 1.
pub(super) fn last_named(lean: bool) -> u32 {
    if lean { LEAN_FRESH } else { SENDER }
}

/// What the ciphertexts of one message share: over lean channels the keys of its sender, otherwise nothing.
pub(crate) type Header<'a> = &'a [u8];

/// Reads what precedes the ciphertexts of a message. It is there if the message has any, empty ones included.
pub(crate) fn decode_header<'a>(reader: &mut Reader<'a>, rules: Rules) -> Result<Header<'a>, Error> {
    reader.bytes(header_len(rules))
}

/// Bytes of a [`Header`].
pub(crate) fn header_len(rules: Rules) -> usize {
    if rules.lean_channels() { LEAN_HEADER_LEN } else { 0 }
}

/// A two-party ciphertext in a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot<'a> {
    Empty,
    Full { header: Header<'a>, origin: Origin, sealed: &'a [u8] },
}

impl<'a> Slot<'a> {
    /// The whole body of a message with one empty slot and nothing else.
    pub(crate) const EMPTY_BODY: &'static [u8] = &[EMPTY as u8];

    pub(crate) fn decode(reader: &mut Reader<'a>, header: Header<'a>, rules: Rules) -> Result<Self, Error> {
        let Some(origin) = Origin::decode(reader, rules)? else { return Ok(Self::Empty) };
        Ok(Self::Full { header, origin, sealed: reader.bytes(origin.overhead(rules) + payload_len(rules))? })
    }

    pub(crate) fn put_empty(out: &mut Vec<u8>) {
        put_varint(out, EMPTY);
    }
}

/// Bytes of a slot encrypted to prekeys.
pub(crate) fn cold_len(rules: Rules) -> usize {
    1 + x3dh::OVERHEAD + payload_len(rules)
}

/// Bytes of a slot encrypted to a key of the channel, for an origin of one byte.
pub(crate) fn warm_len(rules: Rules) -> usize {
    1 + Origin::Sender.overhead(rules) + payload_len(rules)
}

/// Bytes of the plaintext: the secret; by 2SM also the peer's next private key, my next public key and its index.
pub(crate) fn payload_len(rules: Rules) -> usize {
    SECRET_LEN + if rules.lean_channels() { 0 } else { PRIVATE_KEY_LEN + PUBLIC_KEY_LEN + INDEX_LEN }
}
