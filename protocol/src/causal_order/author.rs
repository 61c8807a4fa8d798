//! One author: how far its messages have been delivered and verified, and how one is verified.

use std::collections::{BTreeSet, VecDeque};

use super::message::{Checked, EQUIVOCATION_WINDOW, Receipt, Verified};
use super::names::Reading;
use super::unverified::Unverified;
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Kind, MAX_TAGGED, Subject, tagged_digest};

#[derive(Clone)]
pub(super) struct Author {
    pub(super) handle: Handle,
    pub(super) delivered: u32,
    pub(super) delivered_key: [u8; VERIFICATION_KEY_LEN],
    /// The number of the last message that has been verified.
    pub(super) signed: u32,
    /// How many of the next messages the protocol has taken by their tags. They are not delivered before the next signed
    /// message says what they were.
    pub(super) taken: u32,
    /// The key of the next signed message.
    pub(super) verified_key: VerificationKey,
    /// Verified but not delivered, in order of numbers.
    pub(super) queue: VecDeque<Verified>,
    pub(super) unverified: Unverified,
    pub(super) window: VecDeque<Seen>,
    /// What the tagged messages that wait under the next number acknowledge and has not been delivered. Not exported.
    pub(super) expects: BTreeSet<(Handle, u32)>,
}

#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) number: u32,
    /// `None` for an acknowledgement that a later message has named.
    pub(super) digest: Option<Digest>,
    pub(super) key: [u8; VERIFICATION_KEY_LEN],
}

impl Author {
    /// The author after its message `delivered`, whose next message this key verifies.
    pub(super) fn new(handle: Handle, key: VerificationKey, delivered: u32) -> Self {
        Self {
            handle,
            delivered,
            delivered_key: *key.as_bytes(),
            signed: delivered,
            taken: 0,
            verified_key: key,
            queue: VecDeque::new(),
            unverified: Unverified::default(),
            window: VecDeque::new(),
            expects: BTreeSet::new(),
        }
    }

    /// The number of the last message that has been verified or taken by its tag.
    pub(super) fn reached(&self) -> u32 {
        self.signed + self.taken
    }

    /// The number of the next message, if it can be taken by its tag now: all before it have been delivered or taken.
    pub(super) fn next_tagged(&self) -> Option<u32> {
        let has_room = self.queue.is_empty() && (self.taken as usize) < MAX_TAGGED;
        if has_room { self.reached().checked_add(1) } else { None }
    }

    /// Checks the signature of the author's next signed message. Changes nothing.
    pub(super) fn check(
        &self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        readings: impl Iterator<Item = Reading>,
    ) -> Result<Checked, Error> {
        authenticate(id, envelope, group, readings, &self.verified_key)
    }

    /// Takes the author's next signed message, and the acknowledgements before it. Returns whether it agrees with the signed
    /// messages before it: it may not call one of them an acknowledgement.
    pub(super) fn take(&mut self, Checked { message, digest, history }: Checked) -> bool {
        let follows = message.number - 1 - history.len() as u32;
        let (key, signed) = (*self.verified_key.as_bytes(), self.signed);
        let agrees =
            !self.window.iter().any(|seen| seen.digest.is_some() && (follows + 1..=signed).contains(&seen.number));
        let acknowledgements = (follows + 1..message.number).zip(history).filter(|(number, _)| *number > signed);
        for (number, acknowledged) in acknowledgements {
            self.see(Seen { number, digest: None, key });
            self.queue.push_back(Verified {
                number,
                kind: Kind::TAGGED,
                subject: acknowledged.into(),
                new_key: None,
                header: Vec::new(),
                body: Vec::new(),
                key,
            });
        }
        self.record(message.number, digest, message.key, message.new_key);
        self.queue.push_back(message);
        agrees
    }

    /// Records a message.
    pub(super) fn record(
        &mut self,
        number: u32,
        digest: Digest,
        key: [u8; VERIFICATION_KEY_LEN],
        new_key: Option<VerificationKey>,
    ) {
        self.see(Seen { number, digest: Some(digest), key });
        self.signed = number;
        self.taken = 0;
        if let Some(new_key) = new_key {
            self.verified_key = new_key;
        }
    }

    fn see(&mut self, seen: Seen) {
        if self.window.len() == EQUIVOCATION_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(seen);
    }

    /// Judges a message under a number that has been verified before: the same message, another one that the author has
    /// signed too, or a forgery.
    pub(super) fn compare(
        &self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        readings: Result<impl Iterator<Item = Reading>, Handle>,
    ) -> Result<Receipt, Error> {
        let Some(seen) = self.window.iter().find(|seen| seen.number == envelope.number) else {
            return Ok(Receipt::Duplicate);
        };
        let readings: Vec<Reading> = readings.map_err(|_| Error::NotAuthentic)?.collect();
        let is_seen = |it: &Reading| Some(envelope.digest_after(group, id, &it.subject, &it.history)) == seen.digest;
        if readings.iter().any(is_seen) {
            return Ok(Receipt::Duplicate);
        }
        let key = VerificationKey::from_bytes(&seen.key)?;
        authenticate(id, envelope, group, readings.into_iter(), &key).map(|_| Receipt::Equivocation)
    }

    /// Judges an acknowledgement with a tag under a number that is known: the author's own message, one that a later message
    /// names, or something else than what the author has there.
    pub(super) fn compare_tagged<'n, N: Iterator<Item = &'n MemberId>>(
        &self,
        id: &MemberId,
        group: &GroupId,
        envelope: &Envelope<'_>,
        known: impl Fn(&Handle) -> N,
    ) -> Result<Receipt, Error> {
        let seen = self.window.iter().find(|seen| seen.number == envelope.number).and_then(|seen| seen.digest);
        let (Some(digest), Subject::Acknowledged(handle, number)) = (seen, envelope.subject) else {
            return Ok(Receipt::Duplicate);
        };
        let is_seen = |author: &MemberId| {
            tagged_digest(group, id, envelope.number, MessageId { author: *author, number }) == digest
        };
        if known(&handle).any(is_seen) { Ok(Receipt::Duplicate) } else { Err(Error::NotAuthentic) }
    }
}

fn authenticate(
    id: &MemberId,
    envelope: &Envelope<'_>,
    group: &GroupId,
    readings: impl Iterator<Item = Reading>,
    key: &VerificationKey,
) -> Result<Checked, Error> {
    for reading in readings {
        let digest = envelope.digest_after(group, id, &reading.subject, &reading.history);
        match envelope.verify(&digest, key) {
            Err(Error::NotAuthentic) => {}
            result => return result.map(|new_key| Checked::new(envelope, reading, digest, new_key, key)),
        }
    }
    Err(Error::NotAuthentic)
}
