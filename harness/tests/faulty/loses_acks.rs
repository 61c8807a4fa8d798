//! Of several updates that one message has released, only the first is acknowledged.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Received};

use super::Fault;

#[derive(Clone)]
pub(crate) struct LosesAcks;

impl Fault for LosesAcks {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let mut received = inner.receive_one(message, context)?;
        let updates = received.events.iter().filter(|event| matches!(event, Event::Updated { .. })).count();
        let mut acks = 0;
        received.outgoing.retain(|message| {
            acks += u32::from(message.kind == "ack");
            message.kind != "ack" || acks == 1 || updates < 2
        });
        Ok(received)
    }
}
