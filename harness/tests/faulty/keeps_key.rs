//! A removal only hides the removed member, and tells the others to hide it. The keys stay the same.

use std::collections::BTreeSet;

use protocol::error::Error;
use protocol::id::{MEMBER_ID_LEN, MemberId};
use protocol::member::{Context, Event, Fingerprints, Incoming, Member, Outgoing, Received, Recipients};
use protocol::operation::{Expected, Operation};

use super::{Action, Fault};

/// Last byte of a message of the inner member.
const GENUINE: u8 = 0;
/// Last byte of a message that only hides a removed member.
const HIDES: u8 = 1;

#[derive(Clone)]
pub(crate) struct KeepsKey {
    hidden: BTreeSet<MemberId>,
    /// Whether there are fingerprints, which show that the keys are the same.
    shows: bool,
}

impl KeepsKey {
    pub(crate) fn seen() -> Self {
        Self { hidden: BTreeSet::new(), shows: true }
    }

    pub(crate) fn unseen() -> Self {
        Self { shows: false, ..Self::seen() }
    }
}

impl Fault for KeepsKey {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        if self.hidden.contains(&inner.id()) {
            return Err(Error::NotInGroup);
        }
        let Action::Remove(user) = action else { return action.of(&mut **inner, context) };
        if !self.members(&**inner).contains(&inner.id()) {
            return Err(Error::NotInGroup);
        }
        self.hidden.insert(*user);
        Ok(vec![Outgoing { to: Recipients::Everyone, kind: "remove", bytes: user.0.to_vec() }])
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        if self.hidden.contains(&inner.id()) {
            return Err(Error::NotInGroup);
        }
        let Ok(user) = message.bytes.try_into().map(MemberId) else { return inner.receive_one(message, context) };
        if !self.members(&**inner).contains(&user) {
            return Ok(Received::default());
        }
        self.hidden.insert(user);
        Ok(Received { events: vec![Event::Removed { by: message.author, user }], ..Received::default() })
    }

    fn sends(&self, message: &mut Outgoing) {
        message.bytes.push(if message.bytes.len() == MEMBER_ID_LEN { HIDES } else { GENUINE });
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let (mark, bytes) = bytes.split_last().ok_or(Error::Malformed)?;
        let hides = bytes.len() == MEMBER_ID_LEN;
        if *mark == if hides { HIDES } else { GENUINE } { Ok(bytes.to_vec()) } else { Err(Error::Malformed) }
    }

    fn members(&self, inner: &dyn Member) -> Vec<MemberId> {
        let mut members = inner.members();
        members.retain(|member| !self.hidden.contains(member) && !self.hidden.contains(&inner.id()));
        members
    }

    fn fingerprints(&self, inner: &dyn Member) -> Option<Fingerprints> {
        let mut shown = if self.shows { inner.fingerprints()? } else { return None };
        shown.retain(|(member, _)| !self.hidden.contains(member));
        Some(shown)
    }

    fn expected(
        &self,
        operation: Operation,
        _group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        match operation {
            Operation::Remove => Some(Expected::new(vec![("remove", 1)], Vec::new())),
            _ => right(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        self.hidden.iter().flat_map(|member| member.0).collect()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        let (ids, []) = state.as_chunks() else { return Err(Error::Malformed) };
        self.hidden = ids.iter().copied().map(MemberId).collect();
        Ok(())
    }
}
