//! The first export, with all one-time prekeys, is part of every later one.

use protocol::error::Error;
use protocol::member::NewUser;

use super::Fault;

#[derive(Clone, Default)]
pub(crate) struct KeepsPrekeys(Vec<u8>);

impl Fault for KeepsPrekeys {
    fn made(&mut self, user: &NewUser) {
        self.0 = user.member.export();
    }

    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.0 = state.to_vec();
        Ok(())
    }
}
