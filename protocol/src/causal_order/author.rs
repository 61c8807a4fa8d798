//! One author: how far its messages have been delivered and verified, and how one is verified.

use std::collections::{BTreeSet, VecDeque};

use super::message::{Checked, EQUIVOCATION_WINDOW, Receipt, Verified};
use super::names::Reading;
use super::unverified::Unverified;
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Kind, MAX_TAGGED, tagged_digest};

#[derive(Clone)]
pub(super) struct Author {
    pub(super) handle: Handle,
    pub(super) delivered: u32,
    pub(super) delivered_key: [u8; VERIFICATION_KEY_LEN],
    /// The number of the last message whose signature has been verified, or that counts as such a message.
    pub(super) signed: u32,
    /// The messages that the next ones acknowledge, as far as these have been verified by their tags.
    pub(super) tagged: Vec<MessageId>,
    /// The key of the next signed message.
    pub(super) verified_key: VerificationKey,
    /// Verified but not delivered, in order of numbers.
    pub(super) queue: VecDeque<Verified>,
    pub(super) unverified: Unverified,
    pub(super) window: VecDeque<Seen>,
    /// What the tagged messages that wait under the next number acknowledge and has not been delivered.
    pub(super) expects: BTreeSet<(Handle, u32)>,
}

#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) digest: Digest,
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
            tagged: Vec::new(),
            verified_key: key,
            queue: VecDeque::new(),
            unverified: Unverified::default(),
            window: VecDeque::new(),
            expects: BTreeSet::new(),
        }
    }

    /// The number of the last message that has been verified.
    pub(super) fn verified(&self) -> u32 {
        self.signed + self.tagged.len() as u32
    }

    /// The number of the next message, if it can be one with a tag.
    pub(super) fn next_tagged(&self) -> Option<u32> {
        if self.tagged.len() < MAX_TAGGED { self.verified().checked_add(1) } else { None }
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

    /// Takes the author's next signed message, and the acknowledgements before it that have not been verified by their
    /// tags. Returns whether it agrees with what has been taken before it. What it contradicts is taken back.
    pub(super) fn take(&mut self, id: &MemberId, group: &GroupId, Checked { message, history }: Checked) -> bool {
        let follows = message.number - 1 - history.len() as u32;
        let (before, after) = history.split_at((self.signed.saturating_sub(follows) as usize).min(history.len()));
        let is_equal = |(number, acknowledged): (u32, &MessageId)| {
            let seen = self.window.iter().find(|seen| seen.number == number);
            seen.is_none_or(|seen| seen.digest == tagged_digest(group, id, number, *acknowledged))
        };
        let agrees_before = (follows + 1..).zip(before).all(is_equal);
        let same = self.tagged.iter().zip(after).take_while(|(taken, said)| taken == said).count();
        let agrees = same == self.tagged.len();
        if !agrees {
            self.take_back(same);
        }
        for acknowledged in &after[same..] {
            let number = self.verified() + 1;
            self.take_tagged(number, *acknowledged, tagged_digest(group, id, number, *acknowledged));
        }
        self.record(message.number, message.digest, message.key, message.new_key);
        self.queue.push_back(message);
        agrees && agrees_before
    }

    /// Takes an acknowledgement with a tag, which is the author's next message.
    pub(super) fn take_tagged(&mut self, number: u32, acknowledged: MessageId, digest: Digest) {
        let key = *self.verified_key.as_bytes();
        self.see(number, digest, key);
        self.tagged.push(acknowledged);
        self.queue.push_back(Verified {
            number,
            kind: Kind::TAGGED,
            subject: acknowledged.into(),
            new_key: None,
            header: Vec::new(),
            body: Vec::new(),
            digest,
            key,
        });
    }

    /// Takes back all but the first acknowledgements that have been verified by their tags.
    fn take_back(&mut self, kept: usize) {
        self.tagged.truncate(kept);
        let last = self.verified();
        self.delivered = self.delivered.min(last);
        self.queue.retain(|message| message.number <= last);
        self.window.retain(|seen| seen.number <= last);
    }

    /// Records a signed message.
    pub(super) fn record(
        &mut self,
        number: u32,
        digest: Digest,
        key: [u8; VERIFICATION_KEY_LEN],
        new_key: Option<VerificationKey>,
    ) {
        self.see(number, digest, key);
        self.signed = number;
        self.tagged.clear();
        if let Some(new_key) = new_key {
            self.verified_key = new_key;
        }
    }

    fn see(&mut self, number: u32, digest: Digest, key: [u8; VERIFICATION_KEY_LEN]) {
        if self.window.len() == EQUIVOCATION_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(Seen { number, digest, key });
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
        let is_seen = |it: &Reading| envelope.digest_after(group, id, &it.subject, &it.history) == seen.digest;
        if readings.iter().any(is_seen) {
            return Ok(Receipt::Duplicate);
        }
        let key = VerificationKey::from_bytes(&seen.key)?;
        authenticate(id, envelope, group, readings.into_iter(), &key).map(|_| Receipt::Equivocation)
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
