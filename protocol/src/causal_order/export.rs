//! The state as bytes. It includes the messages that wait: a member that has received a message does not get it again.

use super::author::{Author, Seen};
use super::unverified::{Unverified, Waiting};
use super::{CausalOrder, EQUIVOCATION_WINDOW, MAX_STRANGERS, MAX_TAGGED, MAX_WAITING_PER_AUTHOR, Verified};
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{Handle, MEMBER_ID_LEN, MemberId};
use crate::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use crate::wire::envelope::{Envelope, Kind, LINK_LEN, NO_LINK, Subject};

impl CausalOrder {
    /// Appends the state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.authors.len());
        for (id, author) in &self.authors {
            out.extend_from_slice(&id.0);
            author.encode(self.tags.is_some(), out);
        }
        put_len(out, self.strangers.len());
        for (id, messages) in &self.strangers {
            out.extend_from_slice(&id.0);
            messages.encode(out);
        }
        if let Some(tags) = &self.tags {
            put_len(out, tags.mine.len());
            tags.mine.iter().for_each(|digest| out.extend_from_slice(digest));
        }
    }

    /// Reads what [`encode`](Self::encode) wrote: encoding the result gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::default().read(reader)
    }

    /// The same into a new order, made [`with_tags`](Self::with_tags) or not as the encoded one was.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn read(mut self, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let order = &mut self;
        for _ in 0..reader.count(MEMBER_ID_LEN + 2 * VERIFICATION_KEY_LEN)? {
            let id = take_id(reader, order.authors.last_key_value())?;
            let author = Author::decode(&id, order.tags.is_some(), reader)?;
            order.by_handle.entry(author.handle).or_default().push(id);
            order.waiting_bytes += author.queue.iter().map(|message| message.body.len()).sum::<usize>();
            order.waiting_bytes += author.unverified.bytes();
            order.authors.insert(id, author);
        }
        let strangers = reader.count(MEMBER_ID_LEN)?;
        for _ in 0..strangers {
            let id = take_id(reader, order.strangers.last_key_value())?;
            let messages = Unverified::decode(&id.handle(), reader)?;
            order.waiting_bytes += messages.bytes();
            if messages.is_empty() || order.authors.contains_key(&id) {
                return Err(Error::Malformed);
            }
            order.strangers.insert(id, messages);
        }
        if strangers > MAX_STRANGERS {
            return Err(Error::Malformed);
        }
        for id in order.authors.keys().copied().collect::<Vec<_>>() {
            order.line_up(&id);
            order.find_unnamed(&id)?;
            order.find_tagged(&id);
        }
        if let Some(tags) = &mut order.tags {
            for _ in 0..reader.count(LINK_LEN)? {
                tags.mine.push(reader.array()?);
            }
            if tags.mine.len() > MAX_TAGGED {
                return Err(Error::Malformed);
            }
        }
        Ok(self)
    }

    /// Finds what an author's next message waits for. It names an unknown user: any other would have been verified.
    fn find_unnamed(&mut self, id: &MemberId) -> Result<(), Error> {
        let Some(author) = self.authors.get(id) else { return Ok(()) };
        let Some(first) = author.unverified.iter().next() else { return Ok(()) };
        let next = author.verified.checked_add(1).filter(|next| *next <= first.turn.number).ok_or(Error::Malformed)?;
        for waiting in author.unverified.under(next).filter(|waiting| self.tags.is_none() || !waiting.is_tagged()) {
            let name = waiting.turn.name.filter(|name| !self.by_handle.contains_key(name)).ok_or(Error::Malformed)?;
            self.unnamed.insert((name, *id));
        }
        Ok(())
    }
}

impl Author {
    fn encode(&self, tags: bool, out: &mut Vec<u8>) {
        put_varint(out, self.delivered);
        out.extend_from_slice(&self.delivered_key);
        put_varint(out, self.verified);
        out.extend_from_slice(self.verified_key.as_bytes());
        put_len(out, self.queue.len());
        self.queue.iter().for_each(|message| message.encode(tags, out));
        self.unverified.encode(out);
        put_len(out, self.window.len());
        for Seen { number, digest, key } in &self.window {
            put_varint(out, *number);
            out.extend_from_slice(digest.as_bytes());
            out.extend_from_slice(key);
        }
        if tags {
            out.extend_from_slice(&self.delivered_link);
            out.extend_from_slice(&self.verified_link);
        }
    }

    fn decode(id: &MemberId, tags: bool, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (delivered, delivered_key, verified) = (reader.varint()?, reader.array()?, reader.varint()?);
        let verified_key = VerificationKey::from_bytes(&reader.array()?)?;
        let mut author = Self { delivered_key, verified, ..Self::new(id.handle(), verified_key, delivered, NO_LINK) };
        let mut last = author.delivered;
        for _ in 0..reader.count(1)? {
            let message = Verified::decode(tags, reader)?;
            last = last.checked_add(1).filter(|next| *next == message.number).ok_or(Error::Malformed)?;
            author.queue.push_back(message);
        }
        author.unverified = Unverified::decode(&author.handle, reader)?;
        for _ in 0..reader.count(1)? {
            let (number, digest, key) = (reader.varint()?, Digest(reader.array()?), reader.array()?);
            author.window.push_back(Seen { number, digest, key });
        }
        if tags {
            (author.delivered_link, author.verified_link) = (reader.array()?, reader.array()?);
        }
        let is_possible = last == author.verified && author.window.len() <= EQUIVOCATION_WINDOW;
        if is_possible { Ok(author) } else { Err(Error::Malformed) }
    }
}

impl Unverified {
    fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.len());
        self.iter().for_each(|waiting| put_prefixed(out, &waiting.bytes));
    }

    fn decode(author: &Handle, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut messages = Self::default();
        for _ in 0..reader.count(1)? {
            let envelope = Envelope::decode(reader.prefixed()?)?;
            // One more, which was verified ahead of its turn.
            let fits = envelope.sender == *author && messages.len() <= MAX_WAITING_PER_AUTHOR + MAX_TAGGED;
            if !fits || !messages.push(Waiting::new(&envelope)) {
                return Err(Error::Malformed);
            }
        }
        Ok(messages)
    }
}

impl Verified {
    fn encode(&self, tags: bool, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.push(self.kind.0);
        out.push(match self.subject {
            Subject::None => 0,
            Subject::Acknowledged(..) => 1,
            Subject::Member(_) => 2,
        });
        out.extend(self.subject.name().iter().flat_map(|name| name.0));
        if let Subject::Acknowledged(_, number) = self.subject {
            put_varint(out, number);
        }
        out.push(self.new_key.is_some().into());
        out.extend(self.new_key.iter().flat_map(|key| key.as_bytes()));
        put_prefixed(out, &self.header);
        put_prefixed(out, &self.body);
        out.extend_from_slice(self.digest.as_bytes());
        out.extend_from_slice(&self.key);
        if tags {
            out.extend_from_slice(&self.link);
        }
    }

    fn decode(tags: bool, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (number, kind) = (reader.varint()?, Kind(reader.byte()?));
        let subject = match reader.byte()? {
            0 => Subject::None,
            1 => Subject::Acknowledged(MemberId(reader.array()?), reader.varint()?),
            2 => Subject::Member(MemberId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        let new_key = reader.flag()?.then(|| VerificationKey::from_bytes(&reader.array()?)).transpose()?;
        let (header, body) = (reader.prefixed()?.to_vec(), reader.prefixed()?.to_vec());
        let (digest, key) = (Digest(reader.array()?), reader.array()?);
        let link = if tags { reader.array()? } else { NO_LINK };
        Ok(Self { number, kind, subject, new_key, header, body, digest, key, link })
    }
}

/// An id that comes after the last one.
fn take_id<T>(reader: &mut Reader<'_>, last: Option<(&MemberId, T)>) -> Result<MemberId, Error> {
    let id = MemberId(reader.array()?);
    if last.is_none_or(|(last, _)| *last < id) { Ok(id) } else { Err(Error::Malformed) }
}
