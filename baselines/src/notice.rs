//! Notices: the messages by which an author tells the others of an add or a removal.
//!
//! ```text
//! notice       sequence 1..5 | count | dependencies | added id 32, or removed handle 8 or id 32
//! dependency   author 8 | sequence 1..5
//! ```

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::id::{HANDLE_LEN, Handle, MEMBER_ID_LEN, MemberId};
use protocol::wire::codec::{Reader, put_len, put_varint};

/// A membership change, as its author reports it to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Number of this notice among its author's, from 1. The creation counts as the creator's first.
    pub sequence: u32,
    /// Notices of others that its author has delivered since its previous notice.
    pub dependencies: Vec<(Handle, u32)>,
    /// What it reports.
    pub change: Announced,
}

/// The membership change that a notice reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The user that is added.
    Add(MemberId),
    /// The handle of the member, or its id if several users share the handle.
    Remove(Vec<u8>),
}

impl Notice {
    /// The encoded form, which is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.sequence);
        put_len(&mut out, self.dependencies.len());
        for (author, sequence) in &self.dependencies {
            out.extend_from_slice(&author.0);
            put_varint(&mut out, *sequence);
        }
        match &self.change {
            Announced::Add(user) => out.extend_from_slice(&user.0),
            Announced::Remove(target) => out.extend_from_slice(target),
        }
        out
    }

    /// Decodes a notice of an add, or of a removal if not `adds`. A notice that names a dependency twice is refused.
    pub fn decode(bytes: &[u8], adds: bool) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let sequence = reader.varint()?;
        let count = reader.count(HANDLE_LEN + 1)?;
        let dependency = |_| Ok((Handle(reader.array()?), reader.varint()?));
        let dependencies: Vec<_> = (0..count).map(dependency).collect::<Result<_, Error>>()?;
        if dependencies.iter().collect::<BTreeSet<_>>().len() < dependencies.len() {
            return Err(Error::Malformed);
        }
        let subject = reader.rest();
        let change = if adds {
            Announced::Add(MemberId(subject.try_into().map_err(|_| Error::Malformed)?))
        } else if [HANDLE_LEN, MEMBER_ID_LEN].contains(&subject.len()) {
            Announced::Remove(subject.to_vec())
        } else {
            return Err(Error::Malformed);
        };
        Ok(Self { sequence, dependencies, change })
    }

    /// Whether it is a notice of an add.
    pub fn adds(&self) -> bool {
        matches!(self.change, Announced::Add(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_that_names_a_dependency_twice_is_refused() {
        let notice = |dependencies| Notice { sequence: 1, dependencies, change: Announced::Add(MemberId([3; 32])) };
        let (one, other) = (Handle([1; 8]), Handle([2; 8]));
        let fine = notice(vec![(other, 1), (one, 1), (one, 2)]);
        assert_eq!(Notice::decode(&fine.encode(), true), Ok(fine));
        let twice = notice(vec![(one, 1), (other, 1), (one, 1)]);
        assert_eq!(Notice::decode(&twice.encode(), true), Err(Error::Malformed));
    }
}
