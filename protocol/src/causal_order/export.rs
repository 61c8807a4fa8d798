//! The state as bytes. It includes the messages that wait: a member that has received a message does not get it again.

use super::author::{Author, Seen};
use super::unverified::{Tagged, Unverified, Waiting};
use super::{CausalOrder, EQUIVOCATION_WINDOW, MAX_STRANGERS, MAX_WAITING_PER_AUTHOR, Verified};
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId, MessageId};
use crate::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use crate::wire::envelope::{Envelope, Kind, MAX_TAGGED, Subject, TAG_LEN};

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
            messages.encode(self.tags.is_some(), out);
        }
        if let Some(tags) = &self.tags {
            put_messages(&tags.mine, out);
            put_len(out, tags.contradicting.len());
            tags.contradicting.iter().for_each(|id| out.extend_from_slice(&id.0));
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
            order.names.insert(author.handle, id);
            order.waiting_bytes += author.queue.iter().map(Verified::weight).sum::<usize>();
            order.waiting_bytes += author.unverified.weight();
            order.authors.insert(id, author);
        }
        let strangers = reader.count(MEMBER_ID_LEN)?;
        for _ in 0..strangers {
            let id = take_id(reader, order.strangers.last_key_value())?;
            let messages = Unverified::decode(&id.handle(), order.tags.is_some(), reader)?;
            order.waiting_bytes += messages.weight();
            if messages.is_empty() || order.authors.contains_key(&id) {
                return Err(Error::Malformed);
            }
            order.strangers.insert(id, messages);
        }
        if strangers > MAX_STRANGERS {
            return Err(Error::Malformed);
        }
        if let Some(tags) = &mut order.tags {
            tags.mine = take_messages(reader)?;
            for _ in 0..reader.count(MEMBER_ID_LEN)? {
                tags.contradicting.push(MemberId(reader.array()?));
            }
        }
        for id in order.authors.keys().copied().collect::<Vec<_>>() {
            order.line_up(&id);
            order.find_unnamed(&id)?;
            order.find_tagged(&id);
        }
        Ok(self)
    }

    /// Finds what an author's next signed message waits for. It names an unknown user: any other would have been verified.
    fn find_unnamed(&mut self, id: &MemberId) -> Result<(), Error> {
        let Some(author) = self.authors.get_mut(id) else { return Ok(()) };
        for waiting in author.unverified.take_reached(author.signed) {
            let envelope = Envelope::decode(&waiting.bytes)?;
            let (true, Err(unknown)) = (waiting.number > author.signed, self.names.readings(&envelope).map(drop))
            else {
                return Err(Error::Malformed);
            };
            self.unnamed.insert((unknown, *id));
            author.unverified.signed.insert(waiting);
        }
        Ok(())
    }
}

impl Author {
    fn encode(&self, tags: bool, out: &mut Vec<u8>) {
        put_varint(out, self.delivered);
        out.extend_from_slice(&self.delivered_key);
        put_varint(out, self.signed);
        out.extend_from_slice(self.verified_key.as_bytes());
        put_len(out, self.queue.len());
        self.queue.iter().for_each(|message| message.encode(out));
        self.unverified.encode(tags, out);
        put_len(out, self.window.len());
        for Seen { number, digest, key } in &self.window {
            put_varint(out, *number);
            if tags {
                out.push(digest.is_some().into());
            }
            digest.iter().for_each(|digest| out.extend_from_slice(digest.as_bytes()));
            out.extend_from_slice(key);
        }
        if tags {
            put_varint(out, self.taken);
        }
    }

    fn decode(id: &MemberId, tags: bool, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (delivered, delivered_key, signed) = (reader.varint()?, reader.array()?, reader.varint()?);
        let verified_key = VerificationKey::from_bytes(&reader.array()?)?;
        let mut author = Self { delivered_key, signed, ..Self::new(id.handle(), verified_key, delivered) };
        let mut last = author.delivered;
        for _ in 0..reader.count(1)? {
            let message = Verified::decode(reader)?;
            last = last.checked_add(1).filter(|next| *next == message.number).ok_or(Error::Malformed)?;
            author.queue.push_back(message);
        }
        author.unverified = Unverified::decode(&author.handle, tags, reader)?;
        for _ in 0..reader.count(1)? {
            let number = reader.varint()?;
            let digest = (!tags || reader.flag()?).then(|| reader.array().map(Digest)).transpose()?;
            author.window.push_back(Seen { number, digest, key: reader.array()? });
        }
        if tags {
            author.taken = reader.varint()?;
        }
        let reached = author.signed.checked_add(author.taken).filter(|_| author.taken as usize <= MAX_TAGGED);
        let waits = author.unverified.tagged.first().is_none_or(|tagged| Some(tagged.number) > reached);
        let is_possible = author.signed == last
            && reached.is_some()
            && waits
            && (author.taken == 0 || author.queue.is_empty())
            && author.window.len() <= EQUIVOCATION_WINDOW;
        if is_possible { Ok(author) } else { Err(Error::Malformed) }
    }
}

impl Unverified {
    fn encode(&self, tags: bool, out: &mut Vec<u8>) {
        put_len(out, self.signed.len());
        self.signed.iter().for_each(|waiting| put_prefixed(out, &waiting.bytes));
        if tags {
            put_len(out, self.tagged.len());
            for Tagged { number, acknowledged: (handle, acknowledged), tag } in &self.tagged {
                put_varint(out, *number);
                out.extend_from_slice(&handle.0);
                put_varint(out, *acknowledged);
                out.extend_from_slice(tag);
            }
        }
    }

    fn decode(author: &Handle, tags: bool, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut messages = Self::default();
        for _ in 0..reader.count(1)? {
            let envelope = Envelope::decode(reader.prefixed()?)?;
            let waiting = Waiting::new(&envelope);
            let has_form = envelope.sender == *author && !envelope.is_tagged() && (tags || envelope.history.is_empty());
            let comes_last = messages.signed.last().is_none_or(|last| *last < waiting);
            if !has_form || !comes_last || messages.signed.len() >= MAX_WAITING_PER_AUTHOR {
                return Err(Error::Malformed);
            }
            messages.signed.insert(waiting);
        }
        for _ in 0..if tags { reader.count(HANDLE_LEN + TAG_LEN)? } else { 0 } {
            let (number, acknowledged) = (reader.varint()?, (Handle(reader.array()?), reader.varint()?));
            let tagged = Tagged { number, acknowledged, tag: reader.array()? };
            let comes_last = messages.tagged.last().is_none_or(|last| *last < tagged);
            if !comes_last || messages.tagged.len() >= MAX_TAGGED {
                return Err(Error::Malformed);
            }
            messages.tagged.insert(tagged);
        }
        Ok(messages)
    }
}

impl Verified {
    fn encode(&self, out: &mut Vec<u8>) {
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
        out.extend_from_slice(&self.key);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (number, kind) = (reader.varint()?, Kind(reader.byte()?));
        let subject = match reader.byte()? {
            0 => Subject::None,
            1 => Subject::Acknowledged(MemberId(reader.array()?), reader.varint()?),
            2 => Subject::Member(MemberId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        let new_key = reader.flag()?.then(|| VerificationKey::from_bytes(&reader.array()?)).transpose()?;
        let (header, body) = (reader.prefixed()?.to_vec(), reader.prefixed()?.to_vec());
        Ok(Self { number, kind, subject, new_key, header, body, key: reader.array()? })
    }
}

/// Messages that an author has acknowledged under tags.
fn put_messages(messages: &[MessageId], out: &mut Vec<u8>) {
    put_len(out, messages.len());
    for MessageId { author, number } in messages {
        out.extend_from_slice(&author.0);
        put_varint(out, *number);
    }
}

fn take_messages(reader: &mut Reader<'_>) -> Result<Vec<MessageId>, Error> {
    let count = reader.count(MEMBER_ID_LEN + 1)?;
    if count > MAX_TAGGED {
        return Err(Error::Malformed);
    }
    (0..count).map(|_| Ok(MessageId { author: MemberId(reader.array()?), number: reader.varint()? })).collect()
}

/// An id that comes after the last one.
fn take_id<T>(reader: &mut Reader<'_>, last: Option<(&MemberId, T)>) -> Result<MemberId, Error> {
    let id = MemberId(reader.array()?);
    if last.is_none_or(|(last, _)| *last < id) { Ok(id) } else { Err(Error::Malformed) }
}
