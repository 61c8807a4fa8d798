//! Messages. Most are one message of Olm or Megolm as vodozemac encodes it, and nothing else:
//!
//! ```text
//! founders    0 | nonce 32 | mesh 1 | ids of the others 32 each
//! olm         an Olm message, of either type
//! megolm      number of the sender's Megolm session 1..5 | Megolm message
//! ```
//!
//! The types of Olm messages differ in byte 35 at the latest, so the type is not sent. What an Olm message is for is in
//! its plaintext, in bytes that are mostly padding otherwise:
//!
//! ```text
//! plaintext   [beginning of the group's id 8, in pre-key messages] | kind 1 | [distribution] | body
//! distribution   number of the session 1..5 | session key 229
//! ```
//!
//! | kind | body |
//! |---|---|
//! | create, hello, update-request, turn | |
//! | key | distributions of earlier sessions that were withheld, if there are any |
//! | update | ends of the sender's earlier Megolm sessions, if there are any |
//! | welcome | length of the notice, notice, roster |
//! | add, remove | notice |
//! | message | application data |

use protocol::crypto::hash::{self, Digest};
use protocol::crypto::label::Label;
use protocol::error::Error;
use protocol::id::{GroupId, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_varint};
use vodozemac::megolm::MegolmMessage;
use vodozemac::olm::{Message as Inner, OlmMessage};

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Shows that the founders message is the creator's.
    Create = 1,
    Welcome = 2,
    Add = 3,
    Remove = 4,
    /// Opens a channel.
    Hello = 5,
    /// An application message.
    Message = 6,
    /// Asks for a turn: the sender makes a new ratchet key only after it has received one of the peer's.
    UpdateRequest = 7,
    /// Carries the new ratchet key that was requested.
    Turn = 8,
    /// Carries the updating member's new ratchet key.
    Update = 9,
    /// Carries a Megolm session and nothing else.
    Key = 10,
}

/// Set in the kind of a plaintext with a distribution.
const DISTRIBUTES: u8 = 0x40;
/// The first byte of a founders message. No Olm message and no number of a session begins with it.
const FOUNDERS: u8 = 0;
const FOUNDERS_LABEL: Label = b"vodozemac-backend-v1 founders";
/// An Olm message begins with the version and the field of its first key. After a number, a Megolm message has a
/// version.
const OLM: [u8; 2] = [3, 0x0a];
/// Bytes of the group's id in a pre-key message.
const GROUP_LEN: usize = 8;
/// Bytes of a Megolm session key.
const SESSION_KEY_LEN: usize = 229;

impl Kind {
    /// The name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Welcome => "welcome",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Hello => "hello",
            Self::Message => "message",
            Self::UpdateRequest => "update-request",
            Self::Turn => "turn",
            Self::Update => "update",
            Self::Key => "key",
        }
    }

    fn of(byte: u8) -> Result<Self, Error> {
        Ok(match byte & !DISTRIBUTES {
            1 => Self::Create,
            2 => Self::Welcome,
            3 => Self::Add,
            4 => Self::Remove,
            5 => Self::Hello,
            6 => Self::Message,
            7 => Self::UpdateRequest,
            8 => Self::Turn,
            9 => Self::Update,
            10 => Self::Key,
            _ => return Err(Error::Malformed),
        })
    }
}

/// A decoded message. Nothing has been checked yet.
pub(crate) enum Message {
    Founders(Founders),
    Olm(OlmMessage),
    Megolm(u32, MegolmMessage),
}

impl Message {
    /// Decodes a message. vodozemac accepts several encodings of one message and authenticates its content. Here only
    /// its own encoding counts.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.first() == Some(&FOUNDERS) {
            return Founders::decode(bytes).map(Self::Founders);
        }
        if bytes.starts_with(&OLM) {
            let of_type = |message_type| OlmMessage::from_parts(message_type, bytes).ok();
            let message = of_type(0).or_else(|| of_type(1)).ok_or(Error::Malformed)?;
            return if message.to_parts().1 == bytes { Ok(Self::Olm(message)) } else { Err(Error::Malformed) };
        }
        let mut reader = Reader::new(bytes);
        let (number, bytes) = (reader.varint()?, reader.rest());
        let message = MegolmMessage::from_bytes(bytes).map_err(|_| Error::Malformed)?;
        if message.to_bytes() == bytes { Ok(Self::Megolm(number, message)) } else { Err(Error::Malformed) }
    }
}

/// The Double Ratchet message in an Olm message.
pub(crate) fn inner(message: &OlmMessage) -> &Inner {
    match message {
        OlmMessage::Normal(message) => message,
        OlmMessage::PreKey(message) => message.message(),
    }
}

/// The content of an Olm message that has been decrypted.
pub(crate) struct Content<'a> {
    pub(crate) kind: Kind,
    pub(crate) distribution: Option<Distribution<'a>>,
    pub(crate) body: &'a [u8],
}

/// A Megolm session key, and the session's number among the sender's.
#[derive(Clone, Copy)]
pub(crate) struct Distribution<'a> {
    pub(crate) number: u32,
    pub(crate) key: &'a [u8],
}

impl<'a> Content<'a> {
    /// Encodes a content with a distribution that is encoded already.
    pub(crate) fn encode(kind: Kind, distribution: Option<&[u8]>, body: &[u8]) -> Vec<u8> {
        let bit = if distribution.is_some() { DISTRIBUTES } else { 0 };
        [&[kind as u8 | bit][..], distribution.unwrap_or_default(), body].concat()
    }

    pub(crate) fn decode(plaintext: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(plaintext);
        let byte = reader.byte()?;
        let kind = Kind::of(byte)?;
        let distribution = (byte & DISTRIBUTES != 0).then(|| Distribution::decode(&mut reader)).transpose()?;
        Ok(Self { kind, distribution, body: reader.rest() })
    }
}

impl<'a> Distribution<'a> {
    pub(crate) fn encode(number: u32, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, number);
        out.extend_from_slice(key);
        out
    }

    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { number: reader.varint()?, key: reader.bytes(SESSION_KEY_LEN)? })
    }
}

/// Puts the beginning of the group's id in front of what a pre-key message encrypts: an Olm session serves one group.
pub(crate) fn bind(group: &GroupId, content: &[u8]) -> Vec<u8> {
    [&group.0[..GROUP_LEN], content].concat()
}

/// Checks the plaintext of a pre-key message, and returns its content.
pub(crate) fn unbind(group: &GroupId, mut plaintext: Vec<u8>) -> Result<Vec<u8>, Error> {
    if !plaintext.starts_with(&group.0[..GROUP_LEN]) {
        return Err(Error::NotAuthentic);
    }
    Ok(plaintext.split_off(GROUP_LEN))
}

/// Encodes a Megolm message.
pub(crate) fn megolm(number: u32, message: &MegolmMessage) -> Vec<u8> {
    Distribution::encode(number, &message.to_bytes())
}

/// The first message of a group, which names its founders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founders {
    pub(crate) nonce: Digest,
    /// Whether every two founders open the channel between them immediately.
    pub(crate) mesh: bool,
    /// All founders but the creator, in the order in which the creator named them.
    pub(crate) others: Vec<MemberId>,
}

impl Founders {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let ids = self.others.iter().flat_map(|id| id.0);
        [FOUNDERS].into_iter().chain(self.nonce.0).chain([self.mesh.into()]).chain(ids).collect()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let ([FOUNDERS], nonce, mesh) = (reader.array()?, Digest(reader.array()?), reader.flag()?) else {
            return Err(Error::Malformed);
        };
        let (ids, []) = reader.rest().as_chunks::<MEMBER_ID_LEN>() else { return Err(Error::Malformed) };
        Ok(Self { nonce, mesh, others: ids.iter().copied().map(MemberId).collect() })
    }

    /// The id of the group. Nobody else can create a group with this id, and no other founders fit it.
    pub(crate) fn group_id(&self, creator: &MemberId) -> GroupId {
        let ids: Vec<u8> = self.others.iter().flat_map(|id| id.0).collect();
        GroupId::new(creator, &hash::hash(FOUNDERS_LABEL, &[&self.nonce.0, &[self.mesh.into()], &ids]))
    }
}
