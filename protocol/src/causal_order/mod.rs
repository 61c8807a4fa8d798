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
//! An order made [`with_tags`](CausalOrder::with_tags) also takes acknowledgements that a tag authenticates. They wait
//! until what they acknowledge has been delivered. Then the protocol, which knows the secret, checks the tag
//! ([`due`](CausalOrder::due), [`arrives`](CausalOrder::arrives)). If it does not know the secret, they go on waiting for
//! their author's next signed message, which says what was sent under tags.

mod author;
mod export;
mod message;
mod tagged;
mod tags;
mod together;
mod unverified;

use std::collections::{BTreeMap, BTreeSet};

pub use message::{
    Checked, EQUIVOCATION_WINDOW, MAX_STRANGERS, MAX_TAGGED, MAX_TOGETHER, MAX_WAITING_BYTES, MAX_WAITING_PER_AUTHOR,
    Receipt, Verified,
};
pub use tags::{Arrival, Tagged};

use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Link, NO_LINK, Subject};
use author::{Author, candidates};
use tags::Tags;
use unverified::{Turn, Unverified, Waiting};

/// The authors' messages: what has been delivered, what has been verified, what waits.
#[derive(Clone, Default)]
pub struct CausalOrder {
    authors: BTreeMap<MemberId, Author>,
    by_handle: BTreeMap<Handle, Vec<MemberId>>,
    /// Authors whose next verified message can be delivered.
    ready: BTreeSet<MemberId>,
    /// The other authors with verified messages, by what the next one acknowledges.
    depending: BTreeSet<(MessageId, MemberId)>,
    /// Authors under whose next number a message waits, by the unknown user that it names.
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
        self.introduce_after(id, key, delivered, NO_LINK, group);
    }

    /// The same for an author that has sent messages under tags since its last signed one.
    pub fn introduce_after(&mut self, id: MemberId, key: VerificationKey, delivered: u32, link: Link, group: &GroupId) {
        if self.authors.contains_key(&id) {
            return;
        }
        let handle = id.handle();
        let mut author = Author::new(handle, key, delivered, link);
        author.unverified = self.strangers.remove(&id).unwrap_or_default();
        self.by_handle.entry(handle).or_default().push(id);
        self.authors.insert(id, author);
        self.verify_waiting(&id, group);
        let first = (handle, MemberId([0; MEMBER_ID_LEN]));
        while let Some(next) = self.unnamed.range(first..).next().copied().filter(|next| next.0 == handle) {
            self.unnamed.remove(&next);
            if self.verify_one(&next.1, Some(handle), group) {
                self.verify_waiting(&next.1, group);
            } else {
                self.find_tagged(&next.1);
            }
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

    /// The link of an author after its last delivered message.
    #[must_use]
    pub fn delivered_link(&self, id: &MemberId) -> Link {
        self.authors.get(id).map_or(NO_LINK, |author| author.delivered_link)
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

    /// Whether a message of this number has been verified: another one of that number is no news.
    #[must_use]
    pub fn has_verified(&self, author: &MemberId, number: u32) -> bool {
        self.authors.get(author).is_some_and(|author| author.verified >= number)
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
        self.sent_with(me, number, digest, key, new_key, NO_LINK);
    }

    fn sent_with(
        &mut self,
        me: &MemberId,
        number: u32,
        digest: Digest,
        key: &VerificationKey,
        new_key: Option<VerificationKey>,
        link: Link,
    ) {
        if let Some(author) = self.authors.get_mut(me) {
            author.record(number, digest, *key.as_bytes(), new_key, link);
            author.delivered = number;
            author.delivered_key = *author.verified_key.as_bytes();
            author.delivered_link = link;
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
        if self.tags.is_none() && (envelope.is_tagged() || envelope.history.is_some()) {
            return Err(Error::Malformed);
        }
        let Some(author) = self.authors.get(id) else {
            if envelope.sender != id.handle() {
                return Err(Error::WrongAuthor);
            }
            return self.wait_as_stranger(id, envelope);
        };
        if envelope.sender != author.handle {
            return Err(Error::WrongAuthor);
        }
        if envelope.number <= author.verified {
            return author.compare(id, envelope, group, &self.by_handle);
        }
        let is_next = author.verified.checked_add(1) == Some(envelope.number);
        let candidates = candidates(envelope, &self.by_handle);
        let is_named = candidates.is_some();
        let Some(candidates) = candidates.filter(|_| is_next && !envelope.is_tagged()) else {
            if self.waits_unchecked(id, group, envelope) {
                return Ok(Receipt::Duplicate);
            }
            let named = self.is_named_ahead(id, group, envelope);
            if named == Some(false) {
                return Err(Error::NotAuthentic);
            }
            let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
            let receipt = match author.unverified.wait(envelope, &mut self.waiting_bytes) {
                // One of each, whatever the room. As many as a signed message can name.
                Err(Error::QueueFull) if named == Some(true) && !author.unverified.has_copy(envelope) => {
                    author.unverified.insert(Waiting::new(envelope), &mut self.waiting_bytes);
                    Receipt::Waits
                }
                Err(Error::QueueFull) if !is_next => self.wait_ahead(id, group, envelope)?,
                receipt => receipt?,
            };
            if is_next
                && !is_named
                && let Some(name) = envelope.subject.name()
            {
                self.unnamed.insert((name, *id));
            }
            if receipt == Receipt::Waits {
                self.find_tagged_with(id, envelope);
            }
            return Ok(receipt);
        };
        let crowded = author.queue.len() >= MAX_WAITING_PER_AUTHOR || !self.has_room(envelope.bytes.len());
        // A message that has nothing to wait for is always accepted, even if forged messages fill the queues.
        if crowded && (!author.queue.is_empty() || !self.may_be_ready(envelope)) {
            return Err(Error::QueueFull);
        }
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        let (verified, agrees) = author.verify(id, envelope, group, candidates, checked)?;
        self.take(id, verified, agrees, group);
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
        author.delivered_link = message.link;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(message.body.len());
        self.ready.remove(&id);
        self.wake(&id, message.number);
        self.line_up(&id);
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
        self.waiting_bytes.saturating_add(len) <= MAX_WAITING_BYTES
    }

    /// The messages under a number of an author, known or not, that wait and have not been verified.
    pub fn unverified(&self, id: &MemberId, number: u32) -> impl Iterator<Item = &[u8]> {
        let messages = self.waiting_of(id).into_iter();
        messages.flat_map(move |messages| messages.under(number)).map(|waiting| &*waiting.bytes)
    }

    /// Whether this message of an author, known or not, waits and has not been verified.
    #[must_use]
    pub fn keeps(&self, id: &MemberId, envelope: &Envelope<'_>) -> bool {
        self.waiting_of(id).is_some_and(|messages| messages.keeps(&Waiting::new(envelope)))
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_idle_but_for(|_| false)
    }

    /// The same without what waits of these authors under tags and after them: nobody may ever be able to settle the last
    /// acknowledgements of a member that is gone.
    #[must_use]
    pub fn is_idle_but_for(&self, gone: impl Fn(&MemberId) -> bool) -> bool {
        self.ready.is_empty()
            && self.depending.is_empty()
            && self.strangers.is_empty()
            && self.authors.iter().all(|(id, author)| author.unverified.is_empty() || self.tags.is_some() && gone(id))
    }

    /// Whether the message that the envelope acknowledges, if any, has been delivered.
    fn may_be_ready(&self, envelope: &Envelope<'_>) -> bool {
        let Subject::Acknowledged(handle, number) = envelope.subject else { return true };
        let named = self.by_handle.get(&handle).map_or(&[][..], Vec::as_slice);
        named.iter().any(|id| self.has_delivered(id, number))
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

    /// Verifies waiting messages of an author whose last verified number has changed, as far as they reach, and drops
    /// those whose turn is over.
    fn verify_waiting(&mut self, id: &MemberId, group: &GroupId) {
        'turns: loop {
            let Some(author) = self.authors.get_mut(id).filter(|author| !author.unverified.is_empty()) else { return };
            while let Some(late) = author.unverified.take_through(author.verified) {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(late.bytes.len());
                if let Some(name) = late.turn.name {
                    self.unnamed.remove(&(name, *id));
                }
            }
            let Some(number) = author.verified.checked_add(1) else { return };
            let expects = core::mem::take(&mut author.expects);
            if let Some(tags) = &mut self.tags {
                expects.into_iter().for_each(|other| tags.forget(other, id));
            }
            let mut names: Vec<_> = author.unverified.under(number).map(|waiting| waiting.turn.name).collect();
            names.dedup();
            for name in names {
                match name.filter(|name| !self.by_handle.contains_key(name)) {
                    Some(unknown) => drop(self.unnamed.insert((unknown, *id))),
                    None if self.verify_one(id, name, group) => continue 'turns,
                    None => {}
                }
            }
            return self.find_tagged(id);
        }
    }

    /// Verifies the messages that wait under an author's next number and name this user until one is authentic, and
    /// drops the forged ones. Returns whether one is.
    fn verify_one(&mut self, id: &MemberId, name: Option<Handle>, group: &GroupId) -> bool {
        let Some(author) = self.authors.get_mut(id) else { return false };
        let Some(number) = author.verified.checked_add(1) else { return false };
        while let Some(bytes) = author.unverified.take_signed(Turn { number, name }) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
            let Ok(envelope) = Envelope::decode(&bytes) else { continue };
            let Some(candidates) = candidates(&envelope, &self.by_handle) else { continue };
            if let Ok((verified, agrees)) = author.verify(id, &envelope, group, candidates, None) {
                self.enqueue(id, verified, agrees);
                return true;
            }
        }
        false
    }

    /// Takes an author's next message, which has been verified, and what has waited for it.
    fn take(&mut self, id: &MemberId, message: Verified, agrees: bool, group: &GroupId) {
        self.enqueue(id, message, agrees);
        self.verify_waiting(id, group);
    }

    fn enqueue(&mut self, id: &MemberId, message: Verified, agrees: bool) {
        if !agrees && let Some(tags) = &mut self.tags {
            tags.unequal.push(*id);
        }
        let Some(author) = self.authors.get_mut(id) else { return };
        self.waiting_bytes += message.body.len();
        author.queue.push_back(message);
        if author.queue.len() == 1 {
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
        let expects_nothing = self.tags.as_ref().is_none_or(|tags| tags.expected.is_empty());
        if self.depending.is_empty() && expects_nothing {
            return;
        }
        let first = (MessageId { author: *author, number: 0 }, MemberId([0; MEMBER_ID_LEN]));
        let last = (MessageId { author: *author, number }, MemberId([u8::MAX; MEMBER_ID_LEN]));
        while let Some(woken) = self.depending.range(first..=last).next().copied() {
            self.depending.remove(&woken);
            self.ready.insert(woken.1);
        }
        let Some(tags) = &mut self.tags else { return };
        while let Some(woken) = tags.expected.range(first..=last).next().copied() {
            tags.expected.remove(&woken);
            tags.due.insert(woken.1);
            if let Some(author) = self.authors.get_mut(&woken.1) {
                author.news = true;
            }
        }
    }
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
        let mut order = CausalOrder::default();
        for key in [&alice, &bob, &carol] {
            order.introduce(id(key), key.verification_key(), 0, &group);
        }
        // Nobody can find such a pair within reason, so the test inserts one.
        let handle = id(&carol).handle();
        order.by_handle.insert(handle, vec![id(&bob), id(&carol)]);
        let subject = Subject::Member(id(&carol));
        let draft = Draft { kind: Kind(1), sender: id(&alice), number: 1, subject, new_key: None, body: &[] };
        let (bytes, _) = draft.sign(&group, id(&alice).handle(), Some(handle), &alice);
        assert_eq!(order.receive(&id(&alice), &group, &bytes), Ok(Receipt::Verified));
        let (_, message) = order.deliver(|_, _, _| true).unwrap();
        assert_eq!(message.subject, subject);
    }
}
