//! States in the wrong hands: what an attacker reads with them, and that the same attacker reads where it should.

use std::ops::Range;

use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Sent, World, stream};
use crate::attack::{Attacker, Overheard};
use crate::member::Context;

/// Why an attack is not made.
const CANNOT_FOLLOW: &str = "the backend does not let a thief follow the owner of a stolen state";

const NOT_SEEN_TO_FOLLOW: &str =
    "a thief that follows the owner of a stolen state does not read what the owner sends, so it may not follow at all";

/// What was said while something happened: places in the log of messages and among the plaintexts.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) sent: Range<usize>,
    pub(super) said: Range<usize>,
}

/// What an attacker has read.
pub(super) struct Loot {
    attacker: Attacker,
    /// Whether it can follow the owners of the states.
    follows: bool,
}

/// An attack that was made, and its twin: the same attacker where it should read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attack {
    /// What was stolen, and what should have shut the attacker out.
    pub what: &'static str,
    /// The number of members.
    pub group_size: usize,
    /// The number of messages that it tried to read. It read none of them.
    pub tried: usize,
    /// Where the same attacker should read.
    pub twin: &'static str,
    /// The number of messages that it read there: all.
    pub twin_read: usize,
}

/// An attack and its twin, before they are judged.
pub(super) struct Attempt<'w, 'm> {
    pub(super) what: &'static str,
    pub(super) twin: &'static str,
    /// What must stay secret: the world in which it was said, and what was said.
    pub(super) secret: (&'w World<'m>, Vec<Passage>),
    /// What the attacker should read, likewise.
    pub(super) known: (&'w World<'m>, Passage),
    /// The user whose state was stolen.
    pub(super) victim: usize,
    /// Whether the attack shows something even if the thief cannot follow the state's owner.
    pub(super) without_following: bool,
}

impl World<'_> {
    /// Runs something, and returns what was sent and said meanwhile.
    pub(super) fn passage(&mut self, happens: impl FnOnce(&mut Self) -> Verdict) -> Verdict<Passage> {
        let (sent, said) = (self.log.len(), self.said.len());
        happens(self)?;
        Ok(Passage { sent: sent..self.log.len(), said: said..self.said.len() })
    }

    /// A user's state, for an attacker.
    pub(super) fn state(&self, user: usize) -> Vec<u8> {
        self.users[user].member.export()
    }

    /// What an attacker with this state reads if it hears these messages, including those for others. The messages at
    /// the places `decisive` should shut it out.
    pub(super) fn attack(&self, state: &[u8], heard: Range<usize>, decisive: &Range<usize>) -> Verdict<Loot> {
        let mut attacker = Attacker::default();
        let follows = attacker.steal(&*(self.make)(), state);
        let follows = follows.map_err(|error| format!("an export cannot be restored for a thief: {error}"))?;
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &self.directory, confirm_inviter: &|_| true };
        let messages = heard.map(|place| {
            let Sent { author, bytes, .. } = &self.log[place];
            Overheard { author: self.users[*author].id, bytes, decisive: decisive.contains(&place) }
        });
        attacker.hear(self.group, messages, &mut context);
        Ok(Loot { attacker, follows })
    }
}

impl Trial<'_> {
    /// Judges an attack: `loot` is what was read of the secret, `known` what the same attacker read where it should.
    pub(super) fn judge(&mut self, attempt: &Attempt<'_, '_>, loot: &Loot, known: &Loot) -> Verdict {
        let Attempt { what, twin, .. } = *attempt;
        let (world, passages) = &attempt.secret;
        let secrets = || passages.iter().flat_map(|passage| &world.said[passage.said.clone()]);
        let read = secrets().filter(|(_, plaintext)| loot.attacker.has_read(plaintext)).count();
        ensure(read == 0, || format!("{what}, given everything, reads {read} of {} messages", secrets().count()))?;
        let (world, passage) = &attempt.known;
        let (own, others): (Vec<_>, Vec<_>) =
            world.said[passage.said.clone()].iter().partition(|(author, _)| *author == attempt.victim);
        let known = |said: &[&(usize, Vec<u8>)]| {
            said.iter().filter(|(_, plaintext)| known.attacker.has_read(plaintext)).count()
        };
        let (twin_read, all) = (known(&others), others.len());
        ensure(all > 0 && twin_read == all, || {
            format!(
                "the check that {what} reads nothing is void: the same attacker reads only {twin_read} of {all} messages \
                 {twin}"
            )
        })?;
        // Only a follower hears what the victim itself says.
        if !attempt.without_following && known(&own) < own.len() {
            self.not_made(what, if loot.follows { NOT_SEEN_TO_FOLLOW } else { CANNOT_FOLLOW });
            return Ok(());
        }
        let attack = Attack { what, group_size: self.group_size, tried: secrets().count(), twin, twin_read };
        self.attacks.push(attack);
        Ok(())
    }
}
