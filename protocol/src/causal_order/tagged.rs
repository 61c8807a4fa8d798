//! Acknowledgements that a tag authenticates.

use std::collections::BTreeSet;

use super::tags::Tagged;
use super::{CausalOrder, Receipt};
use crate::crypto::hash::Digest;
use crate::crypto::signature::VerificationKey;
use crate::error::Error;
use crate::id::{GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::envelope::{Envelope, MAX_TAGGED, Subject};

impl CausalOrder {
    /// An order whose messages may have tags.
    #[must_use]
    pub fn with_tags() -> Self {
        Self { tags: Some(Box::default()), ..Self::default() }
    }

    /// Records an acknowledgement of `acknowledged` that this member has sent itself, under a tag. `key` verifies its signed
    /// messages.
    pub fn sent_tagged(
        &mut self,
        me: &MemberId,
        number: u32,
        digest: Digest,
        key: &VerificationKey,
        acknowledged: MessageId,
    ) {
        if let Some(tags) = &mut self.tags {
            tags.mine.push(acknowledged);
        }
        self.record_sent(me, number, digest, key, None);
    }

    /// What this member has acknowledged under tags since its last signed message. Its next one must say so.
    #[must_use]
    pub fn history(&self) -> Vec<(Handle, MessageId)> {
        let mine = self.tags.as_ref().map_or(&[][..], |tags| &tags.mine);
        mine.iter().filter_map(|message| Some((self.handle(&message.author)?, *message))).collect()
    }

    /// Whether this member has acknowledged anything under a tag since its last signed message.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.tags.as_ref().is_some_and(|tags| !tags.mine.is_empty())
    }

    /// Whether this member must sign its acknowledgement of a message by this author: messages have no tags here, or it has sent
    /// [`MAX_TAGGED`] without a signature, or two known users share the author's handle, so that its next signed message would be ambiguous.
    #[must_use]
    pub fn must_sign(&self, author: &MemberId) -> bool {
        let full = self.tags.as_ref().is_none_or(|tags| tags.mine.len() >= MAX_TAGGED);
        full || self.handle(author).is_none_or(|handle| self.names.with(&handle).len() > 1)
    }

    /// Authors that have called something signed an acknowledgement, since the last call.
    pub fn take_contradicting(&mut self) -> Vec<MemberId> {
        self.tags.as_mut().map(|tags| core::mem::take(&mut tags.contradicting)).unwrap_or_default()
    }

    /// The number of an author's last message that has been delivered, or that the protocol has taken by its tag.
    #[must_use]
    pub fn latest(&self, id: &MemberId) -> Option<u32> {
        self.authors.get(id).map(|author| author.delivered + author.taken)
    }

    /// What a message with a tag is, if that can be checked at once: it is its author's next message, and what it acknowledges
    /// has been delivered. The caller checks it, and says so if it takes it ([`taken`](Self::taken)).
    #[must_use]
    pub fn arrives(&self, id: &MemberId, group: &GroupId, envelope: &Envelope<'_>) -> Option<Tagged> {
        let tag = envelope.tag().filter(|_| self.tags.is_some())?;
        let author = self.authors.get(id).filter(|author| author.handle == envelope.sender)?;
        if author.next_tagged() != Some(envelope.number) {
            return None;
        }
        let Subject::Acknowledged(handle, number) = envelope.subject else { return None };
        // Where two users share the handle, it waits like the others.
        let [other] = self.names.with(&handle) else { return None };
        let acknowledged = MessageId { author: *other, number };
        self.has_delivered(other, number).then(|| Tagged::new((envelope.number, tag), id, acknowledged, group))
    }

    /// Records that the protocol has taken an author's next message by its tag. It is delivered again with the author's next
    /// signed message, or something else is in its place.
    pub fn taken(&mut self, id: &MemberId) {
        if let Some(author) = self.authors.get_mut(id) {
            author.taken += 1;
        }
        self.find_tagged(id);
    }

    /// An author, and what may be its next message. The caller says so if it takes one ([`taken`](Self::taken)). The others are
    /// forgotten: if nobody here can check a message, its author's next signed message says what it was.
    pub fn due(&mut self, group: &GroupId) -> Option<(MemberId, Vec<Tagged>)> {
        loop {
            let id = self.tags.as_mut()?.due.pop_first()?;
            let found = self.take_due(&id, group).unwrap_or_default();
            if !found.is_empty() {
                return Some((id, found));
            }
        }
    }

    /// Takes what may be an author's next message from what waits.
    fn take_due(&mut self, id: &MemberId, group: &GroupId) -> Option<Vec<Tagged>> {
        let author = self.authors.get(id)?;
        let number = author.next_tagged()?;
        let waiting: Vec<_> = author.unverified.tagged_under(number).copied().collect();
        let mut found = Vec::new();
        for waiting in waiting {
            let (handle, acknowledged) = waiting.acknowledged;
            let before = found.len();
            let delivered = self.delivered_of(handle, acknowledged);
            found.extend(delivered.map(|it| Tagged::new((number, waiting.tag), id, it, group)));
            if found.len() > before {
                self.authors.get_mut(id)?.unverified.tagged.remove(&waiting);
            }
        }
        Some(found)
    }

    /// Receives a message with a tag that does not [arrive](Self::arrives) in time to be checked.
    pub(super) fn receive_tagged(
        &mut self,
        id: &MemberId,
        group: &GroupId,
        envelope: &Envelope<'_>,
    ) -> Result<Receipt, Error> {
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        if envelope.number <= author.reached() {
            let names = |name: &Handle| self.names.with(name).iter();
            return author.compare_tagged(id, group, envelope, names);
        }
        let receipt = author.unverified.wait(envelope, &mut self.waiting_bytes)?;
        if author.next_tagged() == Some(envelope.number) {
            self.find_tagged(id);
        }
        Ok(receipt)
    }

    /// Forgets the messages with tags whose turn is over, and finds out what those wait for whose turn it is.
    pub(super) fn find_tagged(&mut self, id: &MemberId) {
        let (Some(author), Some(tags)) = (self.authors.get_mut(id), &mut self.tags) else { return };
        author.unverified.forget_tagged(author.reached());
        for (handle, number) in core::mem::take(&mut author.expects) {
            tags.expected.remove(&(handle, number, *id));
        }
        let Some(number) = author.next_tagged().filter(|_| !author.unverified.tagged.is_empty()) else { return };
        let under = author.unverified.tagged_under(number).map(|tagged| tagged.acknowledged);
        let (delivered, expects): (BTreeSet<_>, BTreeSet<_>) = under
            .collect::<BTreeSet<_>>()
            .into_iter()
            .partition(|(handle, number)| self.delivered_of(*handle, *number).next().is_some());
        let (Some(author), Some(tags)) = (self.authors.get_mut(id), &mut self.tags) else { return };
        if !delivered.is_empty() {
            tags.due.insert(*id);
        }
        tags.expected.extend(expects.iter().map(|(handle, number)| (*handle, *number, *id)));
        author.expects = expects;
    }

    /// Finds the authors whose messages with tags have waited for messages of another up to this number.
    pub(super) fn wake_tagged(&mut self, author: &MemberId, number: u32) {
        let Some(tags) = self.tags.as_mut().filter(|tags| !tags.expected.is_empty()) else { return };
        let Some(handle) = self.authors.get(author).map(|author| author.handle) else { return };
        let (first, last) = (MemberId([0; MEMBER_ID_LEN]), MemberId([u8::MAX; MEMBER_ID_LEN]));
        let woken: Vec<_> = tags.expected.range((handle, 0, first)..=(handle, number, last)).copied().collect();
        for woken in woken {
            tags.expected.remove(&woken);
            tags.due.insert(woken.2);
            if let Some(author) = self.authors.get_mut(&woken.2) {
                author.expects.remove(&(woken.0, woken.1));
            }
        }
    }
}
