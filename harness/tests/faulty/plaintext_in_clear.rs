//! The plaintext of an application message is also in clear in a field that nobody needs.

use protocol::error::Error;
use protocol::member::{Context, Member, Outgoing};

use super::{Action, Fault, note};

#[derive(Clone, Default)]
pub(crate) struct PlaintextInClear(Vec<u8>);

impl Fault for PlaintextInClear {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        self.0 = if let Action::Send(plaintext) = action { plaintext.to_vec() } else { Vec::new() };
        action.of(&mut **inner, context)
    }

    fn sends(&self, message: &mut Outgoing) {
        note::attach(&mut message.bytes, if message.kind == "message" { &self.0 } else { &[] });
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(note::detach(bytes)?.0.to_vec())
    }
}
