//! What one author, or somebody in its name, has sent and cannot be verified yet.

use core::cmp::Ordering;
use std::collections::BTreeSet;

use super::message::{MAX_WAITING_BYTES, MAX_WAITING_PER_AUTHOR, NAMED_BYTES, Receipt};
use crate::error::Error;
use crate::id::{HANDLE_LEN, Handle};
use crate::wire::envelope::{Envelope, MAX_TAGGED, Subject, TAG_LEN};

/// Messages in the order of their turns, each once. Any number of them can have the same turn: nobody knows yet which
/// of them is genuine, so none displaces another.
#[derive(Clone, Default)]
pub(super) struct Unverified {
    pub(super) signed: BTreeSet<Waiting>,
    /// At most [`MAX_TAGGED`], which take little room. What finds none is in the author's next signed message.
    pub(super) tagged: BTreeSet<Tagged>,
}

/// A message with a signature.
#[derive(Clone)]
pub(super) struct Waiting {
    /// It is the next one after this number, if it is genuine.
    pub(super) follows: u32,
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    /// The users that it names. Not exported.
    pub(super) names: Vec<Handle>,
}

/// An acknowledgement with a tag: this is all that is in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tagged {
    pub(super) number: u32,
    pub(super) acknowledged: (Handle, u32),
    pub(super) tag: [u8; TAG_LEN],
}

impl Waiting {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        let (follows, number, bytes) = (envelope.follows(), envelope.number, envelope.bytes.to_vec());
        Self { follows, number, bytes, names: envelope.names().collect() }
    }

    /// The room that it takes.
    pub(super) fn weight(&self) -> usize {
        weight(self.bytes.len(), self.number, self.follows)
    }

    fn order(&self) -> (u32, u32, &[u8]) {
        (self.follows, self.number, &self.bytes)
    }
}

/// The room that a signed message takes while it waits: enough for the acknowledgements that it names, too.
pub(super) fn weight_of(envelope: &Envelope<'_>) -> usize {
    weight(envelope.bytes.len(), envelope.number, envelope.follows())
}

fn weight(len: usize, number: u32, follows: u32) -> usize {
    len + NAMED_BYTES * number.saturating_sub(follows).saturating_sub(1) as usize
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

impl Tagged {
    /// `None` if the message has a signature.
    pub(super) fn new(envelope: &Envelope<'_>) -> Option<Self> {
        match (envelope.subject, envelope.tag()) {
            (Subject::Acknowledged(handle, acknowledged), Some(tag)) => {
                Some(Self { number: envelope.number, acknowledged: (handle, acknowledged), tag })
            }
            _ => None,
        }
    }
}

impl Unverified {
    pub(super) fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.tagged.is_empty()
    }

    /// The room that the messages with signatures take.
    pub(super) fn weight(&self) -> usize {
        self.signed.iter().map(Waiting::weight).sum()
    }

    /// Lets a message wait. After an error nothing has changed.
    pub(super) fn wait(&mut self, envelope: &Envelope<'_>, waiting_bytes: &mut usize) -> Result<Receipt, Error> {
        if let Some(tagged) = Tagged::new(envelope) {
            return self.wait_tagged(tagged);
        }
        let waiting = Waiting::new(envelope);
        if self.signed.contains(&waiting) {
            return Ok(Receipt::Duplicate);
        }
        if self.signed.len() >= MAX_WAITING_PER_AUTHOR || *waiting_bytes + waiting.weight() > MAX_WAITING_BYTES {
            return Err(Error::QueueFull);
        }
        *waiting_bytes += waiting.weight();
        self.signed.insert(waiting);
        Ok(Receipt::Waits)
    }

    fn wait_tagged(&mut self, tagged: Tagged) -> Result<Receipt, Error> {
        if self.tagged.contains(&tagged) {
            return Ok(Receipt::Duplicate);
        }
        if self.tagged.len() >= MAX_TAGGED {
            return Err(Error::QueueFull);
        }
        self.tagged.insert(tagged);
        Ok(Receipt::Waits)
    }

    /// Takes the signed messages whose turn is over or has come, now that this number has been reached.
    pub(super) fn take_reached(&mut self, signed: u32) -> BTreeSet<Waiting> {
        let Some(later) = signed.checked_add(1) else { return core::mem::take(&mut self.signed) };
        let first = Waiting { follows: later, number: 0, bytes: Vec::new(), names: Vec::new() };
        let later = self.signed.split_off(&first);
        core::mem::replace(&mut self.signed, later)
    }

    /// The messages with tags under a number.
    pub(super) fn tagged_under(&self, number: u32) -> impl Iterator<Item = &Tagged> {
        let first = Tagged { number, acknowledged: (Handle([0; HANDLE_LEN]), 0), tag: [0; TAG_LEN] };
        self.tagged.range(first..).take_while(move |tagged| tagged.number == number)
    }

    /// Forgets the messages with tags up to this number.
    pub(super) fn forget_tagged(&mut self, through: u32) {
        while self.tagged.first().is_some_and(|tagged| tagged.number <= through) {
            self.tagged.pop_first();
        }
    }
}
