//! A member that has updated loses the updates of others until its next action.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Action, Fault};

/// Whether the last action was an update.
#[derive(Clone, Default)]
pub(crate) struct LosesCrossingUpdates(bool);

impl Fault for LosesCrossingUpdates {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let sent = action.of(&mut **inner, context)?;
        self.0 = matches!(action, Action::Update);
        Ok(sent)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let before = inner.duplicate();
        let received = inner.receive_one(message, context)?;
        if self.0 && received.events.iter().any(|event| matches!(event, Event::Updated { .. })) {
            *inner = before;
            return Ok(Received::default());
        }
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        vec![self.0.into()]
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.0 = state == [1];
        Ok(())
    }
}
