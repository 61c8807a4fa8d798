//! No fault: a member that has conflicts until it knows this number of updates, its own included.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Action, Fault};

#[derive(Clone)]
pub(crate) struct Unmended {
    pub(crate) mended_after: usize,
    pub(crate) updates: usize,
}

impl Fault for Unmended {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        self.updates += usize::from(matches!(action, Action::Update));
        action.of(&mut **inner, context)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let received = inner.receive_one(message, context)?;
        self.updates += received.events.iter().filter(|event| matches!(event, Event::Updated { .. })).count();
        Ok(received)
    }

    fn conflicts(&self) -> Option<usize> {
        Some(self.mended_after.saturating_sub(self.updates))
    }
}
