//! One author: how far its messages have been delivered and verified, and how one is verified.

use std::collections::{BTreeMap, VecDeque};

use super::message::{EQUIVOCATION_WINDOW, Receipt, Verified};
use super::unverified::Unverified;
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId};
use crate::wire::envelope::{Envelope, Subject};

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
}

#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) digest: Digest,
    pub(super) key: [u8; VERIFICATION_KEY_LEN],
}

impl Author {
    /// Verifies the author's next message.
    pub(super) fn verify(
        &mut self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        candidates: Candidates<'_>,
    ) -> Result<Verified, Error> {
        let (subject, digest, new_key) = authenticate(id, envelope, group, candidates, &self.verified_key)?;
        let verified = Verified {
            number: envelope.number,
            kind: envelope.kind,
            subject,
            new_key,
            header: envelope.header.to_vec(),
            body: envelope.body.to_vec(),
            digest,
            key: *self.verified_key.as_bytes(),
        };
        self.record(envelope.number, digest, verified.key, new_key);
        Ok(verified)
    }

    pub(super) fn record(
        &mut self,
        number: u32,
        digest: Digest,
        key: [u8; VERIFICATION_KEY_LEN],
        new_key: Option<VerificationKey>,
    ) {
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
    fn subjects(self) -> impl Iterator<Item = Subject<MemberId>> {
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
