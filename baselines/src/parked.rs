//! Messages that cannot be checked yet, because their author or their key is not known yet.

use protocol::error::Error;
use protocol::id::{MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len, put_prefixed};

/// Messages of one author that may wait.
pub(crate) const MAX_PER_AUTHOR: usize = 256;
/// Messages of all authors that may wait.
pub(crate) const MAX_MESSAGES: usize = 4096;
/// Bytes of all messages that wait.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// A bounded queue, in order of arrival.
#[derive(Clone, Default)]
pub(crate) struct Parked(Vec<(MemberId, Vec<u8>)>);

impl Parked {
    /// Keeps a message. One that is in the queue already has no effect.
    ///
    /// [`Error::QueueFull`] if there is no room. The message may be received again later.
    pub(crate) fn park(&mut self, author: &MemberId, bytes: &[u8]) -> Result<(), Error> {
        let of_author = || self.0.iter().filter(|(other, _)| other == author);
        if of_author().any(|(_, other)| other == bytes) {
            return Ok(());
        }
        let kept: usize = self.0.iter().map(|(_, bytes)| bytes.len()).sum();
        let full = of_author().count() >= MAX_PER_AUTHOR || self.0.len() >= MAX_MESSAGES;
        if full || kept + bytes.len() > MAX_BYTES {
            return Err(Error::QueueFull);
        }
        self.0.push((*author, bytes.to_vec()));
        Ok(())
    }

    /// Removes and returns the messages of these authors.
    pub(crate) fn take(&mut self, of: impl Fn(&MemberId) -> bool) -> Vec<(MemberId, Vec<u8>)> {
        self.0.extract_if(.., |(author, _)| of(author)).collect()
    }

    /// The waiting messages of an author.
    pub(crate) fn of<'a>(&'a self, author: &'a MemberId) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(other, _)| other == author).map(|(_, bytes)| bytes.as_slice())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (author, bytes) in &self.0 {
            out.extend_from_slice(&author.0);
            put_prefixed(out, bytes);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let count = reader.count(MEMBER_ID_LEN + 1)?;
        (0..count)
            .map(|_| Ok((MemberId(reader.array()?), reader.prefixed()?.to_vec())))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
