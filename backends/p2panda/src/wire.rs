//! Messages. What the crate makes is in its own serde form, in p2panda's CBOR; what is around it is this adapter's.

use std::collections::BTreeMap;

use p2panda_core::cbor::{decode_cbor, encode_cbor};
use p2panda_encryption::message_scheme::{ControlMessage, DirectMessage, DirectMessageContent};
use protocol::error::Error;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::ids::{Id, Op};
use crate::roster::Dgm;

/// The first byte of a message.
const CONTROL: u8 = 0;
const TEXT: u8 = 1;

/// What a control message does, with numbers of messages as the crate takes them.
pub(crate) type Change = ControlMessage<Id, Op>;
/// What a control message carries for one member.
pub(crate) type Direct = DirectMessage<Id, Op, Dgm>;

/// A decoded message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Message {
    Control(Control),
    Text(Text),
}

/// A control message with all its direct messages. On the wire it is an array.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Control {
    /// Its number among its author's control messages.
    pub(crate) number: u32,
    /// The number of its author's application messages since the control message before.
    pub(crate) texts: u32,
    /// It acknowledges a message by its number alone: whose it is, it says besides.
    pub(crate) change: ControlMessage<Id, u32>,
    /// For each recipient, encoded apart, so that others need not decode it.
    pub(crate) direct: BTreeMap<Id, ByteBuf>,
    /// With an add: the numbers of everybody's last control messages before it, in the order of the welcome.
    pub(crate) last: Vec<u32>,
}

/// An application message.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Text {
    /// The number of its author's last control message.
    pub(crate) epoch: u32,
    /// Its number in the author's message ratchet.
    pub(crate) generation: u32,
    pub(crate) ciphertext: ByteBuf,
}

impl Message {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let (kind, body) = match self {
            Self::Control(Control { number, texts, change, direct, last }) => {
                (CONTROL, encode_cbor(&(number, texts, change, direct, last)))
            }
            Self::Text(Text { epoch, generation, ciphertext }) => (TEXT, encode_cbor(&(epoch, generation, ciphertext))),
        };
        Ok([&[kind][..], &body.map_err(|_| Error::Internal)?].concat())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.split_first() {
            Some((&CONTROL, body)) => {
                let (number, texts, change, direct, last) = decode_all(body)?;
                Ok(Self::Control(Control { number, texts, change, direct, last }))
            }
            Some((&TEXT, body)) => {
                let (epoch, generation, ciphertext) = decode_all(body)?;
                Ok(Self::Text(Text { epoch, generation, ciphertext }))
            }
            _ => Err(Error::Malformed),
        }
    }
}

impl Control {
    /// What it does, as the crate takes it.
    pub(crate) fn change(&self) -> Change {
        match self.change.clone() {
            ControlMessage::Create { initial_members } => Change::Create { initial_members },
            ControlMessage::Update => Change::Update,
            ControlMessage::Remove { removed } => Change::Remove { removed },
            ControlMessage::Add { added } => Change::Add { added },
            ControlMessage::Ack { ack_sender, ack_seq } => Change::Ack { ack_sender, ack_seq: Op(ack_sender, ack_seq) },
            ControlMessage::AddAck { ack_sender, ack_seq } => {
                Change::AddAck { ack_sender, ack_seq: Op(ack_sender, ack_seq) }
            }
        }
    }

    /// What it carries for `recipient`.
    pub(crate) fn direct(&self, recipient: Id) -> Result<Option<Direct>, Error> {
        let Some(bytes) = self.direct.get(&recipient) else { return Ok(None) };
        let content: DirectMessageContent<Id, Op, Dgm> = decode_all(bytes)?;
        Ok(Some(Direct { recipient, content }))
    }
}

/// The same change, with numbers alone.
pub(crate) fn shorten(change: Change) -> ControlMessage<Id, u32> {
    match change {
        Change::Create { initial_members } => ControlMessage::Create { initial_members },
        Change::Update => ControlMessage::Update,
        Change::Remove { removed } => ControlMessage::Remove { removed },
        Change::Add { added } => ControlMessage::Add { added },
        Change::Ack { ack_sender, ack_seq } => ControlMessage::Ack { ack_sender, ack_seq: ack_seq.1 },
        Change::AddAck { ack_sender, ack_seq } => ControlMessage::AddAck { ack_sender, ack_seq: ack_seq.1 },
    }
}

/// Direct messages, by recipient.
pub(crate) fn pack(direct: &[Direct]) -> Result<BTreeMap<Id, ByteBuf>, Error> {
    let one = |it: &Direct| Ok((it.recipient, ByteBuf::from(encode_cbor(&it.content).map_err(|_| Error::Internal)?)));
    direct.iter().map(one).collect()
}

/// Decodes a value that takes all these bytes.
pub(crate) fn decode_all<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Error> {
    let value = decode_cbor(&mut bytes).map_err(|_| Error::Malformed)?;
    if bytes.is_empty() { Ok(value) } else { Err(Error::Malformed) }
}
