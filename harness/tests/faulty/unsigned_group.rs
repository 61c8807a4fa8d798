//! A message of another group is taken for an acknowledgement in this one: the group is not signed.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Action, Fault, note};

#[derive(Clone)]
pub(crate) struct UnsignedGroup;

impl UnsignedGroup {
    fn mark(inner: &dyn Member, sent: &mut [Outgoing]) {
        let mark = inner.group().map_or(0, |group| note::sum(&group.0)).to_be_bytes();
        sent.iter_mut().for_each(|message| note::attach(&mut message.bytes, &mark));
    }
}

impl Fault for UnsignedGroup {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut sent = action.of(&mut **inner, context)?;
        Self::mark(&**inner, &mut sent);
        Ok(sent)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, mark) = note::detach(message.bytes)?;
        if inner.group() == Some(message.group) && mark != note::sum(&message.group.0).to_be_bytes() {
            return Ok(Received { events: vec![Event::Acked { by: message.author }], ..Received::default() });
        }
        let mut received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        Self::mark(&**inner, &mut received.outgoing);
        Ok(received)
    }
}
