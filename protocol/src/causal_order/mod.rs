//! Authenticated causal order: when a received message is verified, and when it is delivered.
//!
//! Each author numbers its broadcasts 1, 2, 3 and so on, and signs them. A received message is *verified* as soon as
//! all earlier numbers of its author are verified, so that a forged message can neither take a number nor displace the
//! genuine one. It is *ready* when all earlier messages of its author have been delivered, and so has the message that
//! it acknowledges. Members acknowledge a control message as soon as it is delivered to them; so numbers and
//! acknowledgements put control messages in causal order.
//!
//! What cannot be verified yet waits, within limits: later numbers, unknown authors, messages that name unknown
//! members.

mod export;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Kind, Subject};

/// The number of messages that may wait for each author.
pub const MAX_WAITING_PER_AUTHOR: usize = 1024;
/// The number of bytes that may wait, over all authors. A message that is ready when it is received needs no room.
pub const MAX_WAITING_BYTES: usize = 16 << 20;
/// The number of unknown authors whose messages may wait.
pub const MAX_STRANGERS: usize = 1024;
/// The number of last messages of each author for which a second message under the same number is noticed. Under an
/// older number it counts as a duplicate.
pub const EQUIVOCATION_WINDOW: usize = 8;

/// A message whose signature has been verified.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The message's place among its author's messages, from 1.
    pub number: u32,
    /// What the message is.
    pub kind: Kind,
    /// The user that the envelope names.
    pub subject: Subject<MemberId>,
    /// The author's verification key from its next message on, if it changes.
    pub new_key: Option<VerificationKey>,
    /// Version, kind, sender and number, as received.
    pub header: Vec<u8>,
    /// The protocol's part of the message.
    pub body: Vec<u8>,
    /// The hash that is signed.
    pub digest: Digest,
    /// The verification key under which the message was verified.
    pub key: [u8; VERIFICATION_KEY_LEN],
}

/// What happens to a message when it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It is verified: [`CausalOrder::deliver`] returns it once it is ready.
    Verified,
    /// It cannot be verified yet.
    Waits,
    /// It has been received before, or is too old for that to be known.
    Duplicate,
    /// Its author has signed another message under the same number.
    Equivocation,
}

/// The authors' messages: what has been delivered, what has been verified, what waits.
#[derive(Clone, Default)]
pub struct CausalOrder {
    authors: BTreeMap<MemberId, Author>,
    by_handle: BTreeMap<Handle, Vec<MemberId>>,
    /// Authors with verified messages that have not been delivered.
    blocked: BTreeSet<MemberId>,
    strangers: BTreeMap<MemberId, Vec<Vec<u8>>>,
    waiting_bytes: usize,
}

#[derive(Clone)]
struct Author {
    handle: Handle,
    delivered: u32,
    delivered_key: [u8; VERIFICATION_KEY_LEN],
    verified: u32,
    verified_key: VerificationKey,
    /// Verified but not delivered, in order of numbers.
    queue: VecDeque<Verified>,
    /// Received but not verified.
    unverified: Vec<Vec<u8>>,
    window: VecDeque<Seen>,
}

#[derive(Clone, Copy)]
struct Seen {
    number: u32,
    digest: Digest,
    key: [u8; VERIFICATION_KEY_LEN],
}

impl CausalOrder {
    /// Makes an author known: all its messages up to number `delivered` count as delivered, and `key` verifies the next
    /// one. Messages that have waited for the author, or for a user with its handle, are tried again. Has no effect on
    /// a known author.
    pub fn introduce(&mut self, id: MemberId, key: VerificationKey, delivered: u32, group: &GroupId) {
        if self.authors.contains_key(&id) {
            return;
        }
        let handle = id.handle();
        let author = Author {
            handle,
            delivered,
            delivered_key: *key.as_bytes(),
            verified: delivered,
            verified_key: key,
            queue: VecDeque::new(),
            unverified: self.strangers.remove(&id).unwrap_or_default(),
            window: VecDeque::new(),
        };
        self.by_handle.entry(handle).or_default().push(id);
        self.authors.insert(id, author);
        if self.waiting_bytes == 0 {
            return;
        }
        let waiting: Vec<_> =
            self.authors.iter().filter(|(_, author)| !author.unverified.is_empty()).map(|(id, _)| *id).collect();
        for id in waiting {
            self.retry(&id, group);
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
        if let Some(author) = self.authors.get_mut(me) {
            author.record(number, digest, *key.as_bytes(), new_key);
            author.delivered = number;
            author.delivered_key = *author.verified_key.as_bytes();
        }
    }

    /// Receives a message: verifies it, or lets it wait.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::WrongAuthor`], [`Error::NotAuthentic`], or [`Error::QueueFull`], after which the
    /// message can be received again. Nothing has changed then.
    pub fn receive(&mut self, id: &MemberId, group: &GroupId, bytes: &[u8]) -> Result<Receipt, Error> {
        let envelope = Envelope::decode(bytes)?;
        let Some(author) = self.authors.get(id) else {
            if envelope.sender != id.handle() {
                return Err(Error::WrongAuthor);
            }
            return self.wait_as_stranger(id, bytes);
        };
        if envelope.sender != author.handle {
            return Err(Error::WrongAuthor);
        }
        if envelope.number <= author.verified {
            return author.compare(id, &envelope, group, &self.by_handle);
        }
        let candidates = candidates(&envelope, &self.by_handle);
        let next = candidates.filter(|_| envelope.number == author.verified.saturating_add(1));
        if next.is_some() {
            let crowded = author.queue.len() >= MAX_WAITING_PER_AUTHOR || !self.has_room(bytes.len());
            // A message that has nothing to wait for is always accepted, even if forged messages fill the queues.
            if crowded && (!author.queue.is_empty() || !self.may_be_ready(&envelope)) {
                return Err(Error::QueueFull);
            }
        }
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        if let Some(candidates) = next {
            let verified = author.verify(id, &envelope, group, candidates)?;
            self.waiting_bytes += verified.body.len();
            author.queue.push_back(verified);
            self.blocked.insert(*id);
            if !author.unverified.is_empty() {
                self.retry(id, group);
            }
            return Ok(Receipt::Verified);
        }
        wait(&mut author.unverified, &mut self.waiting_bytes, bytes)
    }

    /// Delivers the next message that is ready; `None` if there is none. With `may`, the protocol can hold back a
    /// message for reasons of its own.
    pub fn deliver(&mut self, may: impl Fn(&MemberId, &Verified) -> bool) -> Option<(MemberId, Verified)> {
        let ready = |id: &MemberId| {
            let author = self.authors.get(id)?;
            let first = author.queue.front()?;
            let depends = first.subject.acknowledged();
            let delivered = depends.is_none_or(|other| self.has_delivered(&other.author, other.number));
            (delivered && may(id, first)).then_some(*id)
        };
        let id = self.blocked.iter().find_map(ready)?;
        let author = self.authors.get_mut(&id)?;
        let message = author.queue.pop_front()?;
        author.delivered = message.number;
        if let Some(key) = &message.new_key {
            author.delivered_key = *key.as_bytes();
        }
        if author.queue.is_empty() {
            self.blocked.remove(&id);
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(message.body.len());
        Some((id, message))
    }

    /// Why verified messages wait: for each author whose next one waits, the author and the message that it
    /// acknowledges.
    pub fn awaited(&self) -> impl Iterator<Item = (MemberId, MessageId)> {
        self.blocked.iter().filter_map(|id| {
            let other = self.authors.get(id)?.queue.front()?.subject.acknowledged()?;
            (!self.has_delivered(&other.author, other.number)).then_some((*id, other))
        })
    }

    /// Whether `len` more bytes may wait. The caller must check it for what it holds back in
    /// [`deliver`](Self::deliver).
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        self.waiting_bytes.saturating_add(len) <= MAX_WAITING_BYTES
    }

    /// The messages of an author, known or not, that wait and have not been verified.
    pub fn unverified(&self, id: &MemberId) -> impl Iterator<Item = &[u8]> {
        let known = self.authors.get(id).map(|author| &author.unverified);
        known.or_else(|| self.strangers.get(id)).into_iter().flatten().map(Vec::as_slice)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.blocked.is_empty()
            && self.strangers.is_empty()
            && self.authors.values().all(|author| author.unverified.is_empty())
    }

    /// All messages that wait and have not been verified, with their authors.
    pub fn into_unverified(self) -> impl Iterator<Item = (MemberId, Vec<u8>)> {
        let known = self.authors.into_iter().map(|(id, author)| (id, author.unverified));
        known.chain(self.strangers).flat_map(|(id, queue)| queue.into_iter().map(move |bytes| (id, bytes)))
    }

    /// Whether the message that the envelope acknowledges, if any, has been delivered.
    fn may_be_ready(&self, envelope: &Envelope<'_>) -> bool {
        let Subject::Acknowledged(handle, number) = envelope.subject else { return true };
        let named = self.by_handle.get(&handle).map_or(&[][..], Vec::as_slice);
        named.iter().any(|id| self.has_delivered(id, number))
    }

    fn wait_as_stranger(&mut self, id: &MemberId, bytes: &[u8]) -> Result<Receipt, Error> {
        if !self.strangers.contains_key(id) && self.strangers.len() >= MAX_STRANGERS {
            return Err(Error::QueueFull);
        }
        wait(self.strangers.entry(*id).or_default(), &mut self.waiting_bytes, bytes)
    }

    /// Verifies those waiting messages of an author that can now be verified, and drops forged ones.
    fn retry(&mut self, id: &MemberId, group: &GroupId) {
        let Some(author) = self.authors.get_mut(id) else { return };
        let mut waiting = core::mem::take(&mut author.unverified);
        loop {
            let before = waiting.len();
            waiting.retain(|bytes| {
                let Ok(envelope) = Envelope::decode(bytes) else { return false };
                if envelope.number > author.verified.saturating_add(1) {
                    return true;
                }
                if envelope.number <= author.verified {
                    self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
                    return false;
                }
                let Some(candidates) = candidates(&envelope, &self.by_handle) else { return true };
                self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes.len());
                if let Ok(verified) = author.verify(id, &envelope, group, candidates) {
                    self.waiting_bytes += verified.body.len();
                    author.queue.push_back(verified);
                    self.blocked.insert(*id);
                }
                false
            });
            if waiting.len() == before {
                break;
            }
        }
        author.unverified = waiting;
    }
}

impl Author {
    fn verify(
        &mut self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        group: &GroupId,
        candidates: Candidates<'_>,
    ) -> Result<Verified, Error> {
        let (subject, digest) = authenticate(id, envelope, group, candidates, &self.verified_key)?;
        let verified = Verified {
            number: envelope.number,
            kind: envelope.kind,
            subject,
            new_key: envelope.new_key,
            header: envelope.header.to_vec(),
            body: envelope.body.to_vec(),
            digest,
            key: *self.verified_key.as_bytes(),
        };
        self.record(envelope.number, digest, verified.key, envelope.new_key);
        Ok(verified)
    }

    fn record(
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
    fn compare(
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
) -> Result<(Subject<MemberId>, Digest), Error> {
    for subject in candidates.subjects() {
        let digest = envelope.digest(group, id, &subject);
        if envelope.verify(&digest, key).is_ok() {
            return Ok((subject, digest));
        }
    }
    Err(Error::NotAuthentic)
}

/// The users that an envelope may name: every known user with the handle.
#[derive(Clone, Copy)]
struct Candidates<'a> {
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
fn candidates<'a>(envelope: &Envelope<'_>, by_handle: &'a BTreeMap<Handle, Vec<MemberId>>) -> Option<Candidates<'a>> {
    let ids = match envelope.subject.name() {
        None => &[][..],
        Some(handle) => by_handle.get(&handle)?,
    };
    Some(Candidates { subject: envelope.subject, ids })
}

fn wait(queue: &mut Vec<Vec<u8>>, waiting_bytes: &mut usize, bytes: &[u8]) -> Result<Receipt, Error> {
    if queue.iter().any(|waiting| waiting == bytes) {
        return Ok(Receipt::Duplicate);
    }
    if queue.len() >= MAX_WAITING_PER_AUTHOR || *waiting_bytes + bytes.len() > MAX_WAITING_BYTES {
        return Err(Error::QueueFull);
    }
    queue.push(bytes.to_vec());
    *waiting_bytes += bytes.len();
    Ok(Receipt::Waits)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::crypto::signature::SigningKey;
    use crate::wire::envelope::Draft;

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
        let (_, message) = order.deliver(|_, _| true).unwrap();
        assert_eq!(message.subject, subject);
    }
}
