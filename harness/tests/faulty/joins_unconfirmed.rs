//! A user joins without asking for the inviter, or never again after an inviter that was not confirmed.

use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Received};

use super::Fault;

#[derive(Clone)]
pub(crate) enum JoinsUnconfirmed {
    Always,
    NeverAgain { refused: bool },
}

impl JoinsUnconfirmed {
    pub(crate) const NEVER_AGAIN: Self = Self::NeverAgain { refused: false };
}

impl Fault for JoinsUnconfirmed {
    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        match self {
            Self::Always => {
                let context = &mut Context { rng: &mut *context.rng, confirm_inviter: &|_| true, ..*context };
                inner.receive_one(message, context)
            }
            Self::NeverAgain { refused: true } => Ok(Received::default()),
            Self::NeverAgain { refused } => {
                let result = inner.receive_one(message, context);
                *refused = result == Err(Error::InviterNotConfirmed);
                result
            }
        }
    }
}
