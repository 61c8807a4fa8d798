//! What waits while control messages are not acknowledged, so that nobody has to keep too much for one author.

use std::collections::BTreeMap;

use protocol::causal_order::{CausalOrder, Verified};
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::membership::{MemberIndex, Membership};
use protocol::wire::envelope::{Envelope, Kind};

use super::state::{ControlId, Group, Pending};
use crate::limits::{MAX_PENDING, MAX_UNACKNOWLEDGED};
use crate::messages::{ADD, UPDATE};

impl Group {
    /// Fails if too many of my control messages are unacknowledged for an update or add.
    pub(crate) fn check_unacknowledged(&self) -> Result<(), Error> {
        let full = has_pending(&self.pending, self.me(), MAX_UNACKNOWLEDGED);
        if full { Err(Error::TooManyUnacknowledged) } else { Ok(()) }
    }

    /// Whether a member has yet to acknowledge a control message of mine.
    pub(super) fn awaits_answer_of(&self, member: MemberIndex) -> bool {
        of_author(&self.pending, self.me()).any(|(_, pending)| pending.waiting.contains(member))
    }

    /// The next message to process. An author with too much pending waits, but nobody waits because of it: a message
    /// that the next message of another member acknowledges is processed, whatever is pending. Members have different
    /// messages pending, a joiner the fewest, and would otherwise wait for each other.
    pub(super) fn next_message(&mut self) -> Option<(MemberId, Verified)> {
        let Self { order, membership, pending, .. } = self;
        order.deliver(|order, author, message| {
            !is_held_back(membership, pending, author, message.kind)
                || is_awaited(order, membership, author, message.number)
        })
    }

    /// Whether a message would have to wait for acknowledgements and there is no room for it.
    pub(crate) fn has_no_room_for(&self, author: &MemberId, envelope: &Envelope<'_>) -> bool {
        !self.order.has_room(envelope.bytes.len())
            && is_held_back(&self.membership, &self.pending, author, envelope.kind)
            && !self.order.has_verified(author, envelope.number)
            && !is_awaited(&self.order, &self.membership, author, envelope.number)
    }
}

/// Whether another member of my view waits for a message, because its next message acknowledges it.
fn is_awaited(order: &CausalOrder, membership: &Membership, author: &MemberId, number: u32) -> bool {
    let inside = |by: &MemberId| membership.index(by).is_some_and(|by| membership.is_member(by));
    order.awaiting(MessageId { author: *author, number }).any(|by| by != author && inside(by))
}

/// Whether a message waits because too much of its author is pending. A removal never does by itself: there are no more
/// removals than members.
fn is_held_back(
    membership: &Membership,
    pending: &BTreeMap<ControlId, Pending>,
    author: &MemberId,
    kind: Kind,
) -> bool {
    [ADD, UPDATE].contains(&kind)
        && membership.index(author).is_some_and(|author| has_pending(pending, author, MAX_PENDING))
}

/// Whether at least `count` control messages of an author are pending. Usually few are, so they are counted only when
/// it matters.
fn has_pending(pending: &BTreeMap<ControlId, Pending>, author: MemberIndex, count: usize) -> bool {
    of_author(pending, author).nth(count - 1).is_some()
}

fn of_author(
    pending: &BTreeMap<ControlId, Pending>,
    author: MemberIndex,
) -> impl Iterator<Item = (&ControlId, &Pending)> {
    let id = |number| ControlId { author, number };
    pending.range(id(0)..=id(u32::MAX))
}
