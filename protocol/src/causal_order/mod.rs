//! Authenticated causal order: when a received message is verified, and when it is delivered.
//!
//! Each author numbers its broadcasts 1, 2, 3 and so on, and signs them. A received message is *verified* as soon as
//! all earlier numbers of its author are verified, so that a forged message can neither take a number nor displace the
//! genuine one. It is *ready* when all earlier messages of its author have been delivered, and so has the message that
//! it acknowledges. Members acknowledge a control message as soon as it is delivered to them; so numbers and
//! acknowledgements put control messages in causal order.
//!
//! What cannot be verified yet waits, within limits: later numbers, unknown authors, messages that name unknown
//! members. Several messages may wait under one number. Each is looked at when it is its turn, and verified at most
//! once: if none is authentic they are dropped, and otherwise with the first that is. A message with an invalid new key
//! is refused as [`Error::Malformed`] if it is its author's next one. If it waits, it is dropped at its turn.
//!
//! The signatures of messages that arrive together can be [checked together](CausalOrder::check_together).
//!
//! An order made [`with_tags`](CausalOrder::with_tags) also takes acknowledgements that a tag authenticates. The signed
//! messages of an author do not depend on them: each says which acknowledgements the author has sent since the one before
//! ([`History`](crate::wire::envelope::History)), and with it they are verified and delivered, whether they have arrived or
//! not. Nothing here waits for less: what is delivered, and in which order, is the same whatever tags arrive. A tag only lets
//! the protocol, which knows the secret, take an acknowledgement earlier, for itself and until the author's next signed message
//! decides ([`arrives`](CausalOrder::arrives), [`due`](CausalOrder::due), [`taken`](CausalOrder::taken)).

mod author;
mod export;
mod message;
mod names;
mod tagged;
mod tags;
mod together;
mod unverified;

use std::collections::{BTreeMap, BTreeSet};

pub use message::{
    Checked, EQUIVOCATION_WINDOW, MAX_STRANGERS, MAX_TOGETHER, MAX_WAITING_BYTES, MAX_WAITING_PER_AUTHOR, Receipt,
    Verified,
};
pub use names::{Names, Reading};
pub use tags::Tagged;

use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Subject};
use author::Author;
use tags::Tags;
use unverified::{Unverified, Waiting, weight_of};

/// The authors' messages: what has been delivered, what has been verified, what waits.
#[derive(Clone, Default)]
pub struct CausalOrder {
    authors: BTreeMap<MemberId, Author>,
    names: Names,
    /// Authors whose next verified message can be delivered.
    ready: BTreeSet<MemberId>,
    /// The other authors with verified messages, by what the next one acknowledges.
    depending: BTreeSet<(MessageId, MemberId)>,
    /// Authors whose next signed message may be one that waits, by the unknown user that it names.
    unnamed: BTreeSet<(Handle, MemberId)>,
    strangers: BTreeMap<MemberId, Unverified>,
    waiting_bytes: usize,
    /// If messages may have tags.
    tags: Option<Box<Tags>>,
}

impl CausalOrder {
    /// Makes an author known: all its messages up to number `delivered` count as delivered, and `key` verifies the next
    /// one. Messages that have waited for the author, or for a user with its handle, are verified if it is their turn.
    /// Has no effect on a known author.
    pub fn introduce(&mut self, id: MemberId, key: VerificationKey, delivered: u32, group: &GroupId) {
        if self.authors.contains_key(&id) {
            return;
        }
        let handle = id.handle();
        let mut author = Author::new(handle, key, delivered);
        author.unverified = self.strangers.remove(&id).unwrap_or_default();
        self.names.insert(handle, id);
        self.authors.insert(id, author);
        self.verify_waiting(&id, group);
        let first = (handle, MemberId([0; MEMBER_ID_LEN]));
        while let Some(next) = self.unnamed.range(first..).next().copied().filter(|next| next.0 == handle) {
            self.unnamed.remove(&next);
            self.verify_waiting(&next.1, group);
        }
    }

    /// The number of known authors.
    #[must_use]
    pub fn known(&self) -> usize {
        self.authors.len()
    }

    /// The number of an author's last delivered message, and the key that verifies the next one; `None` if the author
    /// is unknown.
    #[must_use]
    pub fn frontier(&self, id: &MemberId) -> Option<(u32, [u8; VERIFICATION_KEY_LEN])> {
        self.authors.get(id).map(|author| (author.delivered, author.delivered_key))
    }

    /// The handle of an author; `None` if it is unknown.
    #[must_use]
    pub fn handle(&self, id: &MemberId) -> Option<Handle> {
        self.authors.get(id).map(|author| author.handle)
    }

    /// Whether this message has been delivered.
    #[must_use]
    pub fn has_delivered(&self, author: &MemberId, number: u32) -> bool {
        self.authors.get(author).is_some_and(|author| author.delivered >= number)
    }

    /// Whether a signed message of this number is no news: that number or a later one has been verified.
    #[must_use]
    pub fn has_verified(&self, author: &MemberId, number: u32) -> bool {
        self.authors.get(author).is_some_and(|author| author.signed >= number)
    }

    /// Records a message that this member has sent itself.
    pub fn sent(
        &mut self,
        me: &MemberId,
        number: u32,
        digest: Digest,
        key: &VerificationKey,
        new_key: Option<VerificationKey>,
    ) {
        if let Some(tags) = &mut self.tags {
            tags.mine.clear();
        }
        self.record_sent(me, number, digest, key, new_key);
    }

    fn record_sent(
        &mut self,
        me: &MemberId,
        number: u32,
        digest: Digest,
        key: &VerificationKey,
        new_key: Option<VerificationKey>,
    ) {
        if let Some(author) = self.authors.get_mut(me) {
            author.record(number, digest, *key.as_bytes(), new_key);
            author.delivered = number;
            author.delivered_key = *author.verified_key.as_bytes();
            self.wake(me, number);
        }
    }

    /// Receives a message: verifies it, or lets it wait.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::WrongAuthor`], [`Error::NotAuthentic`], or [`Error::QueueFull`], after which the
    /// message can be received again. Nothing has changed then.
    pub fn receive(&mut self, id: &MemberId, group: &GroupId, bytes: &[u8]) -> Result<Receipt, Error> {
        self.receive_decoded(id, group, &Envelope::decode(bytes)?, None)
    }

    /// The same for a message that has been decoded, and may have been [checked](Self::check_together).
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub fn receive_decoded(
        &mut self,
        id: &MemberId,
        group: &GroupId,
        envelope: &Envelope<'_>,
        checked: Option<Checked>,
    ) -> Result<Receipt, Error> {
        if self.tags.is_none() && (envelope.is_tagged() || !envelope.history.is_empty()) {
            return Err(Error::Malformed);
        }
        let Some(author) = self.authors.get_mut(id) else {
            if envelope.sender != id.handle() {
                return Err(Error::WrongAuthor);
            }
            return self.wait_as_stranger(id, envelope);
        };
        if envelope.sender != author.handle {
            return Err(Error::WrongAuthor);
        }
        if envelope.is_tagged() {
            return self.receive_tagged(id, group, envelope);
        }
        let readings = self.names.readings(envelope);
        if envelope.number <= author.signed {
            return author.compare(id, envelope, group, readings);
        }
        let is_next = envelope.follows() <= author.signed;
        let unknown = readings.as_ref().err().copied();
        let Some(readings) = readings.ok().filter(|_| is_next) else {
            let receipt = author.unverified.wait(envelope, &mut self.waiting_bytes)?;
            self.unnamed.extend(unknown.filter(|_| is_next).map(|name| (name, *id)));
            return Ok(receipt);
        };
        let queued = author.queue.len();
        let crowded = queued >= MAX_WAITING_PER_AUTHOR || !has_room(self.waiting_bytes, weight_of(envelope));
        // A message that has nothing to wait for is always accepted, even if forged messages fill the queues.
        if crowded && (queued > 0 || !self.may_be_ready(id, envelope)) {
            return Err(Error::QueueFull);
        }
        let author = self.authors.get(id).ok_or(Error::Internal)?;
        let checked = checked.filter(|checked| checked.is_of(envelope, &author.verified_key));
        let checked = checked.map_or_else(|| author.check(id, envelope, group, readings), Ok)?;
        self.take(id, checked);
        self.verify_waiting(id, group);
        Ok(Receipt::Verified)
    }

    /// Takes over what waits in another order that knows no author, and verifies what can be verified. Nothing may wait
    /// here yet.
    pub fn adopt(&mut self, other: Self, group: &GroupId) {
        self.waiting_bytes += other.waiting_bytes;
        for (id, waiting) in other.strangers {
            match self.authors.get_mut(&id) {
                Some(author) => {
                    author.unverified = waiting;
                    self.verify_waiting(&id, group);
                }
                None => drop(self.strangers.insert(id, waiting)),
            }
        }
    }

    /// Delivers the next message that is ready; `None` if there is none. With `may`, the protocol can hold back a
    /// message for reasons of its own.
    pub fn deliver(&mut self, may: impl Fn(&Self, &MemberId, &Verified) -> bool) -> Option<(MemberId, Verified)> {
        let next = |id: &MemberId| self.authors.get(id)?.queue.front();
        let id = *self.ready.iter().find(|id| next(id).is_some_and(|message| may(self, id, message)))?;
        let author = self.authors.get_mut(&id)?;
        let message = author.queue.pop_front()?;
        author.delivered = message.number;
        if let Some(key) = &message.new_key {
            author.delivered_key = *key.as_bytes();
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(message.weight());
        let is_last = author.queue.is_empty();
        self.ready.remove(&id);
        self.wake(&id, message.number);
        self.line_up(&id);
        if is_last {
            self.find_tagged(&id);
        }
        Some((id, message))
    }

    /// The authors whose next verified message acknowledges this one, which has not been delivered.
    pub fn awaiting(&self, message: MessageId) -> impl Iterator<Item = &MemberId> {
        let first = (message, MemberId([0; MEMBER_ID_LEN]));
        self.depending.range(first..).take_while(move |(on, _)| *on == message).map(|(_, id)| id)
    }

    /// Whether `len` more bytes may wait. The caller must check it for what it holds back in
    /// [`deliver`](Self::deliver).
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        has_room(self.waiting_bytes, len)
    }

    /// The signed messages under a number of an author, known or not, that wait and have not been verified.
    pub fn unverified(&self, id: &MemberId, number: u32) -> impl Iterator<Item = &[u8]> {
        let messages = self.waiting_of(id).into_iter().flat_map(|messages| &messages.signed);
        messages.filter(move |waiting| waiting.number == number).map(|waiting| &*waiting.bytes)
    }

    /// Whether this signed message of an author, known or not, waits and has not been verified.
    #[must_use]
    pub fn keeps(&self, id: &MemberId, envelope: &Envelope<'_>) -> bool {
        self.waiting_of(id).is_some_and(|messages| messages.signed.contains(&Waiting::new(envelope)))
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_idle_but_for(|_| false)
    }

    /// The same without what waits of these authors under tags: a member that is gone may never say in a signed message
    /// what it has sent before it.
    #[must_use]
    pub fn is_idle_but_for(&self, gone: impl Fn(&MemberId) -> bool) -> bool {
        let is_idle = |(id, author): (&MemberId, &Author)| {
            author.unverified.signed.is_empty() && (author.unverified.tagged.is_empty() || gone(id))
        };
        self.ready.is_empty()
            && self.depending.is_empty()
            && self.strangers.is_empty()
            && self.authors.iter().all(is_idle)
    }

    /// Whether everything that the author's next signed message acknowledges has been delivered.
    fn may_be_ready(&self, id: &MemberId, envelope: &Envelope<'_>) -> bool {
        let signed = self.authors.get(id).map_or(0, |author| author.signed);
        let history = (envelope.follows() + 1..envelope.number).zip(envelope.history.iter());
        let open = history.filter(|(number, _)| *number > signed).map(|(_, acknowledged)| acknowledged);
        let subject = match envelope.subject {
            Subject::Acknowledged(handle, number) => Some((handle, number)),
            _ => None,
        };
        open.chain(subject).all(|(handle, number)| self.delivered_of(handle, number).next().is_some())
    }

    /// The messages that a handle and a number can stand for, of those that have been delivered.
    fn delivered_of(&self, handle: Handle, number: u32) -> impl Iterator<Item = MessageId> {
        let authors = self.names.with(&handle).iter().filter(move |author| self.has_delivered(author, number));
        authors.map(move |author| MessageId { author: *author, number })
    }

    fn waiting_of(&self, id: &MemberId) -> Option<&Unverified> {
        self.authors.get(id).map(|author| &author.unverified).or_else(|| self.strangers.get(id))
    }

    fn wait_as_stranger(&mut self, id: &MemberId, envelope: &Envelope<'_>) -> Result<Receipt, Error> {
        if let Some(messages) = self.strangers.get_mut(id) {
            return messages.wait(envelope, &mut self.waiting_bytes);
        }
        if self.strangers.len() >= MAX_STRANGERS {
            return Err(Error::QueueFull);
        }
        let mut messages = Unverified::default();
        let receipt = messages.wait(envelope, &mut self.waiting_bytes)?;
        self.strangers.insert(*id, messages);
        Ok(receipt)
    }

    /// Verifies waiting messages of an author of which it may be the turn, and drops those whose turn is over.
    fn verify_waiting(&mut self, id: &MemberId, group: &GroupId) {
        loop {
            let Some(author) = self.authors.get_mut(id) else { return };
            let reached = author.unverified.take_reached(author.signed);
            for name in reached.iter().flat_map(|waiting| &waiting.names) {
                self.unnamed.remove(&(*name, *id));
            }
            let mut reached = reached.into_iter();
            let mut verified = false;
            for waiting in reached.by_ref() {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.weight());
                verified = self.verify_one(id, waiting, group);
                if verified {
                    break;
                }
            }
            // What has not been looked at.
            let Some(author) = self.authors.get_mut(id).filter(|_| verified) else { break };
            author.unverified.signed.extend(reached);
        }
        self.find_tagged(id);
    }

    /// Verifies a message that has waited. Returns whether it is the author's next one. If it is not, it is dropped, unless it
    /// names an unknown user.
    fn verify_one(&mut self, id: &MemberId, waiting: Waiting, group: &GroupId) -> bool {
        let Some(author) = self.authors.get_mut(id).filter(|author| waiting.number > author.signed) else {
            return false;
        };
        // It is decoded once, when all that it names are known.
        if let Some(unknown) = waiting.names.iter().find(|name| self.names.with(name).is_empty()) {
            self.unnamed.insert((*unknown, *id));
            self.waiting_bytes += waiting.weight();
            author.unverified.signed.insert(waiting);
            return false;
        }
        let Ok(envelope) = Envelope::decode(&waiting.bytes) else { return false };
        let Ok(readings) = self.names.readings(&envelope) else { return false };
        let Ok(checked) = author.check(id, &envelope, group, readings) else { return false };
        self.take(id, checked);
        true
    }

    /// Takes an author's next signed message.
    fn take(&mut self, id: &MemberId, checked: Checked) {
        let Some(author) = self.authors.get_mut(id) else { return };
        let before = author.queue.len();
        if !author.take(checked)
            && let Some(tags) = &mut self.tags
        {
            tags.contradicting.push(*id);
        }
        self.waiting_bytes += author.queue.range(before..).map(Verified::weight).sum::<usize>();
        if before == 0 {
            self.line_up(id);
        }
    }

    /// Finds out what the next verified message of an author waits for.
    fn line_up(&mut self, id: &MemberId) {
        let Some(next) = self.authors.get(id).and_then(|author| author.queue.front()) else { return };
        let depends = next.subject.acknowledged();
        match depends.filter(|other| !self.has_delivered(&other.author, other.number)) {
            Some(other) => drop(self.depending.insert((other, *id))),
            None => drop(self.ready.insert(*id)),
        }
    }

    /// Finds the authors that have waited for messages of another up to this number.
    fn wake(&mut self, author: &MemberId, number: u32) {
        let first = (MessageId { author: *author, number: 0 }, MemberId([0; MEMBER_ID_LEN]));
        let last = (MessageId { author: *author, number }, MemberId([u8::MAX; MEMBER_ID_LEN]));
        while let Some(woken) = self.depending.range(first..=last).next().copied() {
            self.depending.remove(&woken);
            self.ready.insert(woken.1);
        }
        self.wake_tagged(author, number);
    }
}

fn has_room(waiting_bytes: usize, len: usize) -> bool {
    waiting_bytes.saturating_add(len) <= MAX_WAITING_BYTES
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::crypto::signature::SigningKey;
    use crate::wire::envelope::{Draft, Kind};

    #[test]
    fn where_two_known_members_share_a_handle_each_is_tried() {
        let group = GroupId([1; 32]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let [alice, bob, carol] = core::array::from_fn(|_| SigningKey::random(&mut rng));
        let id = |key: &SigningKey| MemberId(*key.verification_key().as_bytes());
        let mut order = CausalOrder::with_tags();
        for key in [&alice, &bob, &carol] {
            order.introduce(id(key), key.verification_key(), if id(key) == id(&alice) { 0 } else { 9 }, &group);
        }
        assert!(!order.must_sign(&id(&carol)));
        // Nobody can find such a pair within reason, so the test inserts one.
        let handle = id(&carol).handle();
        order.names.insert(handle, id(&bob));
        let (subject, by_bob) = (Subject::Member(id(&carol)), MessageId { author: id(&bob), number: 5 });
        let draft = Draft { kind: Kind(1), sender: id(&alice), number: 2, subject, new_key: None, body: &[] };
        let sign = |history: &[_]| draft.sign_after(&group, (id(&alice).handle(), Some(handle)), history, &alice).0;
        // A message cannot mean both of them.
        let ambiguous = sign(&[(handle, by_bob)]);
        assert_eq!(order.receive(&id(&alice), &group, &ambiguous), Err(Error::NotAuthentic));
        let bytes = sign(&[(handle, MessageId { author: id(&carol), ..by_bob })]);
        assert_eq!(order.receive(&id(&alice), &group, &bytes), Ok(Receipt::Verified));
        let delivered: Vec<_> = core::iter::from_fn(|| order.deliver(|_, _, _| true)).collect();
        let subjects: Vec<_> = delivered.iter().map(|(_, message)| message.subject).collect();
        assert_eq!(subjects, [Subject::Acknowledged(id(&carol), 5), subject]);
        // So nobody sends an acknowledgement of one of them under a tag.
        assert!(order.must_sign(&id(&carol)));
    }
}
