//! States in the wrong hands, and what an attacker reads with them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::verdict::Verdict;
use super::world::{Action, Sent, World, stream};
use crate::attack::{Attacker, Overheard};
use crate::error::Error;
use crate::member::{Backend, Context, Event, Incoming, Outgoing};
use crate::operation::PLAINTEXT_LEN;

/// How often a thief speaks.
const TIMES: usize = 4;

/// No messages.
pub(crate) const NONE: Range<usize> = 0..0;

/// What was sent and said while something happened: places in the log of messages and among the plaintexts.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) sent: Range<usize>,
    pub(crate) said: Range<usize>,
}

/// What an attacker has read.
pub(crate) struct Loot {
    pub(crate) attacker: Attacker,
    /// Whether it has been given the means to follow the owner of the state.
    pub(crate) follows: bool,
}

/// What was said in a world, and an attacker that tries to read it.
pub(crate) struct Reading<'w, 'm> {
    pub(crate) world: &'w World<'m>,
    pub(crate) said: Range<usize>,
    pub(crate) loot: Loot,
}

impl Reading<'_, '_> {
    pub(crate) fn said(&self) -> usize {
        self.said.len()
    }

    pub(crate) fn read(&self) -> usize {
        self.world.said[self.said.clone()].iter().filter(|(_, said)| self.loot.attacker.has_read(said)).count()
    }
}

impl<'m> World<'m> {
    /// Runs something, and returns what was sent and said meanwhile.
    pub(crate) fn passage(&mut self, happens: impl FnOnce(&mut Self) -> Verdict) -> Verdict<Passage> {
        let (sent, said) = (self.log.len(), self.said.len());
        happens(self)?;
        Ok(Passage { sent: sent..self.log.len(), said: said..self.said.len() })
    }

    /// Returns a user's state after its first message, and the second one. A thief with that state reads it, if it follows
    /// its owner: some protocols heal whenever their members take turns, but here nobody else speaks.
    pub(crate) fn speak_twice(&mut self, user: usize) -> Verdict<(Vec<u8>, Passage)> {
        self.say(user, PLAINTEXT_LEN)?;
        let state = self.state(user);
        Ok((state, self.passage(|world| world.say(user, PLAINTEXT_LEN))?))
    }

    /// A user sends something for an attacker to read. Nobody has received it yet.
    pub(crate) fn begin_to_say(&mut self, user: usize) -> Verdict {
        let text = vec![0x5a; PLAINTEXT_LEN];
        self.said.push((user, text.clone()));
        self.begin(user, &Action::Send(text))
    }

    /// A user's state, for an attacker.
    pub(crate) fn state(&self, user: usize) -> Vec<u8> {
        self.users[user].member.export()
    }

    /// Lets an attacker with this state hear these messages, including those for others, and try to read what was said.
    /// The messages at the places `decisive` should shut it out.
    pub(crate) fn attack<'w>(
        &'w self,
        state: &[u8],
        heard: Range<usize>,
        decisive: &Range<usize>,
        said: &Range<usize>,
    ) -> Verdict<Reading<'w, 'm>> {
        self.listen(Attacker::steal, state, heard, decisive, said)
    }

    /// The same for a thief that follows the owner of the state, and for no other.
    pub(crate) fn follow<'w>(
        &'w self,
        state: &[u8],
        heard: impl Iterator<Item = usize>,
        said: &Range<usize>,
    ) -> Verdict<Reading<'w, 'm>> {
        self.listen(Attacker::follow, state, heard, &NONE, said)
    }

    /// Those of these messages that can matter to the thief of a state. What silent members of a large group send each other
    /// opens nothing that was said, and hearing it takes long.
    pub(crate) fn audible(&self, state: &[u8], heard: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
        let few_speak = self.most_speakers < self.users.len();
        let owner = (self.make)().restore(state).map(|copy| copy.id()).ok();
        let mut known: BTreeSet<usize> = self.calls.iter().map(|call| call.author).collect();
        known.extend(self.users.iter().position(|user| Some(user.id) == owner));
        heard.filter(move |place| {
            let Sent { author, to, .. } = &self.log[*place];
            !few_speak || known.contains(author) || to.is_none_or(|to| known.contains(&to))
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

    /// How many speakers take a message that was made with a victim's state for one of the victim. The thief speaks several times:
    /// the first message can be under a number that the victim has used.
    pub(crate) fn fooled(&self, victim: usize, state: &[u8]) -> Verdict<usize> {
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &self.directory, confirm_inviter: &|_| true };
        let thief = (self.make)().restore(state);
        let mut thief = thief.map_err(|error| format!("an export cannot be restored for a thief: {error}"))?;
        let mut sent = Vec::new();
        for _ in 0..TIMES {
            // It may notice that it cannot.
            sent.extend(thief.send(&[0x5a; PLAINTEXT_LEN], &mut context).unwrap_or_default());
        }
        let mut fooled = 0;
        for user in self.speakers().into_iter().filter(|user| *user != victim) {
            let mut reader = self.revive(&*self.users[user].member)?;
            let mut takes = |message: &Outgoing| {
                let incoming = Incoming { group: self.group, author: self.users[victim].id, bytes: &message.bytes };
                let received = reader.receive_one(&incoming, &mut context).unwrap_or_default();
                received.events.iter().any(|event| matches!(event, Event::Message { .. }))
            };
            // Each message arrives, whether another one is taken or not.
            fooled += usize::from(sent.iter().filter(|message| takes(message)).count() > 0);
        }
        Ok(fooled)
    }
}
