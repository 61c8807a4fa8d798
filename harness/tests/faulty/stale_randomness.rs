//! A call draws what another call has drawn: a removal by anyone but the creator always the same bytes, or an update what its
//! author has drawn in its first one.

use protocol::error::Error;
use protocol::member::{Context, Member, Outgoing};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::{Action, Fault};

const SEED: usize = 32;

#[derive(Clone)]
pub(crate) enum StaleRandomness {
    RemovalByOthers { creator: bool },
    LaterUpdates { first: Option<[u8; SEED]> },
}

impl StaleRandomness {
    pub(crate) const IN_REMOVALS_BY_OTHERS: Self = Self::RemovalByOthers { creator: false };
    pub(crate) const IN_LATER_UPDATES: Self = Self::LaterUpdates { first: None };
}

impl Fault for StaleRandomness {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let stale = match (&mut *self, action) {
            (Self::RemovalByOthers { creator: false }, Action::Remove(_)) => Some([7; SEED]),
            (Self::LaterUpdates { first }, Action::Update) if !inner.members().is_empty() => {
                Some(*first.get_or_insert_with(|| {
                    let mut seed = [0; SEED];
                    context.rng.fill_bytes(&mut seed);
                    seed
                }))
            }
            _ => None,
        };
        if let Some(seed) = stale {
            return action.of(&mut **inner, &mut Context { rng: &mut ChaCha20Rng::from_seed(seed), ..*context });
        }
        let sent = action.of(&mut **inner, context)?;
        if let (Self::RemovalByOthers { creator }, Action::Create(_)) = (self, action) {
            *creator = true;
        }
        Ok(sent)
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::RemovalByOthers { creator } => vec![u8::from(*creator)],
            Self::LaterUpdates { first } => first.iter().flatten().copied().collect(),
        }
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        match self {
            Self::RemovalByOthers { creator } => *creator = state == [1],
            Self::LaterUpdates { first } => *first = state.try_into().ok(),
        }
        Ok(())
    }
}
