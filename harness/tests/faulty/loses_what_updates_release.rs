//! A message that arrives before the update of another author that it follows waits for it, and is lost when it comes.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Fault, note};

#[derive(Clone)]
pub(crate) struct LosesWhatUpdatesRelease;

impl Fault for LosesWhatUpdatesRelease {
    fn sends(&self, message: &mut Outgoing) {
        note::attach(&mut message.bytes, message.kind.as_bytes());
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, kind) = note::detach(message.bytes)?;
        let mut received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        if kind == b"update" {
            received.events.retain(|event| !matches!(event, Event::Message { .. }));
        }
        Ok(received)
    }
}
