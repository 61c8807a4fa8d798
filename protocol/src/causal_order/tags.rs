//! What is known of acknowledgements with tags.

use std::collections::BTreeSet;

use crate::crypto::hash::Digest;
use crate::crypto::secret::Secret;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{TAG_LEN, is_tag_of, tagged_digest};

/// What an order keeps of acknowledgements with tags, besides those that wait.
#[derive(Clone, Default)]
pub(super) struct Tags {
    /// Authors whose next message may be one that waits, with a tag that can be checked now.
    pub(super) due: BTreeSet<MemberId>,
    /// The others under whose next number tagged messages wait, by what these acknowledge and has not been delivered.
    pub(super) expected: BTreeSet<(Handle, u32, MemberId)>,
    /// What this member has acknowledged under tags since its last signed message.
    pub(super) mine: Vec<MessageId>,
    /// Authors that have called something signed an acknowledgement.
    pub(super) contradicting: Vec<MemberId>,
}

/// An acknowledgement with a tag that may be its author's next message. What it acknowledges has been delivered, so the
/// protocol can check the tag.
#[derive(Clone)]
pub struct Tagged {
    /// What it acknowledges.
    pub acknowledged: MessageId,
    digest: Digest,
    tag: [u8; TAG_LEN],
}

impl Tagged {
    pub(super) fn new(
        (number, tag): (u32, [u8; TAG_LEN]),
        author: &MemberId,
        acknowledged: MessageId,
        group: &GroupId,
    ) -> Self {
        Self { acknowledged, digest: tagged_digest(group, author, number, acknowledged), tag }
    }

    /// Whether it has the tag of its author under this secret. Counts one call of HMAC.
    #[must_use]
    pub fn is_authentic(&self, secret: &Secret) -> bool {
        is_tag_of(&self.tag, &self.digest, secret)
    }
}
