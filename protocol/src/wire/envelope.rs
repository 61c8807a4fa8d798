//! The envelope around each message, and its signature.
//!
//! ```text
//! version 1 | kind 1 | sender 8 | number 1..5 | [author 8 | number 1..5] | [member 8] | [new key 32] | body | signature 64
//! ```
//!
//! The kind byte says which of the bracketed parts are there. The signed text contains group, sender and members by
//! their full ids; the wire carries only handles.

use crate::crypto::count;
use crate::crypto::hash::{self, Digest};
use crate::crypto::label;
use crate::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GROUP_ID_LEN, GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::codec::{MAX_MESSAGE_LEN, Reader, put_varint};

/// Version of the wire format.
pub const VERSION: u8 = 1;

/// What a message is: five bits that the protocol chooses, and which parts the envelope has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub u8);

impl Kind {
    /// The envelope names the message that it acknowledges.
    pub const ACKNOWLEDGES: u8 = 0x80;
    /// The envelope carries a new verification key, which is valid from the author's next message on.
    pub const NEW_KEY: u8 = 0x40;
    /// The envelope names a member.
    pub const NAMES: u8 = 0x20;

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

/// The user that an envelope names, on the wire and in the signed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<Name> {
    /// Nobody.
    None,
    /// The author of the acknowledged message, and its number.
    Acknowledged(Name, u32),
    /// A member.
    Member(Name),
}

impl<Name: Copy> Subject<Name> {
    /// The name that it contains; `None` if there is none.
    pub fn name(&self) -> Option<Name> {
        match *self {
            Self::None => None,
            Self::Acknowledged(name, _) | Self::Member(name) => Some(name),
        }
    }

    /// The same subject under another name.
    pub fn map<Other>(&self, f: impl FnOnce(Name) -> Other) -> Subject<Other> {
        match *self {
            Self::None => Subject::None,
            Self::Acknowledged(name, number) => Subject::Acknowledged(f(name), number),
            Self::Member(name) => Subject::Member(f(name)),
        }
    }
}

impl Subject<MemberId> {
    /// The acknowledged message; `None` if the subject is another one.
    #[must_use]
    pub fn acknowledged(&self) -> Option<MessageId> {
        match *self {
            Self::Acknowledged(author, number) => Some(MessageId { author, number }),
            _ => None,
        }
    }
}

/// A received envelope, decoded but not verified.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// What the message is, and which parts the envelope has.
    pub kind: Kind,
    /// The user that claims to have sent the message.
    pub sender: Handle,
    /// The message's place among its sender's messages, from 1.
    pub number: u32,
    /// The user that the envelope names.
    pub subject: Subject<Handle>,
    /// The key under which the sender's later messages are signed, if it changes. [`verify`](Self::verify) checks it.
    pub new_key: Option<[u8; VERIFICATION_KEY_LEN]>,
    /// The protocol's part of the message.
    pub body: &'a [u8],
    /// Version, kind, sender and number, as received.
    pub header: &'a [u8],
    /// The whole message.
    pub bytes: &'a [u8],
    signature: Signature,
}

impl<'a> Envelope<'a> {
    /// Decodes a message. This takes the same short time for all messages: a new key is not decompressed.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the message is too long or too short, of another version, has the number 0, or a part is
    /// not in its only encoding.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        count::record(|tally| tally.envelopes.add(1));
        if bytes.len() > MAX_MESSAGE_LEN {
            return Err(Error::Malformed);
        }
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        let mut reader = Reader::new(signed);
        if reader.byte()? != VERSION {
            return Err(Error::Malformed);
        }
        let kind = Kind(reader.byte()?);
        let sender = Handle(reader.array()?);
        let number = positive(&mut reader)?;
        let header = &signed[..signed.len() - reader.remaining().len()];
        let subject = match (kind.has(Kind::ACKNOWLEDGES), kind.has(Kind::NAMES)) {
            (true, true) => return Err(Error::Malformed),
            (true, false) => Subject::Acknowledged(Handle(reader.array()?), positive(&mut reader)?),
            (false, true) => Subject::Member(Handle(reader.array()?)),
            (false, false) => Subject::None,
        };
        let new_key = kind.has(Kind::NEW_KEY).then(|| reader.array()).transpose()?;
        Ok(Self {
            kind,
            sender,
            number,
            subject,
            new_key,
            body: reader.rest(),
            header,
            bytes,
            signature: Signature(*signature),
        })
    }

    /// The hash that the signature covers, given the full ids of group, sender and subject. It identifies the message
    /// too: two messages with the same hash differ only in their signatures.
    #[must_use]
    pub fn digest(&self, group: &GroupId, sender: &MemberId, subject: &Subject<MemberId>) -> Digest {
        digest(self.kind, group, sender, self.number, subject, self.new_key.as_ref(), self.body)
    }

    /// Checks the signature over a [`digest`](Self::digest). Returns the new key, if there is one.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the new key is weak or in no valid encoding, and [`Error::NotAuthentic`] if the signature
    /// is not of this digest under this key.
    pub fn verify(&self, digest: &Digest, key: &VerificationKey) -> Result<Option<VerificationKey>, Error> {
        let new_key = self.new_key.as_ref().map(VerificationKey::from_bytes).transpose()?;
        key.verify(digest.as_bytes(), &self.signature).map(|()| new_key)
    }
}

/// The kind that an encoded message claims; `None` if the message is too short.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<Kind> {
    bytes.get(1).copied().map(Kind)
}

fn positive(reader: &mut Reader<'_>) -> Result<u32, Error> {
    reader.varint().and_then(|number| if number == 0 { Err(Error::Malformed) } else { Ok(number) })
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// What the message is. [`Draft::sign`] sets the bits for the parts below.
    pub kind: Kind,
    /// The user that sends and signs the message.
    pub sender: MemberId,
    /// The message's place among its sender's messages, from 1.
    pub number: u32,
    /// The user that the envelope names.
    pub subject: Subject<MemberId>,
    /// The key under which the sender's later messages are signed, if it changes.
    pub new_key: Option<VerificationKey>,
    /// The protocol's part of the message.
    pub body: &'a [u8],
}

impl Draft<'_> {
    /// Version, kind, sender and number, as in the signed message: an encrypted body can be bound to them.
    #[must_use]
    pub fn header(&self, sender: Handle) -> Vec<u8> {
        let mut out = vec![VERSION, self.kind_byte().0];
        out.extend_from_slice(&sender.0);
        put_varint(&mut out, self.number);
        out
    }

    /// The signed message, and its hash. The handles are those of the sender and of the user that the subject names.
    #[must_use]
    pub fn sign(
        &self,
        group: &GroupId,
        sender: Handle,
        subject: Option<Handle>,
        key: &SigningKey,
    ) -> (Vec<u8>, Digest) {
        let digest = self.digest(group);
        let mut out = self.header(sender);
        if let Some(handle) = subject {
            out.extend_from_slice(&handle.0);
        }
        if let Subject::Acknowledged(_, number) = self.subject {
            put_varint(&mut out, number);
        }
        if let Some(new_key) = &self.new_key {
            out.extend_from_slice(new_key.as_bytes());
        }
        out.extend_from_slice(self.body);
        out.extend_from_slice(&key.sign(digest.as_bytes()).0);
        (out, digest)
    }

    fn digest(&self, group: &GroupId) -> Digest {
        let kind = self.kind_byte();
        let new_key = self.new_key.as_ref().map(VerificationKey::as_bytes);
        digest(kind, group, &self.sender, self.number, &self.subject, new_key, self.body)
    }

    fn kind_byte(&self) -> Kind {
        let subject = match self.subject {
            Subject::None => 0,
            Subject::Acknowledged(..) => Kind::ACKNOWLEDGES,
            Subject::Member(_) => Kind::NAMES,
        };
        Kind(self.kind.0 | subject | if self.new_key.is_some() { Kind::NEW_KEY } else { 0 })
    }
}

/// Signing a hash of fixed length keeps the cost of a signature the same for all messages. The hash also serves to
/// detect equivocation, and to bind a welcome to its add.
fn digest(
    kind: Kind,
    group: &GroupId,
    sender: &MemberId,
    number: u32,
    subject: &Subject<MemberId>,
    new_key: Option<&[u8; VERIFICATION_KEY_LEN]>,
    body: &[u8],
) -> Digest {
    let subject_number = match *subject {
        Subject::Acknowledged(_, number) => number,
        _ => 0,
    };
    let mut numbers = [VERSION, kind.0, 0, 0, 0, 0, 0, 0, 0, 0];
    numbers[2..6].copy_from_slice(&number.to_be_bytes());
    numbers[6..].copy_from_slice(&subject_number.to_be_bytes());
    let named = subject.name();
    let parts: [&[u8]; 6] =
        [&numbers, &group.0, &sender.0, named.as_ref().map_or(&[], |id| &id.0), new_key.map_or(&[], |key| key), body];
    hash::hash(label::MESSAGE, &parts)
}

/// The number of blocks that are hashed for a message with these parts.
#[must_use]
pub fn digest_blocks(names: bool, new_key: bool, body: usize) -> u64 {
    let named = if names { MEMBER_ID_LEN } else { 0 };
    let key = if new_key { VERIFICATION_KEY_LEN } else { 0 };
    hash::blocks_of(label::MESSAGE, &[10, GROUP_ID_LEN, MEMBER_ID_LEN, named, key, body])
}
