//! The users that the handles of an envelope can stand for.

use std::collections::BTreeMap;

use crate::id::{Handle, MemberId, MessageId};
use crate::wire::envelope::{Envelope, Subject};

/// How many readings of an envelope are tried. Handles are shared only by users who have searched for such keys.
const MAX_READINGS: usize = 16;

/// Known users by their handles.
#[derive(Clone, Default)]
pub struct Names(BTreeMap<Handle, Vec<MemberId>>);

/// The users that an envelope names, by their full ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The user that the envelope itself names.
    pub subject: Subject<MemberId>,
    /// What the author has acknowledged under tags.
    pub history: Vec<MessageId>,
}

impl Names {
    /// Adds a user. Its handle must be this one.
    pub fn insert(&mut self, handle: Handle, id: MemberId) {
        self.0.entry(handle).or_default().push(id);
    }

    /// The known users with a handle.
    #[must_use]
    pub fn with(&self, handle: &Handle) -> &[MemberId] {
        self.0.get(handle).map_or(&[], Vec::as_slice)
    }

    /// Every reading of an envelope, or the first handle in it that no known user has. If handles are shared there are
    /// several, of which the first 16 are returned.
    ///
    /// # Errors
    /// The unknown handle.
    pub fn readings<'a>(&'a self, envelope: &Envelope<'a>) -> Result<impl Iterator<Item = Reading> + use<'a>, Handle> {
        let (subject, history) = (envelope.subject, envelope.history);
        let mut shared: Vec<(Handle, &[MemberId])> = Vec::new();
        for handle in envelope.names() {
            match self.with(&handle) {
                [] => return Err(handle),
                [_] => {}
                _ if shared.iter().any(|(other, _)| *other == handle) => {}
                ids => shared.push((handle, ids)),
            }
        }
        let count = shared.iter().fold(1_usize, |count, (_, ids)| count.saturating_mul(ids.len())).min(MAX_READINGS);
        Ok((0..count).filter_map(move |mut which| {
            let mut chosen = Vec::new();
            for (handle, ids) in &shared {
                chosen.push((*handle, *ids.get(which % ids.len())?));
                which /= ids.len();
            }
            let read = |handle: Handle| match chosen.iter().find(|(other, _)| *other == handle) {
                Some((_, id)) => Some(*id),
                None => self.with(&handle).first().copied(),
            };
            let subject = match subject.name() {
                Some(handle) => {
                    let id = read(handle)?;
                    subject.map(|_| id)
                }
                None => Subject::None,
            };
            let message = |(handle, number)| Some(MessageId { author: read(handle)?, number });
            Some(Reading { subject, history: history.iter().map(message).collect::<Option<_>>()? })
        }))
    }
}
