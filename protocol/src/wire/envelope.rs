//! The envelope around each message, and its signature.
//!
//! ```text
//! version 1 | kind 1 | sender 8 | number 1..5 | [author 8 | number 1..5] | [member 8] | [new key 32] | [history 10..] | body | signature 64
//! ```
//!
//! The kind byte says which of the bracketed parts are there. The signed text contains group, sender and members by
//! their full ids; the wire carries only handles.
//!
//! An acknowledgement can have a *tag* of 16 bytes in the place of the signature, and no body: HMAC of what a signature
//! would cover, under a secret that the protocol chooses. It says that somebody who knows the secret has sent it. The next
//! signed message of its author says what the author has acknowledged in this way ([`History`]).

use subtle::ConstantTimeEq as _;

use crate::crypto::count;
use crate::crypto::hash::{self, Digest};
use crate::crypto::kdf;
use crate::crypto::label;
use crate::crypto::secret::Secret;
use crate::crypto::signature::{Signature, SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GROUP_ID_LEN, GroupId, HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::codec::{MAX_MESSAGE_LEN, Reader, put_len, put_varint};

/// Version of the wire format.
pub const VERSION: u8 = 1;

/// What a message is: four bits that the protocol chooses, and which parts the envelope has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub u8);

impl Kind {
    /// The envelope names the message that it acknowledges.
    pub const ACKNOWLEDGES: u8 = 0x80;
    /// The envelope carries a new verification key, which is valid from the author's next message on.
    pub const NEW_KEY: u8 = 0x40;
    /// The envelope names a member.
    pub const NAMES: u8 = 0x20;
    /// The envelope says what its author has sent under tags since its last signed message.
    pub const HISTORY: u8 = 0x10;
    /// An acknowledgement with a tag: no protocol chooses these four bits for another message.
    pub const TAGGED: Self = Self(0x0f | Self::ACKNOWLEDGES);

    fn with_history(self, history: bool) -> Self {
        Self(self.0 | if history { Self::HISTORY } else { 0 })
    }

    fn without_history(self) -> Self {
        Self(self.0 & !Self::HISTORY)
    }

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// The number of acknowledgements that an author may send under tags without a signed message between them.
pub const MAX_TAGGED: usize = 64;
/// Bytes of an acknowledged message in the signed text.
const ACKNOWLEDGED_LEN: usize = MEMBER_ID_LEN + 4;

/// What an author has acknowledged under tags since its last signed message: from 1 to [`MAX_TAGGED`] messages, or none if
/// the part is not there. The acknowledgements have the numbers just before the message that says so. On the wire: count
/// 1, then for each the acknowledged message, author 8, number 1..5.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'a> {
    count: u32,
    messages: &'a [u8],
}

impl<'a> History<'a> {
    /// The history in a message with this number.
    fn decode(number: u32, reader: &mut Reader<'a>) -> Result<Self, Error> {
        let count = reader.count(HANDLE_LEN + 1)?;
        if !(1..=MAX_TAGGED).contains(&count) || count >= number as usize {
            return Err(Error::Malformed);
        }
        let messages = reader.remaining();
        for _ in 0..count {
            acknowledged(reader)?;
        }
        let messages = &messages[..messages.len() - reader.remaining().len()];
        Ok(Self { count: count as u32, messages })
    }

    /// The number of acknowledgements.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether the author has sent no acknowledgement under a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The acknowledged messages, in the order of the acknowledgements.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, u32)> + use<'a> {
        let mut reader = Reader::new(self.messages);
        core::iter::from_fn(move || acknowledged(&mut reader).ok())
    }
}

fn acknowledged(reader: &mut Reader<'_>) -> Result<(Handle, u32), Error> {
    Ok((Handle(reader.array()?), positive(reader)?))
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

impl From<MessageId> for Subject<MemberId> {
    /// The subject of an acknowledgement of this message.
    fn from(MessageId { author, number }: MessageId) -> Self {
        Self::Acknowledged(author, number)
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
    /// What the message is, and which parts the envelope has, [`Kind::HISTORY`] left out.
    pub kind: Kind,
    /// The user that claims to have sent the message.
    pub sender: Handle,
    /// The message's place among its sender's messages, from 1.
    pub number: u32,
    /// The user that the envelope names.
    pub subject: Subject<Handle>,
    /// The key under which the sender's later messages are signed, if it changes. [`verify`](Self::verify) checks it.
    pub new_key: Option<[u8; VERIFICATION_KEY_LEN]>,
    /// What the author has acknowledged under tags.
    pub history: History<'a>,
    /// The protocol's part of the message.
    pub body: &'a [u8],
    /// Version, kind, sender and number, as received.
    pub header: &'a [u8],
    /// The whole message.
    pub bytes: &'a [u8],
    seal: Seal,
}

/// What authenticates a message.
#[derive(Clone, Copy, Debug)]
enum Seal {
    Signature(Signature),
    Tag([u8; TAG_LEN]),
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
        let tagged = bytes.get(1) == Some(&Kind::TAGGED.0);
        let split = if tagged { Self::split_tag(bytes) } else { Self::split_signature(bytes) };
        let (signed, seal) = split.ok_or(Error::Malformed)?;
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
            (true, false) => {
                let (author, number) = acknowledged(&mut reader)?;
                Subject::Acknowledged(author, number)
            }
            (false, true) => Subject::Member(Handle(reader.array()?)),
            (false, false) => Subject::None,
        };
        let new_key = kind.has(Kind::NEW_KEY).then(|| reader.array()).transpose()?;
        let history = match kind.has(Kind::HISTORY) {
            true => History::decode(number, &mut reader)?,
            false => History::default(),
        };
        let body = reader.rest();
        let kind = kind.without_history();
        // Only a tag makes a message one of this kind.
        if tagged && !body.is_empty() || !tagged && kind == Kind::TAGGED {
            return Err(Error::Malformed);
        }
        Ok(Self { kind, sender, number, subject, new_key, history, body, header, bytes, seal })
    }

    fn split_tag(bytes: &[u8]) -> Option<(&[u8], Seal)> {
        bytes.split_last_chunk().map(|(tagged, tag)| (tagged, Seal::Tag(*tag)))
    }

    fn split_signature(bytes: &[u8]) -> Option<(&[u8], Seal)> {
        bytes.split_last_chunk().map(|(signed, signature)| (signed, Seal::Signature(Signature(*signature))))
    }

    /// Whether a tag authenticates the message instead of a signature.
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        matches!(self.seal, Seal::Tag(_))
    }

    /// The signature; `None` if a tag stands in its place.
    #[must_use]
    pub fn signature(&self) -> Option<Signature> {
        match self.seal {
            Seal::Signature(signature) => Some(signature),
            Seal::Tag(_) => None,
        }
    }

    /// The tag; `None` if there is a signature.
    #[must_use]
    pub fn tag(&self) -> Option<[u8; TAG_LEN]> {
        match self.seal {
            Seal::Tag(tag) => Some(tag),
            Seal::Signature(_) => None,
        }
    }

    /// The number of its author's last signed message before it, as the message says. 0 if there is none.
    #[must_use]
    pub fn follows(&self) -> u32 {
        self.number - 1 - self.history.len()
    }

    /// The users that the message names, the one that the envelope names first.
    pub fn names(&self) -> impl Iterator<Item = Handle> + use<'a> {
        self.subject.name().into_iter().chain(self.history.iter().map(|(author, _)| author))
    }

    /// Whether the message has the tag of this [`digest`](Self::digest) under a secret. Counts one call of HMAC.
    #[must_use]
    pub fn has_tag_of(&self, digest: &Digest, secret: &Secret) -> bool {
        self.tag().is_some_and(|theirs| is_tag_of(&theirs, digest, secret))
    }

    /// The hash that the signature covers, given the full ids of group, sender and subject. It identifies the message
    /// too: two messages with the same hash differ only in their signatures.
    #[must_use]
    pub fn digest(&self, group: &GroupId, sender: &MemberId, subject: &Subject<MemberId>) -> Digest {
        self.digest_after(group, sender, subject, &[])
    }

    /// The same for a message with a [`History`], given the full ids in it too.
    #[must_use]
    pub fn digest_after(
        &self,
        group: &GroupId,
        sender: &MemberId,
        subject: &Subject<MemberId>,
        history: &[MessageId],
    ) -> Digest {
        let kind = self.kind.with_history(!self.history.is_empty());
        digest(kind, group, sender, self.number, subject, self.new_key.as_ref(), history, self.body)
    }

    /// Checks the signature over a [`digest`](Self::digest). Returns the new key, if there is one.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the new key is weak or in no valid encoding, and [`Error::NotAuthentic`] if the signature
    /// is not of this digest under this key, or there is a tag instead.
    pub fn verify(&self, digest: &Digest, key: &VerificationKey) -> Result<Option<VerificationKey>, Error> {
        let new_key = self.new_key.as_ref().map(VerificationKey::from_bytes).transpose()?;
        match &self.seal {
            Seal::Signature(signature) => key.verify(digest.as_bytes(), signature).map(|()| new_key),
            Seal::Tag(_) => Err(Error::NotAuthentic),
        }
    }
}

/// The kind that an encoded message claims; `None` if the message is too short.
#[must_use]
pub fn kind(bytes: &[u8]) -> Option<Kind> {
    bytes.get(1).copied().map(|kind| Kind(kind).without_history())
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
        self.header_after(sender, false)
    }

    /// The same; `history` says whether the message will have a [`History`].
    #[must_use]
    pub fn header_after(&self, sender: Handle, history: bool) -> Vec<u8> {
        let mut out = vec![VERSION, self.kind_byte(history).0];
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
        self.sign_after(group, (sender, subject), &[], key)
    }

    /// The same after acknowledgements with tags, of these messages: [`MAX_TAGGED`] at most. The handles are those of
    /// their authors.
    #[must_use]
    pub fn sign_after(
        &self,
        group: &GroupId,
        handles: (Handle, Option<Handle>),
        history: &[(Handle, MessageId)],
        key: &SigningKey,
    ) -> (Vec<u8>, Digest) {
        let messages: Vec<MessageId> = history.iter().map(|(_, message)| *message).collect();
        let digest = self.digest(group, &messages);
        let mut out = self.unsealed(handles, history);
        out.extend_from_slice(&key.sign(digest.as_bytes()).0);
        (out, digest)
    }

    /// The message with a tag under this secret, and its hash. It must be an acknowledgement without body and new key, of
    /// the kind [`Kind::TAGGED`].
    #[must_use]
    pub fn tag(&self, group: &GroupId, handles: (Handle, Option<Handle>), secret: &Secret) -> (Vec<u8>, Digest) {
        let digest = self.digest(group, &[]);
        let mut out = self.unsealed(handles, &[]);
        out.extend_from_slice(&tag(&digest, secret));
        (out, digest)
    }

    fn unsealed(&self, (sender, subject): (Handle, Option<Handle>), history: &[(Handle, MessageId)]) -> Vec<u8> {
        let mut out = self.header_after(sender, !history.is_empty());
        if let Some(handle) = subject {
            out.extend_from_slice(&handle.0);
        }
        if let Subject::Acknowledged(_, number) = self.subject {
            put_varint(&mut out, number);
        }
        if let Some(new_key) = &self.new_key {
            out.extend_from_slice(new_key.as_bytes());
        }
        if !history.is_empty() {
            put_len(&mut out, history.len());
        }
        for (author, message) in history {
            out.extend_from_slice(&author.0);
            put_varint(&mut out, message.number);
        }
        out.extend_from_slice(self.body);
        out
    }

    fn digest(&self, group: &GroupId, history: &[MessageId]) -> Digest {
        let kind = self.kind_byte(!history.is_empty());
        let new_key = self.new_key.as_ref().map(VerificationKey::as_bytes);
        digest(kind, group, &self.sender, self.number, &self.subject, new_key, history, self.body)
    }

    fn kind_byte(&self, history: bool) -> Kind {
        let subject = match self.subject {
            Subject::None => 0,
            Subject::Acknowledged(..) => Kind::ACKNOWLEDGES,
            Subject::Member(_) => Kind::NAMES,
        };
        let new_key = if self.new_key.is_some() { Kind::NEW_KEY } else { 0 };
        Kind(self.kind.0 | subject | new_key).with_history(history)
    }
}

/// The hash of an acknowledgement that an author sends under a tag.
#[must_use]
pub fn tagged_digest(group: &GroupId, sender: &MemberId, number: u32, acknowledged: MessageId) -> Digest {
    digest(Kind::TAGGED, group, sender, number, &acknowledged.into(), None, &[], &[])
}

/// Whether a tag is that of a message with this digest under a secret. Counts one call of HMAC.
#[must_use]
pub fn is_tag_of(theirs: &[u8; TAG_LEN], digest: &Digest, secret: &Secret) -> bool {
    tag(digest, secret).ct_eq(theirs).into()
}

/// HMAC of a label and the digest, cut to the length of a tag.
fn tag(digest: &Digest, secret: &Secret) -> [u8; TAG_LEN] {
    let mut text = [0; label::TAG.len() + hash::DIGEST_LEN];
    let (prefix, rest) = text.split_at_mut(label::TAG.len());
    prefix.copy_from_slice(label::TAG);
    rest.copy_from_slice(digest.as_bytes());
    let mut tag = [0; TAG_LEN];
    tag.copy_from_slice(&kdf::hmac(secret, &text).expose()[..TAG_LEN]);
    tag
}

/// Signing a hash of fixed length keeps the cost of a signature the same for all messages. The hash also serves to
/// detect equivocation, and to bind a welcome to its add.
#[expect(clippy::too_many_arguments, reason = "the parts of a message")]
fn digest(
    kind: Kind,
    group: &GroupId,
    sender: &MemberId,
    number: u32,
    subject: &Subject<MemberId>,
    new_key: Option<&[u8; VERIFICATION_KEY_LEN]>,
    history: &[MessageId],
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
    let (named, new_key) = (named.as_ref().map_or(&[][..], |id| &id.0), new_key.map_or(&[][..], |key| key));
    if history.is_empty() {
        return hash::hash(label::MESSAGE, &[&numbers, &group.0, &sender.0, named, new_key, body]);
    }
    let mut acknowledged = Vec::with_capacity(history.len() * ACKNOWLEDGED_LEN);
    for MessageId { author, number } in history {
        acknowledged.extend_from_slice(&author.0);
        acknowledged.extend_from_slice(&number.to_be_bytes());
    }
    hash::hash(label::MESSAGE, &[&numbers, &group.0, &sender.0, named, new_key, &acknowledged, body])
}

/// The number of blocks that are hashed for a message with these parts.
#[must_use]
pub fn digest_blocks(names: bool, new_key: bool, body: usize) -> u64 {
    digest_blocks_after(names, new_key, 0, body)
}

/// The same for a message with a [`History`] of this number of acknowledgements.
#[must_use]
pub fn digest_blocks_after(names: bool, new_key: bool, history: usize, body: usize) -> u64 {
    let named = if names { MEMBER_ID_LEN } else { 0 };
    let key = if new_key { VERIFICATION_KEY_LEN } else { 0 };
    let before = [10, GROUP_ID_LEN, MEMBER_ID_LEN, named, key];
    let history: &[usize] = if history > 0 { &[history * ACKNOWLEDGED_LEN] } else { &[] };
    hash::blocks_of(label::MESSAGE, &[&before[..], history, &[body]].concat())
}
