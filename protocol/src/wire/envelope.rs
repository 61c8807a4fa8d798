//! The envelope around each message, and its signature.
//!
//! ```text
//! version 1 | kind 1 | sender 8 | number 1..5 | [author 8 | number 1..5] | [member 8] | [new key 32] | body | signature 64
//! ```
//!
//! The kind byte says which of the bracketed parts are there. Group, sender and members stand in the signed text with their
//! full ids; on the wire there are handles only.

use crate::crypto::hash::{self, Digest};
use crate::crypto::label;
use crate::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GROUP_ID_LEN, GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::codec::{MAX_MESSAGE_LEN, Reader, put_varint};

/// Version of the wire format.
pub const VERSION: u8 = 1;

/// What a message is: five bits of the protocol's choice, and which parts the envelope has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub u8);

impl Kind {
    /// The envelope names the message that it acknowledges.
    pub const ACKNOWLEDGES: u8 = 0x80;
    /// The envelope carries a new verification key, which holds from the author's next message on.
    pub const NEW_KEY: u8 = 0x40;
    /// The envelope names a member.
    pub const NAMES: u8 = 0x20;

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

/// Somebody whom an envelope names, on the wire and in the signed text.
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
    /// The name in it.
    pub fn name(&self) -> Option<Name> {
        match *self {
            Self::None => None,
            Self::Acknowledged(name, _) | Self::Member(name) => Some(name),
        }
    }

    /// The same with another name.
    pub fn map<Other>(&self, f: impl FnOnce(Name) -> Other) -> Subject<Other> {
        match *self {
            Self::None => Subject::None,
            Self::Acknowledged(name, number) => Subject::Acknowledged(f(name), number),
            Self::Member(name) => Subject::Member(f(name)),
        }
    }
}

impl Subject<MemberId> {
    /// The acknowledged message.
    #[must_use]
    pub fn acknowledged(&self) -> Option<MessageId> {
        match *self {
            Self::Acknowledged(author, number) => Some(MessageId { author, number }),
            _ => None,
        }
    }
}

/// A received envelope, decoded and not yet checked.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// What it is.
    pub kind: Kind,
    /// Who sent it.
    pub sender: Handle,
    /// Its number.
    pub number: u32,
    /// Whom it names.
    pub subject: Subject<Handle>,
    /// The author's next verification key.
    pub new_key: Option<VerificationKey>,
    /// What the protocol put into it.
    pub body: &'a [u8],
    /// Version, kind, sender and number as they came.
    pub header: &'a [u8],
    signature: Signature,
}

impl<'a> Envelope<'a> {
    /// Decodes a message.
    ///
    /// # Errors
    /// [`Error::Malformed`]: too long or too short, another version, a number 0, a weak new key, a part in another than its
    /// one encoding.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
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
        let new_key = kind.has(Kind::NEW_KEY).then(|| VerificationKey::from_bytes(&reader.array()?)).transpose()?;
        Ok(Self {
            kind,
            sender,
            number,
            subject,
            new_key,
            body: reader.rest(),
            header,
            signature: Signature(*signature),
        })
    }

    /// The hash that the signature covers, for the full names of group, sender and subject. It names the message too: two
    /// messages with one hash are the same but for their signatures.
    #[must_use]
    pub fn digest(&self, group: &GroupId, sender: &MemberId, subject: &Subject<MemberId>) -> Digest {
        digest(self.kind, group, sender, self.number, subject, self.new_key.as_ref(), self.body)
    }

    /// Checks the signature over a [`digest`](Self::digest).
    ///
    /// # Errors
    /// [`Error::NotAuthentic`].
    pub fn verify(&self, digest: &Digest, key: &VerificationKey) -> Result<(), Error> {
        key.verify(digest.as_bytes(), &self.signature)
    }
}

/// What a message says it is, before it is decoded.
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
    /// What it is; the bits for the parts below are set by [`Draft::sign`].
    pub kind: Kind,
    /// Who sends it.
    pub sender: MemberId,
    /// Its number.
    pub number: u32,
    /// Whom it names.
    pub subject: Subject<MemberId>,
    /// The sender's next verification key.
    pub new_key: Option<VerificationKey>,
    /// What the protocol puts into it.
    pub body: &'a [u8],
}

impl Draft<'_> {
    /// Version, kind, sender and number as they will stand in the message: what an encrypted body can be bound to.
    #[must_use]
    pub fn header(&self, sender: Handle) -> Vec<u8> {
        let mut out = vec![VERSION, self.kind_byte().0];
        out.extend_from_slice(&sender.0);
        put_varint(&mut out, self.number);
        out
    }

    /// The signed message, and its hash. The handles are of the sender and of whom the subject names.
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
        digest(kind, group, &self.sender, self.number, &self.subject, self.new_key.as_ref(), self.body)
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

/// Signing a hash of fixed length keeps the cost of a signature the same for all messages; the hash serves besides for the
/// detection of equivocation and to bind a welcome to its add.
fn digest(
    kind: Kind,
    group: &GroupId,
    sender: &MemberId,
    number: u32,
    subject: &Subject<MemberId>,
    new_key: Option<&VerificationKey>,
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
    let parts: [&[u8]; 6] = [
        &numbers,
        &group.0,
        &sender.0,
        named.as_ref().map_or(&[], |id| &id.0),
        new_key.map_or(&[], |key| key.as_bytes()),
        body,
    ];
    hash::hash(label::MESSAGE, &parts)
}

/// Blocks that the hash of a message with these parts costs.
#[must_use]
pub fn digest_blocks(names: bool, new_key: bool, body: usize) -> u64 {
    let named = if names { MEMBER_ID_LEN } else { 0 };
    let key = if new_key { VERIFICATION_KEY_LEN } else { 0 };
    hash::blocks_of(label::MESSAGE, &[10, GROUP_ID_LEN, MEMBER_ID_LEN, named, key, body])
}
