//! The messages of both protocols.
//!
//! ```text
//! channel     version 1 | kind 1 | sender 8 | number 1..5 | [prekey header 72] | Double Ratchet message
//! founders    version 1 | kind 1 | sender 8 | number 1..5 | nonce 32 | mesh 1 | count | ids of the others 32 each
//! message under a sender key                              a signed envelope (protocol::wire::envelope)
//! ```
//!
//! A channel message goes to one member over the channel with it; what stands in front of the ratchet's message is not signed but bound to
//! it. Bits of the kind say whether there is a prekey header, and whether the last bytes of the plaintext are a distribution
//! of the sender's key. Plaintexts, the distribution aside:
//!
//! | kind | plaintext |
//! |---|---|
//! | create, hello, update-request, turn, update, key | |
//! | welcome | notice with its length in front, roster |
//! | add, remove | notice |
//! | message | application data |

use protocol::crypto::hash::{self, DIGEST_LEN, Digest};
use protocol::crypto::label;
use protocol::error::Error;
use protocol::id::{GroupId, Handle, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len, put_varint};
use protocol::wire::envelope::VERSION;

use crate::session::PrekeyHeader;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who founds the group: everybody gets it, and the group's id commits to it.
    Founders = 1,
    /// Says that the creator means it.
    Create = 2,
    Welcome = 3,
    Add = 4,
    Remove = 5,
    /// Opens a channel.
    Hello = 6,
    Message = 7,
    /// Asks for a turn: the sender cannot make a new ratchet key before one of the peer's has come.
    UpdateRequest = 8,
    /// Brings the peer's new ratchet key.
    Turn = 9,
    /// Brings the updating member's new ratchet key.
    Update = 10,
    /// Brings a sender key and nothing else.
    Key = 11,
    /// A message under a sender key.
    GroupMessage = 12,
}

const PREKEYS: u8 = 0x80;
const DISTRIBUTES: u8 = 0x40;

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

    /// What a message says it is, before anything of it is checked.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, Error> {
        let [VERSION, kind, ..] = bytes else { return Err(Error::Malformed) };
        Ok(match kind & !(PREKEYS | DISTRIBUTES) {
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

/// Version, kind, sender and number of a channel message.
pub(crate) fn header(kind: Kind, prekeys: bool, distributes: bool, sender: Handle, number: u32) -> Vec<u8> {
    let bits = if prekeys { PREKEYS } else { 0 } | if distributes { DISTRIBUTES } else { 0 };
    let mut out = vec![VERSION, kind as u8 | bits];
    out.extend_from_slice(&sender.0);
    put_varint(&mut out, number);
    out
}

/// A received channel message, decoded and not yet checked.
pub(crate) struct ChannelMessage<'a> {
    pub(crate) kind: Kind,
    pub(crate) distributes: bool,
    pub(crate) sender: Handle,
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
        reader.varint()?;
        let header = &bytes[..bytes.len() - reader.remaining().len()];
        let prekeys = (bits & PREKEYS != 0).then(|| PrekeyHeader::decode(&mut reader)).transpose()?;
        let distributes = bits & DISTRIBUTES != 0;
        Ok(Self { kind, distributes, sender, header, prekeys, ratchet_message: reader.rest() })
    }
}

/// Who founds a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founders {
    pub(crate) nonce: Digest,
    /// Every two founders open the channel between them at once.
    pub(crate) mesh: bool,
    /// Without the creator, in the order in which the creator named them.
    pub(crate) others: Vec<MemberId>,
}

impl Founders {
    pub(crate) fn encode(&self, sender: Handle, number: u32) -> Vec<u8> {
        let mut out = header(Kind::Founders, false, false, sender, number);
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
        // A group begins with its first message.
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

    /// The id of the group: nobody else can create it, nor with others.
    pub(crate) fn group_id(&self, creator: &MemberId) -> GroupId {
        let ids: Vec<u8> = self.others.iter().flat_map(|id| id.0).collect();
        let digest = hash::hash(label::FOUNDERS, &[self.nonce.as_bytes(), &[self.mesh.into()], &ids]);
        GroupId::new(creator, &digest)
    }
}

/// Blocks that the hashes of a group's id cost.
pub(crate) fn group_id_blocks(others: usize) -> u64 {
    hash::blocks_of(label::FOUNDERS, &[DIGEST_LEN, 1, others * MEMBER_ID_LEN])
        + hash::blocks_of(label::GROUP_ID, &[MEMBER_ID_LEN, DIGEST_LEN])
}
