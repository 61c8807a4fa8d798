//! One author: how far its messages have been delivered and verified, and how one is verified.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::message::{Checked, EQUIVOCATION_WINDOW, Receipt, Verified};
use super::unverified::{Unverified, Waiting};
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Link, NO_LINK, Subject};

#[derive(Clone)]
pub(super) struct Author {
    pub(super) handle: Handle,
    pub(super) delivered: u32,
    pub(super) delivered_key: [u8; VERIFICATION_KEY_LEN],
    pub(super) verified: u32,
    pub(super) verified_key: VerificationKey,
    /// Verified but not delivered, in order of numbers.
    pub(super) queue: VecDeque<Verified>,
    pub(super) unverified: Unverified,
    pub(super) window: VecDeque<Seen>,
    /// The links after the last message that was delivered, and after the last that was verified.
    pub(super) delivered_link: Link,
    pub(super) verified_link: Link,
    /// What the tagged messages under the next number acknowledge and has not been delivered.
    pub(super) expects: BTreeSet<MessageId>,
    /// A signed message with a later number, which was verified ahead of its turn: only messages with tags can come before
    /// it. Not exported.
    pub(super) ahead: Option<Box<Ahead>>,
    /// Whether something has changed that matters to what waits here and has been looked at. Not exported.
    pub(super) news: bool,
}

#[derive(Clone)]
pub(super) struct Ahead {
    pub(super) waiting: Waiting,
    pub(super) verified: Verified,
}

#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) digest: Digest,
    pub(super) key: [u8; VERIFICATION_KEY_LEN],
}

impl Author {
    /// The author after its message `delivered`, whose next message this key verifies.
    pub(super) fn new(handle: Handle, key: VerificationKey, delivered: u32, link: Link) -> Self {
        Self {
            handle,
            delivered,
            delivered_key: *key.as_bytes(),
            verified: delivered,
            verified_key: key,
            queue: VecDeque::new(),
            unverified: Unverified::default(),
            window: VecDeque::new(),
            delivered_link: link,
            verified_link: link,
            expects: BTreeSet::new(),
            ahead: None,
            news: true,
        }
    }

    /// Verifies the author's next message, unless it has been checked before. Returns it, and whether it agrees on what came
    /// before it under tags.
    pub(super) fn verify(
        &mut self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        candidates: Candidates<'_>,
        checked: Option<Checked>,
    ) -> Result<(Verified, bool), Error> {
        let verified = match checked.filter(|checked| checked.0.is_of(envelope, &self.verified_key)) {
            Some(Checked(verified)) => verified,
            None => self.check(id, envelope, group, candidates)?,
        };
        let agrees = envelope.history.map_or(NO_LINK, |history| history.link) == self.verified_link;
        self.take(&verified);
        Ok((verified, agrees))
    }

    /// Checks the signature of a message under the key of the next one. Changes nothing.
    pub(super) fn check(
        &self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        candidates: Candidates<'_>,
    ) -> Result<Verified, Error> {
        let (subject, digest, new_key) = authenticate(id, envelope, group, candidates, &self.verified_key)?;
        Ok(verified(envelope, subject, digest, new_key, &self.verified_key))
    }

    /// Records that the author's next message is this one.
    pub(super) fn take(&mut self, message: &Verified) {
        self.record(message.number, message.digest, message.key, message.new_key, message.link);
    }

    pub(super) fn record(
        &mut self,
        number: u32,
        digest: Digest,
        key: [u8; VERIFICATION_KEY_LEN],
        new_key: Option<VerificationKey>,
        link: Link,
    ) {
        self.verified_link = link;
        if self.window.len() == EQUIVOCATION_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(Seen { number, digest, key });
        self.verified = number;
        if let Some(new_key) = new_key {
            self.verified_key = new_key;
        }
    }

    /// Judges a message under a number that has been verified before: the same message, another one that the author has
    /// signed too, or a forgery.
    pub(super) fn compare(
        &self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        by_handle: &BTreeMap<Handle, Vec<MemberId>>,
    ) -> Result<Receipt, Error> {
        let Some(seen) = self.window.iter().find(|seen| seen.number == envelope.number) else {
            return Ok(Receipt::Duplicate);
        };
        let Some(candidates) = candidates(envelope, by_handle) else { return Err(Error::NotAuthentic) };
        if candidates.subjects().any(|subject| envelope.digest(group, id, &subject) == seen.digest) {
            return Ok(Receipt::Duplicate);
        }
        let key = VerificationKey::from_bytes(&seen.key)?;
        authenticate(id, envelope, group, candidates, &key).map(|_| Receipt::Equivocation)
    }
}

pub(super) fn verified(
    envelope: &Envelope<'_>,
    subject: Subject<MemberId>,
    digest: Digest,
    new_key: Option<VerificationKey>,
    key: &VerificationKey,
) -> Verified {
    Verified {
        number: envelope.number,
        kind: envelope.kind,
        subject,
        new_key,
        header: envelope.header.to_vec(),
        body: envelope.body.to_vec(),
        digest,
        key: *key.as_bytes(),
        link: NO_LINK,
    }
}

fn authenticate(
    id: &MemberId,
    envelope: &Envelope<'_>,
    group: &GroupId,
    candidates: Candidates<'_>,
    key: &VerificationKey,
) -> Result<(Subject<MemberId>, Digest, Option<VerificationKey>), Error> {
    for subject in candidates.subjects() {
        let digest = envelope.digest(group, id, &subject);
        match envelope.verify(&digest, key) {
            Err(Error::NotAuthentic) => {}
            result => return result.map(|new_key| (subject, digest, new_key)),
        }
    }
    Err(Error::NotAuthentic)
}

/// The users that an envelope may name: every known user with the handle.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    subject: Subject<Handle>,
    ids: &'a [MemberId],
}

impl Candidates<'_> {
    pub(super) fn subjects(self) -> impl Iterator<Item = Subject<MemberId>> {
        let nobody = matches!(self.subject, Subject::None).then_some(Subject::None);
        nobody.into_iter().chain(self.ids.iter().map(move |id| self.subject.map(|_| *id)))
    }
}

/// `None` if the envelope names a user that is not known.
pub(super) fn candidates<'a>(
    envelope: &Envelope<'_>,
    by_handle: &'a BTreeMap<Handle, Vec<MemberId>>,
) -> Option<Candidates<'a>> {
    let ids = match envelope.subject.name() {
        None => &[][..],
        Some(handle) => by_handle.get(&handle)?,
    };
    Some(Candidates { subject: envelope.subject, ids })
}
