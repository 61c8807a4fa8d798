//! States in the wrong hands: what an attacker reads with them, and that the same attacker reads where it should.

use std::collections::BTreeSet;
use std::ops::Range;

use super::derived;
use super::report::Attack;
use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Action, Sent, World, stream};
use crate::attack::{Attacker, Overheard};
use crate::crypto::tap::Derived;
use crate::error::Error;
use crate::member::{Backend, Context};
use crate::operation::PLAINTEXT_LEN;

/// No messages.
pub(super) const NONE: Range<usize> = 0..0;
/// Why an attack is not made.
const CANNOT_FOLLOW: &str = "the backend does not let a thief follow the owner of a stolen state";
const NOT_SEEN_TO_FOLLOW: &str =
    "a thief that follows the owner of a stolen state does not read what the state opens, so it may not follow at all";

/// What was sent and said while something happened: places in the log of messages and among the plaintexts.
#[derive(Clone, Debug)]
pub(super) struct Passage {
    pub(super) sent: Range<usize>,
    pub(super) said: Range<usize>,
}

/// What an attacker has read.
pub(super) struct Loot {
    attacker: Attacker,
    /// Whether it has been given the means to follow the owner of the state.
    follows: bool,
}

/// What was said in a world, and an attacker that tries to read it.
pub(super) struct Reading<'w, 'm> {
    pub(super) world: &'w World<'m>,
    pub(super) said: Range<usize>,
    pub(super) loot: Loot,
}

impl Reading<'_, '_> {
    fn said(&self) -> usize {
        self.said.len()
    }

    fn read(&self) -> usize {
        self.world.said[self.said.clone()].iter().filter(|(_, said)| self.loot.attacker.has_read(said)).count()
    }
}

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

impl<'m> World<'m> {
    /// Runs something, and returns what was sent and said meanwhile.
    pub(super) fn passage(&mut self, happens: impl FnOnce(&mut Self) -> Verdict) -> Verdict<Passage> {
        let (sent, said) = (self.log.len(), self.said.len());
        happens(self)?;
        Ok(Passage { sent: sent..self.log.len(), said: said..self.said.len() })
    }

    /// Returns a user's state after its first message, and the second one. A thief with that state reads it, if it follows
    /// its owner: some protocols heal whenever their members take turns, but here nobody else speaks.
    pub(super) fn speak_twice(&mut self, user: usize) -> Verdict<(Vec<u8>, Passage)> {
        self.say(user, PLAINTEXT_LEN)?;
        let state = self.state(user);
        Ok((state, self.passage(|world| world.say(user, PLAINTEXT_LEN))?))
    }

    /// A user sends something for an attacker to read. Nobody has received it yet.
    pub(super) fn begin_to_say(&mut self, user: usize) -> Verdict {
        let text = vec![0x5a; PLAINTEXT_LEN];
        self.said.push((user, text.clone()));
        self.begin(user, &Action::Send(text))
    }

    /// A user's state, for an attacker.
    pub(super) fn state(&self, user: usize) -> Vec<u8> {
        self.users[user].member.export()
    }

    /// Lets an attacker with this state hear these messages, including those for others, and try to read what was said.
    /// The messages at the places `decisive` should shut it out.
    pub(super) fn attack<'w>(
        &'w self,
        state: &[u8],
        heard: Range<usize>,
        decisive: &Range<usize>,
        said: &Range<usize>,
    ) -> Verdict<Reading<'w, 'm>> {
        self.listen(Attacker::steal, state, heard, decisive, said)
    }

    /// The same for a thief that follows the owner of the state, and for no other.
    pub(super) fn follow<'w>(
        &'w self,
        state: &[u8],
        heard: impl Iterator<Item = usize>,
        said: &Range<usize>,
    ) -> Verdict<Reading<'w, 'm>> {
        self.listen(Attacker::follow, state, heard, &NONE, said)
    }

    /// Those of these messages that can matter to the thief of a state. What silent members of a large group send each other
    /// opens nothing that was said, and hearing it takes long.
    fn audible(&self, state: &[u8], heard: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
        let few_speak = self.most_speakers < self.users.len();
        let owner = (self.make)().restore(state).map(|copy| copy.id()).ok();
        let mut known: BTreeSet<usize> = self.calls.iter().map(|call| call.author).collect();
        known.extend(self.users.iter().position(|user| Some(user.id) == owner));
        heard.filter(move |place| {
            let Sent { author, to, .. } = &self.log[*place];
            !few_speak || known.contains(author) || to.is_none_or(|to| known.contains(&to))
        })
    }

    /// Derives what can be derived from a state and these messages: none of the keys from the number `first` on.
    pub(super) fn shut_out(
        &self,
        what: &str,
        derived: &Derived,
        first: usize,
        state: &[u8],
        heard: Range<usize>,
    ) -> Verdict {
        let mut heard = self.audible(state, heard).map(|place| &self.log[place]);
        ensure(!derived::follows(self, derived, first, state, &mut heard), || {
            format!("with {what}, and with what was sent since, the key of a later message can be derived")
        })
    }

    fn listen<'w>(
        &'w self,
        steal: fn(&mut Attacker, &dyn Backend, &[u8]) -> Result<bool, Error>,
        state: &[u8],
        heard: impl Iterator<Item = usize>,
        decisive: &Range<usize>,
        said: &Range<usize>,
    ) -> Verdict<Reading<'w, 'm>> {
        let mut attacker = Attacker::default();
        let follows = steal(&mut attacker, &*(self.make)(), state);
        let follows = follows.map_err(|error| format!("an export cannot be restored for a thief: {error}"))?;
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &self.directory, confirm_inviter: &|_| true };
        let messages = self.audible(state, heard).map(|place| {
            let Sent { author, bytes, .. } = &self.log[place];
            Overheard { author: self.users[*author].id, bytes, decisive: decisive.contains(&place) }
        });
        attacker.hear(self.group, messages, &mut context);
        Ok(Reading { world: self, said: said.clone(), loot: Loot { attacker, follows } })
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
