//! What one author, or somebody in its name, has sent and cannot be verified yet.

use core::cmp::Ordering;
use std::collections::BTreeSet;

use super::message::{MAX_WAITING_BYTES, MAX_WAITING_PER_AUTHOR, Receipt};
use crate::crypto::hash::Digest;
use crate::crypto::signature::VERIFICATION_KEY_LEN;
use crate::error::Error;
use crate::id::{Handle, MessageId};
use crate::wire::envelope::{Envelope, Kind, TAG_LEN};

/// Messages in the order of their turns, each once. Any number of them can have the same turn: nobody knows yet which
/// of them is genuine, so none displaces another.
#[derive(Clone, Default)]
pub(super) struct Unverified(BTreeSet<Waiting>);

#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) turn: Turn,
    pub(super) bytes: Vec<u8>,
    /// What has been found out of it ahead of its turn. Not exported.
    pub(super) note: Note,
}

#[derive(Clone, Copy)]
pub(super) enum Note {
    None,
    /// Its signature is not valid under this key.
    Tried([u8; VERIFICATION_KEY_LEN]),
    /// It has a tag, and acknowledges this message, which has been delivered. The digest is its own.
    Tagged(MessageId, Digest),
    /// The same, and nobody here can check the tag.
    Unchecked(MessageId, Digest),
    /// Nothing: it names what is not known or has not been delivered, or says nothing of messages under tags.
    Nothing,
}

impl Waiting {
    fn order(&self) -> (Turn, &[u8]) {
        (self.turn, &self.bytes)
    }

    pub(super) fn is_tagged(&self) -> bool {
        self.bytes.get(1) == Some(&Kind::TAGGED.0)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// When a message can be verified: when all earlier numbers of its author have been verified, and the user that it
/// names is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) number: u32,
    pub(super) name: Option<Handle>,
}

impl Waiting {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        let turn = Turn { number: envelope.number, name: envelope.subject.name() };
        Self { turn, bytes: envelope.bytes.to_vec(), note: Note::None }
    }
}

impl Turn {
    /// No message of this turn comes before it.
    fn first(self) -> Waiting {
        Waiting { turn: self, bytes: Vec::new(), note: Note::None }
    }
}

impl Unverified {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn keeps(&self, waiting: &Waiting) -> bool {
        self.0.contains(waiting)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.0.iter()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|waiting| waiting.bytes.len()).sum()
    }

    /// Adds a message that comes after all others. `false` if it does not.
    pub(super) fn push(&mut self, waiting: Waiting) -> bool {
        self.0.last().is_none_or(|last| *last < waiting) && self.0.insert(waiting)
    }

    /// Lets a message wait. After an error nothing has changed.
    pub(super) fn wait(&mut self, envelope: &Envelope<'_>, waiting_bytes: &mut usize) -> Result<Receipt, Error> {
        let waiting = Waiting::new(envelope);
        if self.keeps(&waiting) {
            return Ok(Receipt::Duplicate);
        }
        if self.len() >= MAX_WAITING_PER_AUTHOR || *waiting_bytes + waiting.bytes.len() > MAX_WAITING_BYTES {
            return Err(Error::QueueFull);
        }
        self.insert(waiting, waiting_bytes);
        Ok(Receipt::Waits)
    }

    /// Whether the same acknowledgement waits, maybe under another tag.
    pub(super) fn has_copy(&self, envelope: &Envelope<'_>) -> bool {
        let untagged = |bytes: &'_ [u8]| bytes.split_last_chunk::<TAG_LEN>().map(|(text, _)| text.to_vec());
        let mut under = self.under(envelope.number).filter(|waiting| waiting.is_tagged());
        under.any(|waiting| untagged(&waiting.bytes) == untagged(envelope.bytes))
    }

    /// Lets a message wait, whatever waits already.
    pub(super) fn insert(&mut self, waiting: Waiting, waiting_bytes: &mut usize) {
        *waiting_bytes += waiting.bytes.len();
        self.0.insert(waiting);
    }

    /// The messages under a number.
    pub(super) fn under(&self, number: u32) -> impl Iterator<Item = &Waiting> {
        let first = Turn { number, name: None }.first();
        self.0.range(first..).take_while(move |waiting| waiting.turn.number == number)
    }

    /// Takes a signed message of this turn.
    pub(super) fn take_signed(&mut self, turn: Turn) -> Option<Vec<u8>> {
        let mut of_turn = self.0.range(turn.first()..).take_while(|waiting| waiting.turn == turn);
        let waiting = of_turn.find(|waiting| !waiting.is_tagged())?.clone();
        self.0.remove(&waiting).then_some(waiting.bytes)
    }

    pub(super) fn remove(&mut self, waiting: &Waiting) -> bool {
        self.0.remove(waiting)
    }

    /// Replaces a message by the same one with another note.
    pub(super) fn note(&mut self, waiting: Waiting) {
        self.0.replace(waiting);
    }

    /// Takes a message with this number or an earlier one.
    pub(super) fn take_through(&mut self, number: u32) -> Option<Waiting> {
        if self.0.first()?.turn.number > number { None } else { self.0.pop_first() }
    }
}
