//! Another fault, in groups of a certain size and more only. In smaller ones everything is correct.

use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation};

use super::{Action, Fault, note};

const WITH_FAULT: &[u8] = b"with the fault";

/// A note in each message says whether it was sent with the fault.
#[derive(Clone)]
pub(crate) struct OnlyInLargeGroups<F> {
    /// The least members.
    from: usize,
    fault: F,
    /// Whether what is being sent is sent with the fault.
    now: bool,
}

impl<F> OnlyInLargeGroups<F> {
    pub(crate) fn of(from: usize, fault: F) -> Self {
        Self { from, fault, now: false }
    }
}

impl<F: Fault + Clone + 'static> Fault for OnlyInLargeGroups<F> {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let members = match action {
            Action::Create(others) | Action::CreateMesh(others) => 1 + others.len(),
            _ => inner.members().len(),
        };
        self.now = members >= self.from;
        if self.now { self.fault.act(inner, action, context) } else { action.of(&mut **inner, context) }
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, note) = note::detach(message.bytes)?;
        // The answers are like the message.
        self.now = note == WITH_FAULT;
        if !self.now {
            return inner.receive_one(&Incoming { bytes, ..*message }, context);
        }
        let bytes = self.fault.arrives(bytes)?;
        self.fault.receive(inner, &Incoming { bytes: &bytes, ..*message }, context)
    }

    fn sends(&self, message: &mut Outgoing) {
        if self.now {
            self.fault.sends(message);
        }
        note::attach(&mut message.bytes, if self.now { WITH_FAULT } else { &[] });
    }

    fn members(&self, inner: &dyn Member) -> Vec<MemberId> {
        self.fault.members(inner)
    }

    fn fingerprints(&self, inner: &dyn Member) -> Option<Fingerprints> {
        self.fault.fingerprints(inner)
    }

    fn made(&mut self, user: &NewUser) {
        self.fault.made(user);
    }

    fn description(&self, right: Description) -> Description {
        self.fault.description(right)
    }

    fn expected(
        &self,
        operation: Operation,
        group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        if group_size < self.from { right() } else { self.fault.expected(operation, group_size, right) }
    }

    fn encode(&self) -> Vec<u8> {
        self.fault.encode()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.fault.decode(state)
    }
}
