//! A member remembers its states from before the messages that it has read: each of them, or the last one.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Received};

use super::Fault;

#[derive(Clone)]
pub(crate) struct Hoards {
    all: bool,
    kept: Vec<u8>,
}

impl Hoards {
    pub(crate) const EACH: Self = Self { all: true, kept: Vec::new() };
    pub(crate) const LAST: Self = Self { all: false, kept: Vec::new() };
}

impl Fault for Hoards {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let before = inner.export();
        let received = inner.receive_one(message, context)?;
        if received.events.iter().any(|event| matches!(event, Event::Message { .. })) {
            if !self.all {
                self.kept.clear();
            }
            // Under a mask that everybody knows, all are there without standing in the export.
            self.kept.extend(before.iter().map(|byte| if self.all { byte ^ 0x55 } else { *byte }));
        }
        if inner.members().is_empty() {
            self.kept.clear();
        }
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        self.kept.clone()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.kept = state.to_vec();
        Ok(())
    }
}
