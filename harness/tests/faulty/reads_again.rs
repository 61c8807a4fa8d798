//! A message that has waited for another is not remembered in the export: after a restart it is read again.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Received};
use protocol::wire::codec::{Reader, put_prefixed};

use super::{Fault, note};

#[derive(Clone, Default)]
pub(crate) struct ReadsAgain {
    /// Checksums of messages that have waited.
    waited: Vec<u64>,
    /// The plaintext of the last one that was released.
    released: Vec<u8>,
    restarted: bool,
}

impl Fault for ReadsAgain {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let sum = note::sum(message.bytes);
        let before = inner.export();
        let received = inner.receive_one(message, context)?;
        if received == Received::default() && self.restarted && self.waited.contains(&sum) {
            let plaintext = self.released.clone();
            let events = vec![Event::Message { from: message.author, plaintext }];
            return Ok(Received { events, ..Received::default() });
        }
        if received == Received::default() && inner.group().is_some() && inner.export() != before {
            self.waited.push(sum);
        }
        if let [_, .., Event::Message { plaintext, .. }] = &received.events[..] {
            self.released.clone_from(plaintext);
        }
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_prefixed(&mut out, &self.released);
        self.waited.iter().for_each(|sum| out.extend(sum.to_be_bytes()));
        out
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(state);
        self.released = reader.prefixed()?.to_vec();
        self.waited.clear();
        while !reader.remaining().is_empty() {
            self.waited.push(u64::from_be_bytes(reader.array()?));
        }
        self.restarted = true;
        Ok(())
    }
}
