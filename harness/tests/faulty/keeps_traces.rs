//! Every refused message adds a byte to the export.

use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Received};

use super::Fault;

#[derive(Clone, Default)]
pub(crate) struct KeepsTraces(Vec<u8>);

impl Fault for KeepsTraces {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        inner.receive_one(message, context).inspect_err(|_| self.0.push(0))
    }

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.0 = state.to_vec();
        Ok(())
    }
}
