//! A copy of an earlier message under the next number is taken for a new acknowledgement: the number is not signed.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Fault, note};

/// The number that all genuine messages have. That of a message is in its first byte.
const NUMBER: u8 = 1;

#[derive(Clone, Default)]
pub(crate) struct UnsignedNumber {
    /// Checksums of the messages that have been received.
    received: Vec<u64>,
}

impl Fault for UnsignedNumber {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (number, bytes) = message.bytes.split_first().ok_or(Error::Malformed)?;
        let sum = note::sum(bytes);
        if *number == NUMBER + 1 && self.received.contains(&sum) {
            return Ok(Received { events: vec![Event::Acked { by: message.author }], ..Received::default() });
        }
        if *number != NUMBER {
            return Err(Error::NotAuthentic);
        }
        let received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        self.received.push(sum);
        Ok(received)
    }

    fn sends(&self, message: &mut Outgoing) {
        message.bytes.insert(0, NUMBER);
    }
}
