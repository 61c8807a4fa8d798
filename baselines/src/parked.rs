//! Messages that cannot be checked yet, because their author or their key is not known yet.

use std::collections::BTreeMap;

use protocol::error::Error;
use protocol::id::{MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len, put_prefixed};

/// Messages of one author that may wait.
pub(crate) const MAX_PER_AUTHOR: usize = 256;
/// Messages of all authors that may wait.
pub(crate) const MAX_MESSAGES: usize = 4096;
/// Bytes of all messages that wait.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// A bounded queue for each author, in order of arrival.
#[derive(Clone, Default)]
pub struct Parked {
    messages: BTreeMap<MemberId, Vec<Vec<u8>>>,
    len: usize,
    bytes: usize,
}

impl Parked {
    /// Keeps a message. One that is in the queue already has no effect.
    ///
    /// [`Error::QueueFull`] if there is no room. The message may be received again later.
    pub fn park(&mut self, author: &MemberId, bytes: &[u8]) -> Result<(), Error> {
        let of_author = self.messages.get(author).map_or(&[][..], Vec::as_slice);
        if of_author.iter().any(|other| other == bytes) {
            return Ok(());
        }
        let full = of_author.len() >= MAX_PER_AUTHOR || self.len >= MAX_MESSAGES;
        if full || self.bytes + bytes.len() > MAX_BYTES {
            return Err(Error::QueueFull);
        }
        self.push(*author, bytes.to_vec());
        Ok(())
    }

    fn push(&mut self, author: MemberId, bytes: Vec<u8>) {
        self.len += 1;
        self.bytes += bytes.len();
        self.messages.entry(author).or_default().push(bytes);
    }

    /// Removes and returns the messages of an author.
    pub fn take(&mut self, author: &MemberId) -> Vec<Vec<u8>> {
        let taken = self.messages.remove(author).unwrap_or_default();
        self.len -= taken.len();
        self.bytes -= taken.iter().map(Vec::len).sum::<usize>();
        taken
    }

    /// The waiting messages of an author.
    pub fn of(&self, author: &MemberId) -> impl Iterator<Item = &[u8]> {
        self.messages.get(author).into_iter().flatten().map(Vec::as_slice)
    }

    /// The authors whose messages wait.
    pub fn authors(&self) -> impl Iterator<Item = &MemberId> {
        self.messages.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends everything, for an export.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.len);
        for (author, bytes) in self.messages.iter().flat_map(|(author, all)| all.iter().map(move |one| (author, one))) {
            out.extend_from_slice(&author.0);
            put_prefixed(out, bytes);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut parked = Self::default();
        for _ in 0..reader.count(MEMBER_ID_LEN + 1)? {
            let author = MemberId(reader.array()?);
            parked.push(author, reader.prefixed()?.to_vec());
        }
        Ok(parked)
    }
}
