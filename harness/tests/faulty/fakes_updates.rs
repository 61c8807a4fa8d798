//! An update only claims to be one, and there are no fingerprints that show it: every update, or every later one of a
//! member.

use protocol::error::Error;
use protocol::member::{Context, Event, Fingerprints, Incoming, Member, Outgoing, Received, Recipients};
use protocol::operation::{Expected, Operation};

use super::{Action, Fault, note};

const SAYS_UPDATED: &[u8] = b"updated";

#[derive(Clone)]
pub(crate) struct FakesUpdates {
    /// Whether the member's next update is a fake.
    next: bool,
    all: bool,
}

impl FakesUpdates {
    pub(crate) const ALL: Self = Self { next: true, all: true };
    pub(crate) const LATER: Self = Self { next: false, all: false };
}

impl Fault for FakesUpdates {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        if !matches!(action, Action::Update) {
            return action.of(&mut **inner, context);
        }
        if inner.members().is_empty() {
            return Err(Error::NotInGroup);
        }
        if !std::mem::replace(&mut self.next, true) {
            return action.of(&mut **inner, context);
        }
        // Other randomness gives other bytes.
        let mut fresh = [0; 8];
        context.rng.fill_bytes(&mut fresh);
        let mut bytes = fresh.to_vec();
        note::attach(&mut bytes, SAYS_UPDATED);
        Ok(vec![Outgoing { to: Recipients::Everyone, kind: "update", bytes }])
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        if note::detach(message.bytes).is_ok_and(|(_, note)| note == SAYS_UPDATED) {
            let events = vec![Event::Updated { by: message.author }];
            return Ok(Received { events, ..Received::default() });
        }
        inner.receive_one(message, context)
    }

    fn fingerprints(&self, _inner: &dyn Member) -> Option<Fingerprints> {
        None
    }

    fn expected(
        &self,
        operation: Operation,
        _group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        match operation {
            Operation::Update | Operation::UpdateCold if self.all => {
                Some(Expected::new(vec![("update", 1)], Vec::new()))
            }
            _ => right(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        vec![u8::from(self.next)]
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.next = state == [1];
        Ok(())
    }
}
