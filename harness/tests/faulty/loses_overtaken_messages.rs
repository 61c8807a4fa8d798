//! A message that a later one of the same author has overtaken is lost.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Received};

use super::Fault;

#[derive(Clone)]
pub(crate) struct LosesOvertakenMessages;

impl Fault for LosesOvertakenMessages {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let mut received = inner.receive_one(message, context)?;
        let by = |event: &Event| if let Event::Message { from, .. } = event { Some(*from) } else { None };
        let authors: Vec<_> = received.events.iter().map(by).collect();
        let mut place = 0;
        received.events.retain(|event| {
            place += 1;
            by(event).is_none() || !authors[place..].contains(&by(event))
        });
        Ok(received)
    }
}
