//! What becomes of a message, and how much may wait.

use super::names::Reading;
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::id::{MemberId, MessageId};
use crate::wire::envelope::{Envelope, Kind, Subject};

/// The number of messages that may wait for each author.
pub const MAX_WAITING_PER_AUTHOR: usize = 1024;
/// The number of bytes that may wait, over all authors. A message that is ready when it is received needs no room.
pub const MAX_WAITING_BYTES: usize = 16 << 20;
/// The number of unknown authors whose messages may wait.
pub const MAX_STRANGERS: usize = 1024;
/// The number of last messages of each author for which a second message under the same number is noticed. Under an
/// older number it counts as a duplicate.
pub const EQUIVOCATION_WINDOW: usize = 8;

/// The room that an acknowledgement takes which a signed message names: more than the ten bytes there.
pub(super) const NAMED_BYTES: usize = 80;

/// How many messages are checked together at most: those of a larger batch in parts, of which a forgery spoils only its own.
pub const MAX_TOGETHER: usize = 256;

/// A message whose signature is valid under the key that its author has before it.
pub struct Checked {
    pub(super) message: Verified,
    /// The hash that is signed.
    pub(super) digest: Digest,
    /// What its author has acknowledged under tags since its last signed message.
    pub(super) history: Vec<MessageId>,
}

impl Checked {
    pub(super) fn new(
        envelope: &Envelope<'_>,
        reading: Reading,
        digest: Digest,
        new_key: Option<VerificationKey>,
        key: &VerificationKey,
    ) -> Self {
        let message = Verified {
            number: envelope.number,
            kind: envelope.kind,
            subject: reading.subject,
            new_key,
            header: envelope.header.to_vec(),
            body: envelope.body.to_vec(),
            key: *key.as_bytes(),
        };
        Self { message, digest, history: reading.history }
    }

    /// Whether it can be this message, verified under this key.
    pub(super) fn is_of(&self, envelope: &Envelope<'_>, key: &VerificationKey) -> bool {
        (self.message.number, &self.message.key) == (envelope.number, key.as_bytes())
    }
}

/// A message that has been verified: by its signature, or an acknowledgement that a signed message names.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The message's place among its author's messages, from 1.
    pub number: u32,
    /// What the message is.
    pub kind: Kind,
    /// The user that the envelope names.
    pub subject: Subject<MemberId>,
    /// The author's verification key from its next message on, if it changes.
    pub new_key: Option<VerificationKey>,
    /// Version, kind, sender and number, as received. Empty if it has a tag.
    pub header: Vec<u8>,
    /// The protocol's part of the message.
    pub body: Vec<u8>,
    /// The verification key of its author for this message.
    pub key: [u8; VERIFICATION_KEY_LEN],
}

impl Verified {
    /// The room that it takes while it waits.
    pub(super) fn weight(&self) -> usize {
        if self.kind == Kind::TAGGED { NAMED_BYTES } else { self.body.len() }
    }
}

/// What happens to a message when it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is verified: [`CausalOrder::deliver`](super::CausalOrder::deliver) returns it once it is ready.
    Verified,
    /// It cannot be verified yet.
    Waits,
    /// It has been received before, or is too old for that to be known.
    Duplicate,
    /// Its author has signed another message under the same number.
    Equivocation,
}
