//! What one author, or somebody in its name, has sent and cannot be verified yet.

use std::collections::BTreeSet;

use super::message::{MAX_WAITING_BYTES, MAX_WAITING_PER_AUTHOR, Receipt};
use crate::error::Error;
use crate::id::Handle;
use crate::wire::envelope::Envelope;

/// Messages in the order of their turns, each once. Any number of them can have the same turn: nobody knows yet which
/// of them is genuine, so none displaces another.
#[derive(Clone, Default)]
pub(super) struct Unverified(BTreeSet<Waiting>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) turn: Turn,
    pub(super) bytes: Vec<u8>,
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
        Self { turn, bytes: envelope.bytes.to_vec() }
    }
}

impl Turn {
    /// No message of this turn comes before it.
    fn first(self) -> Waiting {
        Waiting { turn: self, bytes: Vec::new() }
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
        let len = envelope.bytes.len();
        if self.len() >= MAX_WAITING_PER_AUTHOR || *waiting_bytes + len > MAX_WAITING_BYTES {
            return Err(Error::QueueFull);
        }
        self.0.insert(waiting);
        *waiting_bytes += len;
        Ok(Receipt::Waits)
    }

    /// The messages under a number.
    pub(super) fn under(&self, number: u32) -> impl Iterator<Item = &Waiting> {
        let first = Turn { number, name: None }.first();
        self.0.range(first..).take_while(move |waiting| waiting.turn.number == number)
    }

    /// Takes a message of this turn.
    pub(super) fn take(&mut self, turn: Turn) -> Option<Vec<u8>> {
        let waiting = self.0.range(turn.first()..).next().filter(|waiting| waiting.turn == turn)?.clone();
        self.0.remove(&waiting).then_some(waiting.bytes)
    }

    /// Takes a message with this number or an earlier one.
    pub(super) fn take_through(&mut self, number: u32) -> Option<Waiting> {
        if self.0.first()?.turn.number > number { None } else { self.0.pop_first() }
    }
}
