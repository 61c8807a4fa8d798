//! The member with the smallest id acknowledges nothing.

use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Received};

use super::Fault;

#[derive(Clone)]
pub(crate) struct SkipsAck;

impl Fault for SkipsAck {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let mut received = inner.receive_one(message, context)?;
        if inner.members().first() == Some(&inner.id()) {
            received.outgoing.retain(|message| message.kind != "ack");
        }
        Ok(received)
    }
}
