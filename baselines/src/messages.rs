//! The messages of both protocols.
//!
//! ```text
//! channel message    version 1 | kind 1 | sender 8 | number 1..5 | [prekey header 72] | Double Ratchet message
//! founders message   version 1 | kind 1 | sender 8 | number 1..5 | nonce 32 | mesh 1 | count | ids of the others 32 each
//! group message      a signed envelope (protocol::wire::envelope), under a sender key
//! ```
//!
//! A channel message goes to one member over the channel with it. The bytes in front of the Double Ratchet message are
//! not signed, but that message is bound to them. Bits of the kind say whether there is a prekey header, and whether
//! the plaintext goes on with a distribution of the sender's key and with the end of a chain in a session that the
//! sender has left. Plaintexts without these:
//!
//! | kind | plaintext |
//! |---|---|
//! | create, hello, update-request, turn | |
//! | key | mostly nothing; distributions of earlier keys that were withheld |
//! | update | ends of the sender's earlier sender keys, if there are any |
//! | welcome | length of the notice, notice, roster |
//! | add, remove | notice |
//! | message | application data |

use protocol::crypto::hash::{self, DIGEST_LEN, Digest};
use protocol::crypto::label;
use protocol::error::Error;
use protocol::id::{GroupId, Handle, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len, put_varint};
use protocol::wire::envelope::{Envelope, VERSION};

use crate::session::PrekeyHeader;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Names the founders. Everybody gets it, and the group's id commits to it.
    Founders = 1,
    /// Shows that the founders message is the creator's.
    Create = 2,
    Welcome = 3,
    Add = 4,
    Remove = 5,
    /// Opens a channel.
    Hello = 6,
    /// An application message over a channel.
    Message = 7,
    /// Asks for a turn: the sender can make a new ratchet key only after it has received one of the peer's.
    UpdateRequest = 8,
    /// Carries the new ratchet key that was requested.
    Turn = 9,
    /// Carries the updating member's new ratchet key.
    Update = 10,
    /// Carries a sender key and nothing else.
    Key = 11,
    /// An application message under a sender key.
    GroupMessage = 12,
}

const PREKEYS: u8 = 0x80;
const DISTRIBUTES: u8 = 0x40;
const ENDS_CHAIN: u8 = 0x20;

impl Kind {
    /// The name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Founders => "founders",
            Self::Create => "create",
            Self::Welcome => "welcome",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Hello => "hello",
            Self::Message | Self::GroupMessage => "message",
            Self::UpdateRequest => "update-request",
            Self::Turn => "turn",
            Self::Update => "update",
            Self::Key => "key",
        }
    }

    /// The kind that a message claims. Nothing has been checked yet.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, Error> {
        let [VERSION, kind, ..] = bytes else { return Err(Error::Malformed) };
        Ok(match kind & !(PREKEYS | DISTRIBUTES | ENDS_CHAIN) {
            1 => Self::Founders,
            2 => Self::Create,
            3 => Self::Welcome,
            4 => Self::Add,
            5 => Self::Remove,
            6 => Self::Hello,
            7 => Self::Message,
            8 => Self::UpdateRequest,
            9 => Self::Turn,
            10 => Self::Update,
            11 => Self::Key,
            12 => Self::GroupMessage,
            _ => return Err(Error::Malformed),
        })
    }
}

/// What a channel message has besides its body.
#[derive(Clone, Copy, Default)]
pub(crate) struct Parts {
    /// In front of the Double Ratchet message, a prekey header.
    pub(crate) prekeys: bool,
    /// In the plaintext, a distribution.
    pub(crate) distributes: bool,
    /// At the end of the plaintext, the end of a chain.
    pub(crate) ends_chain: bool,
}

/// Encodes version, kind, sender and number.
pub(crate) fn header(kind: Kind, parts: Parts, sender: Handle, number: u32) -> Vec<u8> {
    let Parts { prekeys, distributes, ends_chain } = parts;
    let bits = [(prekeys, PREKEYS), (distributes, DISTRIBUTES), (ends_chain, ENDS_CHAIN)];
    let bits = bits.into_iter().filter(|(has, _)| *has).fold(0, |bits, (_, bit)| bits | bit);
    let mut out = vec![VERSION, kind as u8 | bits];
    out.extend_from_slice(&sender.0);
    put_varint(&mut out, number);
    out
}

/// A received channel message, decoded but not yet checked.
pub(crate) struct ChannelMessage<'a> {
    pub(crate) kind: Kind,
    pub(crate) distributes: bool,
    pub(crate) ends_chain: bool,
    pub(crate) sender: Handle,
    pub(crate) number: u32,
    pub(crate) header: &'a [u8],
    pub(crate) prekeys: Option<PrekeyHeader>,
    pub(crate) ratchet_message: &'a [u8],
}

impl<'a> ChannelMessage<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let kind = Kind::of(bytes)?;
        if matches!(kind, Kind::Founders | Kind::GroupMessage) {
            return Err(Error::Malformed);
        }
        let mut reader = Reader::new(bytes);
        let [_, bits] = reader.array()?;
        let sender = Handle(reader.array()?);
        let number = reader.varint()?;
        let header = &bytes[..bytes.len() - reader.remaining().len()];
        let prekeys = (bits & PREKEYS != 0).then(|| PrekeyHeader::decode(&mut reader)).transpose()?;
        let (distributes, ends_chain) = (bits & DISTRIBUTES != 0, bits & ENDS_CHAIN != 0);
        Ok(Self { kind, distributes, ends_chain, sender, number, header, prekeys, ratchet_message: reader.rest() })
    }
}

/// The sender and the number that a message claims, unless it is a founders message.
pub(crate) fn claimed(bytes: &[u8]) -> Result<(Handle, u32), Error> {
    if Kind::of(bytes)? == Kind::GroupMessage {
        return Envelope::decode(bytes).map(|envelope| (envelope.sender, envelope.number));
    }
    ChannelMessage::decode(bytes).map(|message| (message.sender, message.number))
}

/// The content of a founders message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founders {
    pub(crate) nonce: Digest,
    /// Whether every two founders open the channel between them immediately.
    pub(crate) mesh: bool,
    /// All founders but the creator, in the order in which the creator named them.
    pub(crate) others: Vec<MemberId>,
}

impl Founders {
    pub(crate) fn encode(&self, sender: Handle, number: u32) -> Vec<u8> {
        let mut out = header(Kind::Founders, Parts::default(), sender, number);
        out.extend_from_slice(self.nonce.as_bytes());
        out.push(self.mesh.into());
        put_len(&mut out, self.others.len());
        self.others.iter().for_each(|id| out.extend_from_slice(&id.0));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if Kind::of(bytes)? != Kind::Founders {
            return Err(Error::Malformed);
        }
        let mut reader = Reader::new(bytes);
        let [_, bits] = reader.array()?;
        let _sender: [u8; protocol::id::HANDLE_LEN] = reader.array()?;
        // The founders message is the first message of a group.
        if bits != Kind::Founders as u8 || reader.varint()? != 1 {
            return Err(Error::Malformed);
        }
        let nonce = Digest(reader.array::<DIGEST_LEN>()?);
        let mesh = reader.flag()?;
        let count = reader.count(MEMBER_ID_LEN)?;
        let others = (0..count).map(|_| reader.array().map(MemberId)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { nonce, mesh, others })
    }

    /// The id of the group. Nobody else can create a group with this id, and no other founders fit it.
    pub(crate) fn group_id(&self, creator: &MemberId) -> GroupId {
        let ids: Vec<u8> = self.others.iter().flat_map(|id| id.0).collect();
        let digest = hash::hash(label::FOUNDERS, &[self.nonce.as_bytes(), &[self.mesh.into()], &ids]);
        GroupId::new(creator, &digest)
    }
}

/// Hash blocks that a group's id costs.
pub(crate) fn group_id_blocks(others: usize) -> u64 {
    hash::blocks_of(label::FOUNDERS, &[DIGEST_LEN, 1, others * MEMBER_ID_LEN])
        + hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN])
}
