//! All random bytes are the same byte.

use std::convert::Infallible;

use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Outgoing, Received};
use rand_core::{TryCryptoRng, TryRng};

use super::{Action, Fault};

#[derive(Clone)]
pub(crate) struct ConstantRandomness;

impl Fault for ConstantRandomness {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        action.of(&mut **inner, &mut Context { rng: &mut Constant, ..*context })
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        inner.receive_one(message, &mut Context { rng: &mut Constant, ..*context })
    }
}

struct Constant;

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0x2a2a_2a2a)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0x2a2a_2a2a_2a2a_2a2a)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0x2a);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}
