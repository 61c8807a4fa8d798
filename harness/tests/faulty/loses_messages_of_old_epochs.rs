//! Only messages under the present keys are read: one that crosses an update is lost.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Action, Fault, note};

/// The number of updates so far.
#[derive(Clone, Default)]
pub(crate) struct LosesMessagesOfOldEpochs(u32);

impl Fault for LosesMessagesOfOldEpochs {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let sent = action.of(&mut **inner, context)?;
        self.0 += u32::from(sent.iter().any(|message| message.kind == "update"));
        Ok(sent)
    }

    fn sends(&self, message: &mut Outgoing) {
        note::attach(&mut message.bytes, &self.0.to_be_bytes());
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, epoch) = note::detach(message.bytes)?;
        let epoch = epoch.try_into().map(u32::from_be_bytes).map_err(|_| Error::Malformed)?;
        let mut received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        let lost = epoch < self.0;
        received.events.retain(|event| !(lost && matches!(event, Event::Message { .. })));
        for event in &received.events {
            match event {
                Event::Updated { .. } => self.0 += 1,
                Event::Joined { .. } => self.0 = epoch,
                _ => {}
            }
        }
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.0 = state.try_into().map(u32::from_be_bytes).map_err(|_| Error::Malformed)?;
        Ok(())
    }
}
