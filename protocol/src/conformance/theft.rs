//! Attacks that must be in vain, each with a twin in which the same attacker reads where it should.

use std::ops::Range;

use super::report::Attack;
use super::trial::Trial;
use crate::stage::derivations::Derivations;
use crate::stage::theft::Reading;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::World;

/// Why an attack is not made.
const CANNOT_FOLLOW: &str = "the backend does not let a thief follow the owner of a stolen state";
const NOT_SEEN_TO_FOLLOW: &str =
    "a thief that follows the owner of a stolen state does not read what the state opens, so it may not follow at all";

/// An attack and its twin, before they are judged.
pub(super) struct Attempt<'a, 'w, 'm> {
    pub(super) what: &'static str,
    /// What must stay secret.
    pub(super) secret: Reading<'w, 'm>,
    /// Where the same attacker should read.
    pub(super) twin: &'static str,
    pub(super) known: &'a Reading<'w, 'm>,
    /// What only a follower reads, if it does what the attack needs. `None` if the attack shows something without one.
    pub(super) followed: Option<&'a Reading<'w, 'm>>,
}

impl World<'_> {
    /// Derives what can be derived from a state and these messages: none of these keys. It does not depend on the code of a
    /// thief: a stolen state that leaves unused what it holds opens nothing, whatever its thief could do.
    pub(super) fn shut_out(
        &self,
        what: &str,
        (all, keys): (&Derivations, &[Vec<u8>]),
        state: &[u8],
        heard: Range<usize>,
    ) -> Verdict {
        let heard = self.audible(state, heard).map(|place| &self.log[place].bytes[..]);
        let known = all.with(&all.public_but_secrets(heard), [state]);
        ensure(!keys.iter().any(|key| all.knows(&known, key)), || {
            format!("with {what}, and with what was sent since, the key of a later message can be derived")
        })
    }
}

impl Trial<'_> {
    /// Judges an attack by what was read of the secret, and by what the same attacker read where it should.
    pub(super) fn judge(&mut self, attempt: &Attempt<'_, '_, '_>) -> Verdict {
        let Attempt { what, secret, twin, known, followed } = attempt;
        let read = secret.read();
        ensure(read == 0, || format!("{what}, given everything, reads {read} of {} messages", secret.said()))?;
        let (twin_read, all) = (known.read(), known.said());
        ensure(all > 0 && twin_read == all, || {
            format!(
                "the check that {what} reads nothing is void: the same attacker reads only {twin_read} of {all} messages \
                 {twin}"
            )
        })?;
        if let Some(followed) = followed.filter(|followed| followed.read() < followed.said()) {
            self.not_made(what, if followed.loot.follows { NOT_SEEN_TO_FOLLOW } else { CANNOT_FOLLOW });
            return Ok(());
        }
        self.attacks.push(Attack { what, group_size: self.group_size, tried: secret.said(), twin, twin_read });
        Ok(())
    }
}
