//! Acknowledgements that a tag authenticates.

use super::author::{Ahead, Author};
use super::tags::{Arrival, Tagged};
use super::unverified::{Note, Waiting};
use super::{CausalOrder, MAX_TAGGED, Receipt, Verified};
use crate::crypto::hash::Digest;
use crate::crypto::signature::VerificationKey;
use crate::error::Error;
use crate::id::{GroupId, Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, History, Kind, LINK_LEN, Link, NO_LINK, Subject, next_link, short};

/// How many choices of messages are compared with what a signed message says of them. If there are more, nobody tries: the
/// caller waits for a message that says the digest of each.
const MAX_CHOICES: usize = 64;

impl CausalOrder {
    /// An order whose messages may have tags.
    #[must_use]
    pub fn with_tags() -> Self {
        Self { tags: Some(Box::default()), ..Self::default() }
    }

    /// Records an acknowledgement that this member has sent itself, under a tag. `key` verifies its signed messages. Counts
    /// one link.
    pub fn sent_tagged(&mut self, me: &MemberId, number: u32, digest: Digest, key: &VerificationKey) {
        let Some(author) = self.authors.get(me) else { return };
        let link = next_link(&author.verified_link, &digest);
        if let Some(tags) = &mut self.tags {
            tags.mine.push(short(&digest));
        }
        self.sent_with(me, number, digest, key, None, link);
    }

    /// What this member's next signed message says of its messages under tags; `None` if there are none. `each`: whether it
    /// needs their digests.
    #[must_use]
    pub fn history(&self, me: &MemberId, each: bool) -> Option<History<'_>> {
        let author = self.authors.get(me).filter(|author| author.verified_link != NO_LINK)?;
        let mine = self.tags.as_ref().map_or(&[][..], |tags| &tags.mine);
        Some(History { link: author.verified_link, digests: if each { mine } else { &[] } })
    }

    /// Whether this member must sign its next acknowledgement, because it has sent [`MAX_TAGGED`] without a signature.
    #[must_use]
    pub fn must_sign(&self) -> bool {
        self.tags.as_ref().is_some_and(|tags| tags.mine.len() >= MAX_TAGGED)
    }

    /// Authors that have said something else of their messages under tags than what was taken for them, since the last
    /// call: a member that knows the secrets has sent some in their names.
    pub fn take_unequal(&mut self) -> Vec<MemberId> {
        self.tags.as_mut().map(|tags| core::mem::take(&mut tags.unequal)).unwrap_or_default()
    }

    /// An author whose messages under tags may be settled now, and those that may be its next message and were not returned
    /// before. The caller settles them ([`accept`](Self::accept), [`refuse`](Self::refuse)) as far as it can, and calls
    /// [`reach`](Self::reach) if none is accepted.
    pub fn due(&mut self, group: &GroupId) -> Option<(MemberId, Vec<Tagged>)> {
        let id = self.tags.as_mut()?.due.pop_first()?;
        let next = self.authors.get(&id).and_then(|author| author.verified.checked_add(1));
        Some((id, next.map_or_else(Vec::new, |number| self.unchecked(&id, number, group))))
    }

    /// What an acknowledgement with a tag that arrives is, if it can be settled at once: it is its author's next message, what
    /// it acknowledges has been delivered, and so have all earlier messages of its author.
    #[must_use]
    pub fn arrives(&self, id: &MemberId, group: &GroupId, envelope: &Envelope<'_>) -> Option<Arrival> {
        let author = self.authors.get(id).filter(|_| self.tags.is_some() && envelope.is_tagged())?;
        let is_next = author.verified.checked_add(1) == Some(envelope.number) && envelope.sender == author.handle;
        if !is_next || author.delivered != author.verified {
            return None;
        }
        let Subject::Acknowledged(handle, number) = envelope.subject else { return None };
        // Where two users share the handle, it waits like the others.
        let [user] = self.by_handle.get(&handle)?.as_slice() else { return None };
        let acknowledged = MessageId { author: *user, number };
        self.has_delivered(user, number).then(|| {
            let digest = envelope.digest(group, id, &Subject::Acknowledged(*user, number));
            Arrival { acknowledged, digest }
        })
    }

    /// Delivers a message that [arrives](Self::arrives) and is authentic, before anything that waits. Counts one link.
    pub fn deliver_arrival(
        &mut self,
        id: &MemberId,
        envelope: &Envelope<'_>,
        arrival: &Arrival,
        group: &GroupId,
    ) -> Option<Verified> {
        let author = self.authors.get_mut(id)?;
        let message = author.verified_tagged(envelope.number, arrival.acknowledged, arrival.digest);
        author.take(&message);
        author.delivered = message.number;
        author.delivered_link = message.link;
        let others_wait = !author.unverified.is_empty();
        self.wake(id, message.number);
        if others_wait {
            self.verify_waiting(id, group);
        }
        Some(message)
    }

    /// Takes a message under a tag as its author's next one, and what has waited for it. Counts one link.
    pub fn accept(&mut self, id: &MemberId, tagged: &Tagged, group: &GroupId) -> Result<(), Error> {
        self.refuse(id, tagged);
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        let message = author.verified_tagged(tagged.waiting.turn.number, tagged.acknowledged, tagged.digest);
        author.take(&message);
        self.take(id, message, true, group);
        Ok(())
    }

    /// Forgets a message that has not the tag of its author.
    pub fn refuse(&mut self, id: &MemberId, tagged: &Tagged) {
        self.forget(id, &tagged.waiting);
    }

    /// Returns whether the message has waited.
    fn forget(&mut self, id: &MemberId, waiting: &Waiting) -> bool {
        let waited = self.authors.get_mut(id).is_some_and(|author| author.unverified.remove(waiting));
        if waited {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.bytes.len());
        }
        waited
    }

    /// Settles messages under tags by what a later signed message of their author says of them. Returns whether any was
    /// taken.
    ///
    /// A signature is checked at most once ahead of its turn, and only if nothing but messages under tags can come before
    /// it. If it is not valid under the author's current key, the message goes on waiting: what comes before it may change
    /// the key.
    pub fn reach(&mut self, id: &MemberId, group: &GroupId) -> Result<bool, Error> {
        let reached = self.try_to_reach(id, group)?;
        // What waits is not looked at again for each message that arrives.
        if let Some(author) = self.authors.get_mut(id).filter(|_| !reached) {
            // Unless nothing is left under the next number: then nothing behind it has been looked at.
            let next = author.verified.saturating_add(1);
            author.news &= !author.unverified.under(next).any(Waiting::is_tagged);
        }
        Ok(reached)
    }

    fn try_to_reach(&mut self, id: &MemberId, group: &GroupId) -> Result<bool, Error> {
        self.look_ahead(id, group);
        let Some(author) = self.authors.get(id) else { return Ok(false) };
        let Some(ahead) = author.ahead.clone() else { return Ok(false) };
        let envelope = Envelope::decode(&ahead.waiting.bytes)?;
        let Some(history) = envelope.history else { return Ok(false) };
        let numbers = author.verified.saturating_add(1)..envelope.number;
        let unjudged: Vec<Vec<Waiting>> =
            numbers.clone().map(|number| author.unresolved(number, |_| true).cloned().collect()).collect();
        for number in numbers.clone() {
            self.resolve(id, number, group);
        }
        let Some(author) = self.authors.get(id) else { return Ok(false) };
        let choices: Vec<Vec<Tagged>> = numbers.map(|number| author.tagged_under(number, true).collect()).collect();
        let Some((chosen, agrees)) = choose(author, &choices, &history) else {
            self.keep_named(id, group, &history, &unjudged);
            return Ok(false);
        };
        // Its signature is not checked again.
        if self.forget(id, &ahead.waiting)
            && let Some(author) = self.authors.get_mut(id)
        {
            author.ahead = None;
        }
        for tagged in chosen {
            self.accept(id, tagged, group)?;
        }
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        if author.verified.checked_add(1) == Some(envelope.number) {
            author.take(&ahead.verified);
            self.take(id, ahead.verified, agrees, group);
        }
        Ok(true)
    }

    /// Forgets those of the messages that wait under tags before a signed message, by number, that are none of those whose
    /// digests it says.
    fn keep_named(&mut self, id: &MemberId, group: &GroupId, history: &History<'_>, waiting: &[Vec<Waiting>]) {
        for (digest, waiting) in history.digests.iter().rev().zip(waiting.iter().rev()) {
            for waiting in waiting {
                let Ok(envelope) = Envelope::decode(&waiting.bytes) else { continue };
                // Of a user that is not known yet, the full id is missing.
                let digests = self.named(&envelope.subject).map(|named| envelope.digest(group, id, &named.into()));
                let digests: Vec<Digest> = digests.collect();
                if !digests.is_empty() && digests.iter().all(|other| short(other) != *digest) {
                    self.forget(id, waiting);
                }
            }
        }
    }

    /// Finds out whether messages under tags can be settled for an author, and otherwise what they wait for.
    pub(super) fn find_tagged(&mut self, id: &MemberId) {
        let Some(author) = self.authors.get_mut(id).filter(|_| self.tags.is_some()) else { return };
        author.news = true;
        let Some(number) = author.verified.checked_add(1) else { return };
        if author.unverified.under(number).any(Waiting::is_tagged) {
            self.settle_later(id);
        }
    }

    /// The same after the arrival of a message, which waits.
    pub(super) fn find_tagged_with(&mut self, id: &MemberId, envelope: &Envelope<'_>) {
        let Some(author) = self.authors.get(id).filter(|_| self.tags.is_some()) else { return };
        let Some(number) = author.verified.checked_add(1) else { return };
        let is_next = envelope.number == number && envelope.is_tagged();
        if is_next || author.unverified.under(number).any(Waiting::is_tagged) {
            self.settle_later(id);
        }
    }

    fn settle_later(&mut self, id: &MemberId) {
        if let Some(tags) = &mut self.tags {
            tags.due.insert(*id);
        }
    }

    fn expect(&mut self, id: &MemberId, subject: &Subject<Handle>) {
        if let Some(unknown) = subject.name().filter(|handle| !self.by_handle.contains_key(handle)) {
            self.unnamed.insert((unknown, *id));
        }
        let missing = self.named(subject).filter(|named| !self.has_delivered(&named.author, named.number));
        let missing: Vec<MessageId> = missing.collect();
        let (Some(author), Some(tags)) = (self.authors.get_mut(id), &mut self.tags) else { return };
        tags.expected.extend(missing.iter().map(|message| (*message, *id)));
        author.expects.extend(missing);
    }

    /// Finds out what the messages under tags and this number are, as far as what they acknowledge has been delivered, and
    /// what the others wait for.
    fn resolve(&mut self, id: &MemberId, number: u32, group: &GroupId) {
        let Some(author) = self.authors.get(id) else { return };
        let (mut found, mut nothing, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
        for waiting in author.unresolved(number, |note| matches!(note, Note::Nothing)) {
            let Ok(envelope) = Envelope::decode(&waiting.bytes) else { continue };
            let possible = self.possible(id, group, &envelope, waiting);
            if possible.is_empty() {
                nothing.push(Waiting { note: Note::Nothing, ..waiting.clone() });
            }
            found.extend(possible);
            subjects.push(envelope.subject);
        }
        self.note(id, found, Note::Tagged);
        if let Some(author) = self.authors.get_mut(id) {
            nothing.into_iter().for_each(|waiting| author.unverified.note(waiting));
        }
        subjects.iter().for_each(|subject| self.expect(id, subject));
    }

    /// The messages under tags and an author's next number that the caller has not tried to check yet.
    fn unchecked(&mut self, id: &MemberId, number: u32, group: &GroupId) -> Vec<Tagged> {
        self.resolve(id, number, group);
        let Some(author) = self.authors.get(id) else { return Vec::new() };
        let found: Vec<Tagged> = author.tagged_under(number, false).collect();
        self.note(id, found.clone(), Note::Unchecked);
        found
    }

    fn note(&mut self, id: &MemberId, messages: Vec<Tagged>, note: impl Fn(MessageId, Digest) -> Note) {
        let Some(author) = self.authors.get_mut(id) else { return };
        for Tagged { acknowledged, digest, waiting } in messages {
            author.unverified.note(Waiting { note: note(acknowledged, digest), ..waiting });
        }
    }

    /// Whether a signed message ahead of its turn names this acknowledgement; `None` if it does not say, or the user that the
    /// acknowledgement names is not known.
    pub(super) fn is_named_ahead(&self, id: &MemberId, group: &GroupId, envelope: &Envelope<'_>) -> Option<bool> {
        let author = self.authors.get(id).filter(|_| envelope.is_tagged())?;
        let ahead = author.ahead.as_ref().filter(|it| it.verified.key == *author.verified_key.as_bytes())?;
        let distance = ahead.verified.number.checked_sub(envelope.number)?.checked_sub(1)?;
        let said = Envelope::decode(&ahead.waiting.bytes).ok()?.history?.digests.iter().rev().nth(distance as usize)?;
        let digests = self.named(&envelope.subject).map(|named| short(&envelope.digest(group, id, &named.into())));
        let digests: Vec<_> = digests.collect();
        (!digests.is_empty()).then(|| digests.contains(said))
    }

    /// Whether the same acknowledgement waits already under another tag, and nobody here can check either.
    pub(super) fn waits_unchecked(&self, id: &MemberId, group: &GroupId, envelope: &Envelope<'_>) -> bool {
        let Some(author) = self.authors.get(id).filter(|_| self.tags.is_some() && envelope.is_tagged()) else {
            return false;
        };
        let unchecked = author.unverified.under(envelope.number).filter_map(|waiting| match waiting.note {
            Note::Unchecked(_, digest) => Some(digest),
            _ => None,
        });
        let digests: Vec<Digest> = unchecked.collect();
        // Without any, nothing is hashed.
        !digests.is_empty()
            && self
                .possible(id, group, envelope, &Waiting::new(envelope))
                .iter()
                .any(|tagged| digests.contains(&tagged.digest))
    }

    /// What an acknowledgement with a tag may be: one for each known user with the handle that it names.
    fn possible(&self, id: &MemberId, group: &GroupId, envelope: &Envelope<'_>, waiting: &Waiting) -> Vec<Tagged> {
        let delivered = self.named(&envelope.subject).filter(|named| self.has_delivered(&named.author, named.number));
        let tagged = |acknowledged: MessageId| {
            let digest = envelope.digest(group, id, &acknowledged.into());
            Tagged { acknowledged, digest, waiting: waiting.clone() }
        };
        delivered.map(tagged).collect()
    }

    /// What an acknowledgement names: a message of each known user with the handle.
    fn named(&self, subject: &Subject<Handle>) -> impl Iterator<Item = MessageId> {
        let (users, number) = match *subject {
            Subject::Acknowledged(handle, number) => (self.by_handle.get(&handle), number),
            Subject::None | Subject::Member(_) => (None, 0),
        };
        users.into_iter().flatten().map(move |author| MessageId { author: *author, number })
    }

    /// Lets a signed message wait where there is no room, if it is authentic and says what was sent under tags before it: then
    /// what was not can be forgotten. One such message of each author.
    pub(super) fn wait_ahead(
        &mut self,
        id: &MemberId,
        group: &GroupId,
        envelope: &Envelope<'_>,
    ) -> Result<Receipt, Error> {
        let Some(author) = self.authors.get(id) else { return Err(Error::QueueFull) };
        let distance = envelope.number.saturating_sub(author.verified);
        let says = self.tags.is_some() && envelope.history.is_some() && distance <= 1 + MAX_TAGGED as u32;
        let candidates = super::author::candidates(envelope, &self.by_handle);
        let Some(candidates) =
            candidates.filter(|_| says && author.ahead.as_ref().is_none_or(|it| envelope.number < it.verified.number))
        else {
            return Err(Error::QueueFull);
        };
        let verified = author.check(id, envelope, group, candidates).map_err(|_| Error::QueueFull)?;
        let waiting = Waiting::new(envelope);
        // It takes the place of a later one, which may come again.
        let later = self.authors.get_mut(id).and_then(|author| author.ahead.take());
        if let Some(later) = later {
            self.forget(id, &later.waiting);
        }
        let author = self.authors.get_mut(id).ok_or(Error::Internal)?;
        author.unverified.insert(waiting.clone(), &mut self.waiting_bytes);
        author.ahead = Some(Box::new(Ahead { waiting, verified }));
        author.news = true;
        self.settle_later(id);
        Ok(Receipt::Waits)
    }

    /// Checks the signatures of an author's later messages as far as nothing but messages under tags is before them.
    fn look_ahead(&mut self, id: &MemberId, group: &GroupId) {
        let Some(author) = self.authors.get_mut(id) else { return };
        let key = *author.verified_key.as_bytes();
        // Another message may have taken the numbers before it.
        author.ahead = author.ahead.take().filter(|it| it.verified.number > author.verified && it.verified.key == key);
        // A signed message before the one that was found comes first.
        let last = author.ahead.as_ref().map_or(u32::MAX, |it| it.verified.number - 1);
        let Some(author) = self.authors.get(id) else { return };
        let news = author.news;
        let is_open = |waiting: &&Waiting| match waiting.note {
            Note::Tried(under) => under != key,
            Note::Nothing => news,
            _ => true,
        };
        let (mut found, mut refused, mut unknown) = (None, Vec::new(), Vec::new());
        let first = author.verified.saturating_add(1);
        for number in first..=first.saturating_add(MAX_TAGGED as u32).min(last) {
            let signed = author.unverified.under(number).filter(|waiting| !waiting.is_tagged() && number > first);
            for waiting in signed.filter(is_open) {
                let Ok(envelope) = Envelope::decode(&waiting.bytes) else { continue };
                let candidates = super::author::candidates(&envelope, &self.by_handle);
                unknown.extend(envelope.subject.name().filter(|_| candidates.is_none()));
                let Some(candidates) = candidates.filter(|_| envelope.history.is_some()) else {
                    refused.push(Waiting { note: Note::Nothing, ..waiting.clone() });
                    continue;
                };
                match author.check(id, &envelope, group, candidates) {
                    Ok(verified) => {
                        found = Some(Box::new(Ahead { waiting: waiting.clone(), verified }));
                        break;
                    }
                    Err(_) => refused.push(Waiting { note: Note::Tried(key), ..waiting.clone() }),
                }
            }
            if found.is_some() || !author.unverified.under(number).any(Waiting::is_tagged) {
                break;
            }
        }
        self.unnamed.extend(unknown.into_iter().map(|name| (name, *id)));
        if let Some(author) = self.authors.get_mut(id) {
            if found.is_some() {
                author.news = true;
                author.ahead = found;
            }
            refused.into_iter().for_each(|waiting| author.unverified.note(waiting));
        }
    }
}

impl Author {
    /// The author's next message, which is an acknowledgement with a tag.
    fn verified_tagged(
        &self,
        number: u32,
        MessageId { author, number: acknowledged }: MessageId,
        digest: Digest,
    ) -> Verified {
        Verified {
            number,
            kind: Kind::TAGGED,
            subject: Subject::Acknowledged(author, acknowledged),
            new_key: None,
            header: Vec::new(),
            body: Vec::new(),
            digest,
            key: *self.verified_key.as_bytes(),
            link: next_link(&self.verified_link, &digest),
        }
    }

    /// The messages under tags and this number that have not been looked at; if there are news, also those with such a note.
    fn unresolved(&self, number: u32, again: impl Fn(&Note) -> bool) -> impl Iterator<Item = &Waiting> {
        let is_open = move |note: &Note| matches!(note, Note::None) || self.news && again(note);
        self.unverified.under(number).filter(move |waiting| waiting.is_tagged() && is_open(&waiting.note))
    }

    /// The messages under tags and this number that have been resolved; all of them, or those that may be checked.
    fn tagged_under(&self, number: u32, all: bool) -> impl Iterator<Item = Tagged> {
        self.unverified.under(number).filter_map(move |waiting| {
            let (acknowledged, digest) = match waiting.note {
                Note::Tagged(acknowledged, digest) => (acknowledged, digest),
                Note::Unchecked(acknowledged, digest) if all => (acknowledged, digest),
                _ => return None,
            };
            Some(Tagged { acknowledged, digest, waiting: waiting.clone() })
        })
    }
}

/// The messages, one under each number, that a signed message after them speaks of: by the digest of each, or by the link
/// of all. And whether it agrees on what was taken before them.
///
/// If it does not, a member that knows the secrets has sent some in the author's name. Then it may have taken the number of a
/// signed message, from which on the author counts.
fn choose<'a>(author: &Author, choices: &'a [Vec<Tagged>], history: &History<'_>) -> Option<(Vec<&'a Tagged>, bool)> {
    if let Some(before) = history.digests.len().checked_sub(choices.len()) {
        let digests: &[[u8; LINK_LEN]] = history.digests.get(before..)?;
        let of = |(choices, digest): (&'a Vec<Tagged>, &[u8; LINK_LEN])| {
            choices.iter().find(|choice| short(&choice.digest) == *digest)
        };
        let chosen: Vec<&Tagged> = choices.iter().zip(digests).map(of).collect::<Option<_>>()?;
        let agrees = link_after(&author.verified_link, &chosen) == history.link;
        return Some((chosen, agrees));
    }
    // Copies with other tags have the same digest.
    let distinct = |choices: &'a Vec<Tagged>| {
        let mut distinct = Vec::<&Tagged>::new();
        for choice in choices {
            // One more is too many already.
            if distinct.len() > MAX_CHOICES {
                break;
            }
            if distinct.iter().all(|other| other.digest != choice.digest) {
                distinct.push(choice);
            }
        }
        distinct
    };
    let choices: Vec<Vec<&Tagged>> = choices.iter().map(distinct).collect();
    let number = choices.iter().try_fold(1_usize, |number, choices| number.checked_mul(choices.len()))?;
    if number > MAX_CHOICES {
        return None;
    }
    let choice = |mut which: usize| -> Option<Vec<&'a Tagged>> {
        let of = |choices: &Vec<&'a Tagged>| {
            let choice = choices.get(which % choices.len()).copied();
            which /= choices.len();
            choice
        };
        choices.iter().map(of).collect()
    };
    [(author.verified_link, true), (NO_LINK, false)].into_iter().find_map(|(link, agrees)| {
        let mut chosen = (0..number).filter_map(choice);
        chosen.find(|chosen| link_after(&link, chosen) == history.link).map(|chosen| (chosen, agrees))
    })
}

fn link_after(link: &Link, messages: &[&Tagged]) -> Link {
    messages.iter().fold(*link, |link, message| next_link(&link, &message.digest))
}
