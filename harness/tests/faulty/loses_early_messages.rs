//! A message that arrives before what it depends on is dropped in silence: an application message, for example one that
//! overtakes the update of another author; or a message of any kind.

use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Outgoing, Received};

use super::{Fault, note};

#[derive(Clone)]
pub(crate) struct LosesEarlyMessages {
    all: bool,
}

impl LosesEarlyMessages {
    pub(crate) fn of_applications() -> Self {
        Self { all: false }
    }

    pub(crate) fn of_all_kinds() -> Self {
        Self { all: true }
    }
}

impl Fault for LosesEarlyMessages {
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
        let before = inner.duplicate();
        let received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        let waits = received == Received::default() && inner.group().is_some();
        if waits && (self.all || kind == b"message") {
            *inner = before;
        }
        Ok(received)
    }
}
