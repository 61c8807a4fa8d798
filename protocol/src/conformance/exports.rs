//! Damaged exports are refused. That undamaged ones are restored, all other checks show.

use super::trial::Trial;
use crate::error::Error;
use crate::operation::Start;
use crate::stage::verdict::{Verdict, ensure};

const SIZE: usize = 3;
/// The number of places at either end of an export at which it is damaged.
const ENDS: usize = 48;
/// The number of places between them at which it is damaged.
const BETWEEN: usize = 96;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for (start, situation) in [(Start::Users, "making users"), (Start::Conversed, "conversation")] {
        trial.enter(situation, SIZE);
        let state = trial.world(start, 0)?.users[0].member.export();
        let backend = trial.backend();
        for at in places(state.len(), ENDS, BETWEEN) {
            ensure(backend.restore(&state[..at]).err() == Some(Error::BadExport), || {
                format!(
                    "the first {at} of {} bytes of an export are restored, or refused as something else",
                    state.len()
                )
            })?;
            let mut altered = state.clone();
            altered[at] ^= 1 << (at % 8);
            // It may be another state. It must not cause a panic, now or when it is used.
            let shown =
                backend.restore(&altered).map(|member| (member.members(), member.fingerprints(), member.export()));
            ensure(shown.is_ok() || shown.err() == Some(Error::BadExport), || {
                format!("an export with an altered byte {at} is refused as something else")
            })?;
        }
    }
    Ok(())
}

/// Places in `len` bytes: all of the first and last `ends`, and about `between` others.
pub(super) fn places(len: usize, ends: usize, between: usize) -> impl Iterator<Item = usize> {
    let step = (len.saturating_sub(2 * ends) / between.max(1)).max(1);
    (0..len).filter(move |at| *at < ends || *at + ends >= len || (*at - ends).is_multiple_of(step))
}
