//! What is known of messages with tags.

use std::collections::BTreeSet;

use super::unverified::Waiting;
use crate::crypto::hash::Digest;
use crate::crypto::secret::Secret;
use crate::id::{MemberId, MessageId};
use crate::wire::envelope::{Envelope, LINK_LEN};

/// What an order keeps of messages with tags, besides those that wait.
#[derive(Clone, Default)]
pub(super) struct Tags {
    /// Authors with messages under tags that may be settled now.
    pub(super) due: BTreeSet<MemberId>,
    /// Authors with acknowledgements under tags, by what they acknowledge and has not been delivered.
    pub(super) expected: BTreeSet<(MessageId, MemberId)>,
    /// The short digests of what this member has sent under tags since its last signed message.
    pub(super) mine: Vec<[u8; LINK_LEN]>,
    /// Authors that have said something else of their messages under tags than what was taken.
    pub(super) unequal: Vec<MemberId>,
}

impl Tags {
    pub(super) fn forget(&mut self, expected: MessageId, by: &MemberId) {
        self.expected.remove(&(expected, *by));
    }
}

/// An acknowledgement with a tag that its author may have sent as its next message. What it acknowledges has been
/// delivered.
#[derive(Clone)]
pub struct Tagged {
    /// What it acknowledges.
    pub acknowledged: MessageId,
    pub(super) digest: Digest,
    pub(super) waiting: Waiting,
}

/// The same for one that has just arrived.
pub struct Arrival {
    /// What it acknowledges.
    pub acknowledged: MessageId,
    /// What its tag must be of.
    pub digest: Digest,
}

impl Tagged {
    /// Whether it has the tag of its author under this secret. Counts one call of HMAC.
    #[must_use]
    pub fn is_authentic(&self, secret: &Secret) -> bool {
        Envelope::decode(&self.waiting.bytes).is_ok_and(|envelope| envelope.has_tag_of(&self.digest, secret))
    }
}
