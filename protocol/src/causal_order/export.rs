//! The state as bytes. It includes the messages that wait: a member that has received a message does not get it again.

use std::collections::VecDeque;

use super::{Author, CausalOrder, Seen, Verified};
use crate::crypto::hash::Digest;
use crate::crypto::signature::{VERIFICATION_KEY_LEN, VerificationKey};
use crate::error::Error;
use crate::id::{MEMBER_ID_LEN, MemberId};
use crate::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use crate::wire::envelope::{Kind, Subject};

impl CausalOrder {
    /// Appends the state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.authors.len());
        for (id, author) in &self.authors {
            out.extend_from_slice(&id.0);
            author.encode(out);
        }
        put_len(out, self.strangers.len());
        for (id, queue) in &self.strangers {
            out.extend_from_slice(&id.0);
            put_messages(out, queue);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut order = Self::default();
        for _ in 0..reader.count(MEMBER_ID_LEN + 2 * VERIFICATION_KEY_LEN)? {
            let id = MemberId(reader.array()?);
            let author = Author::decode(&id, reader)?;
            order.by_handle.entry(author.handle).or_default().push(id);
            if !author.queue.is_empty() {
                order.blocked.insert(id);
            }
            order.waiting_bytes += author.queue.iter().map(|message| message.body.len()).sum::<usize>();
            order.waiting_bytes += author.unverified.iter().map(Vec::len).sum::<usize>();
            order.authors.insert(id, author);
        }
        for _ in 0..reader.count(MEMBER_ID_LEN)? {
            let id = MemberId(reader.array()?);
            let queue = take_messages(reader)?;
            order.waiting_bytes += queue.iter().map(Vec::len).sum::<usize>();
            order.strangers.insert(id, queue);
        }
        Ok(order)
    }
}

impl Author {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.delivered);
        out.extend_from_slice(&self.delivered_key);
        put_varint(out, self.verified);
        out.extend_from_slice(self.verified_key.as_bytes());
        put_len(out, self.queue.len());
        self.queue.iter().for_each(|message| message.encode(out));
        put_messages(out, &self.unverified);
        put_len(out, self.window.len());
        for Seen { number, digest, key } in &self.window {
            put_varint(out, *number);
            out.extend_from_slice(digest.as_bytes());
            out.extend_from_slice(key);
        }
    }

    fn decode(id: &MemberId, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut author = Self {
            handle: id.handle(),
            delivered: reader.varint()?,
            delivered_key: reader.array()?,
            verified: reader.varint()?,
            verified_key: VerificationKey::from_bytes(&reader.array()?)?,
            queue: VecDeque::new(),
            unverified: Vec::new(),
            window: VecDeque::new(),
        };
        for _ in 0..reader.count(1)? {
            author.queue.push_back(Verified::decode(reader)?);
        }
        author.unverified = take_messages(reader)?;
        for _ in 0..reader.count(1)? {
            let (number, digest, key) = (reader.varint()?, Digest(reader.array()?), reader.array()?);
            author.window.push_back(Seen { number, digest, key });
        }
        Ok(author)
    }
}

impl Verified {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.number);
        out.push(self.kind.0);
        let (tag, number) = match self.subject {
            Subject::None => (0, 0),
            Subject::Acknowledged(_, number) => (1, number),
            Subject::Member(_) => (2, 0),
        };
        out.push(tag);
        if let Some(name) = self.subject.name() {
            out.extend_from_slice(&name.0);
            put_varint(out, number);
        }
        out.push(self.new_key.is_some().into());
        out.extend(self.new_key.iter().flat_map(|key| key.as_bytes()));
        put_prefixed(out, &self.header);
        put_prefixed(out, &self.body);
        out.extend_from_slice(self.digest.as_bytes());
        out.extend_from_slice(&self.key);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let (number, kind) = (reader.varint()?, Kind(reader.byte()?));
        let subject = match reader.byte()? {
            0 => Subject::None,
            1 => Subject::Acknowledged(MemberId(reader.array()?), reader.varint()?),
            2 => {
                let name = MemberId(reader.array()?);
                reader.varint()?;
                Subject::Member(name)
            }
            _ => return Err(Error::Malformed),
        };
        let new_key = reader.flag()?.then(|| VerificationKey::from_bytes(&reader.array()?)).transpose()?;
        let (header, body) = (reader.prefixed()?.to_vec(), reader.prefixed()?.to_vec());
        let (digest, key) = (Digest(reader.array()?), reader.array()?);
        Ok(Self { number, kind, subject, new_key, header, body, digest, key })
    }
}

fn put_messages(out: &mut Vec<u8>, queue: &[Vec<u8>]) {
    put_len(out, queue.len());
    queue.iter().for_each(|bytes| put_prefixed(out, bytes));
}

fn take_messages(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, Error> {
    (0..reader.count(1)?).map(|_| reader.prefixed().map(<[u8]>::to_vec)).collect()
}
