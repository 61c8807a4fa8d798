//! The envelope around each message, and its signature.
//!
//! ```text
//! version 1 | kind 1 | sender 8 | number 1..5 | [author 8 | number 1..5] | [member 8] | [new key 32] | [history 17..] | body | signature 64
//! ```
//!
//! The kind byte says which of the bracketed parts are there. The signed text contains group, sender and members by
//! their full ids; the wire carries only handles.
//!
//! An acknowledgement can have a *tag* of 16 bytes in the place of the signature, and no body: HMAC of what a signature
//! would cover, under a secret that the protocol chooses. It says that somebody who knows the secret has sent it. The next
//! signed message of its author says which messages those were: by a hash, and if it must by the digest of each
//! ([`History`]).

use subtle::ConstantTimeEq as _;

use crate::crypto::count;
use crate::crypto::hash::{self, Digest};
use crate::crypto::kdf;
use crate::crypto::label;
use crate::crypto::secret::Secret;
use crate::crypto::signature::{Signature, SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GROUP_ID_LEN, GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::codec::{MAX_MESSAGE_LEN, Reader, put_len, put_varint, varint_len};

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

    fn without_history(self) -> Self {
        Self(self.0 & !Self::HISTORY)
    }

    fn has(self, part: u8) -> bool {
        self.0 & part != 0
    }
}

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Bytes of a link or a short digest in a [`History`].
pub const LINK_LEN: usize = 16;

/// A hash of the messages that an author has sent under tags since its last signed message, one after the other:
/// [`NO_LINK`] if there are none.
pub type Link = [u8; LINK_LEN];

/// The link of an author that has sent nothing under tags since its last signed message.
pub const NO_LINK: Link = [0; LINK_LEN];

/// The link after one more message with this digest. Counts the blocks of one hash.
#[must_use]
pub fn next_link(link: &Link, digest: &Digest) -> Link {
    short(&hash::hash(label::HISTORY, &[link, digest.as_bytes()]))
}

/// The number of blocks that are hashed for one more link.
#[must_use]
pub fn link_blocks() -> u64 {
    hash::blocks_of(label::HISTORY, &[LINK_LEN, hash::DIGEST_LEN])
}

/// The first half of a digest, which names a message in a [`History`].
#[must_use]
pub fn short(digest: &Digest) -> [u8; LINK_LEN] {
    let mut short = [0; LINK_LEN];
    short.copy_from_slice(&digest.0[..LINK_LEN]);
    short
}

/// What an author has sent under tags since its last signed message. On the wire: link 16, count 1..5, short digests 16
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History<'a> {
    /// The hash of all of them.
    pub link: Link,
    /// The short digest of each of them, or nothing, where nobody needs it.
    pub digests: &'a [[u8; LINK_LEN]],
}

impl<'a> History<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let link = reader.array()?;
        let count = reader.count(LINK_LEN)?;
        let (digests, _) = reader.bytes(count * LINK_LEN)?.as_chunks();
        Ok(Self { link, digests })
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.link);
        put_len(out, self.digests.len());
        self.digests.iter().for_each(|digest| out.extend_from_slice(digest));
    }

    /// Bytes in a message.
    #[must_use]
    pub fn len(digests: usize) -> usize {
        LINK_LEN + varint_len(digests as u32) + digests * LINK_LEN
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
    /// What the author has sent under tags.
    pub history: Option<History<'a>>,
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
            (true, false) => Subject::Acknowledged(Handle(reader.array()?), positive(&mut reader)?),
            (false, true) => Subject::Member(Handle(reader.array()?)),
            (false, false) => Subject::None,
        };
        let new_key = kind.has(Kind::NEW_KEY).then(|| reader.array()).transpose()?;
        let history = kind.has(Kind::HISTORY).then(|| History::decode(&mut reader)).transpose()?;
        let body = reader.rest();
        if tagged && !body.is_empty() {
            return Err(Error::Malformed);
        }
        let kind = kind.without_history();
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

    /// Whether the message has the tag of this [`digest`](Self::digest) under a secret. Counts one call of HMAC.
    #[must_use]
    pub fn has_tag_of(&self, digest: &Digest, secret: &Secret) -> bool {
        match &self.seal {
            Seal::Tag(theirs) => tag(digest, secret).ct_eq(theirs).into(),
            Seal::Signature(_) => false,
        }
    }

    /// The hash that the signature covers, given the full ids of group, sender and subject. It identifies the message
    /// too: two messages with the same hash differ only in their signatures.
    #[must_use]
    pub fn digest(&self, group: &GroupId, sender: &MemberId, subject: &Subject<MemberId>) -> Digest {
        let kind = Kind(self.kind.0 | if self.history.is_some() { Kind::HISTORY } else { 0 });
        digest(kind, group, sender, self.number, subject, self.new_key.as_ref(), self.history, self.body)
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
        self.header_after(sender, None)
    }

    /// The same after messages with tags.
    #[must_use]
    pub fn header_after(&self, sender: Handle, history: Option<&History<'_>>) -> Vec<u8> {
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
        self.sign_after(group, (sender, subject), None, key)
    }

    /// The same after messages with tags, of which the message says this.
    #[must_use]
    pub fn sign_after(
        &self,
        group: &GroupId,
        handles: (Handle, Option<Handle>),
        history: Option<&History<'_>>,
        key: &SigningKey,
    ) -> (Vec<u8>, Digest) {
        let digest = self.digest(group, history);
        let mut out = self.unsealed(handles, history);
        out.extend_from_slice(&key.sign(digest.as_bytes()).0);
        (out, digest)
    }

    /// The message with a tag under this secret, and its hash. It must be an acknowledgement without body and new key, of
    /// the kind [`Kind::TAGGED`].
    #[must_use]
    pub fn tag(&self, group: &GroupId, handles: (Handle, Option<Handle>), secret: &Secret) -> (Vec<u8>, Digest) {
        let digest = self.digest(group, None);
        let mut out = self.unsealed(handles, None);
        out.extend_from_slice(&tag(&digest, secret));
        (out, digest)
    }

    fn unsealed(&self, (sender, subject): (Handle, Option<Handle>), history: Option<&History<'_>>) -> Vec<u8> {
        let mut out = self.header_after(sender, history);
        if let Some(handle) = subject {
            out.extend_from_slice(&handle.0);
        }
        if let Subject::Acknowledged(_, number) = self.subject {
            put_varint(&mut out, number);
        }
        if let Some(new_key) = &self.new_key {
            out.extend_from_slice(new_key.as_bytes());
        }
        if let Some(history) = history {
            history.put(&mut out);
        }
        out.extend_from_slice(self.body);
        out
    }

    fn digest(&self, group: &GroupId, history: Option<&History<'_>>) -> Digest {
        let kind = self.kind_byte(history);
        let new_key = self.new_key.as_ref().map(VerificationKey::as_bytes);
        digest(kind, group, &self.sender, self.number, &self.subject, new_key, history.copied(), self.body)
    }

    fn kind_byte(&self, history: Option<&History<'_>>) -> Kind {
        let subject = match self.subject {
            Subject::None => 0,
            Subject::Acknowledged(..) => Kind::ACKNOWLEDGES,
            Subject::Member(_) => Kind::NAMES,
        };
        let new_key = if self.new_key.is_some() { Kind::NEW_KEY } else { 0 };
        Kind(self.kind.0 | subject | new_key | if history.is_some() { Kind::HISTORY } else { 0 })
    }
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
    history: Option<History<'_>>,
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
    match &history {
        None => hash::hash(label::MESSAGE, &[&numbers, &group.0, &sender.0, named, new_key, body]),
        Some(History { link, digests }) => {
            let parts = [&numbers, &group.0[..], &sender.0, named, new_key, link, digests.as_flattened(), body];
            hash::hash(label::MESSAGE, &parts)
        }
    }
}

/// The number of blocks that are hashed for a message with these parts.
#[must_use]
pub fn digest_blocks(names: bool, new_key: bool, body: usize) -> u64 {
    digest_blocks_after(names, new_key, None, body)
}

/// The same after messages with tags. `history`: how many digests it has, if there is one.
#[must_use]
pub fn digest_blocks_after(names: bool, new_key: bool, history: Option<usize>, body: usize) -> u64 {
    let named = if names { MEMBER_ID_LEN } else { 0 };
    let key = if new_key { VERIFICATION_KEY_LEN } else { 0 };
    let before = [10, GROUP_ID_LEN, MEMBER_ID_LEN, named, key];
    let history: Vec<usize> = history.into_iter().flat_map(|digests| [LINK_LEN, digests * LINK_LEN]).collect();
    hash::blocks_of(label::MESSAGE, &[&before[..], &history, &[body]].concat())
}
