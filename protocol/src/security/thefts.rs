//! Several thefts in one world, each by an attacker of its own.

use super::scene::agrees;
use crate::attack::{Attacker, Overheard};
use crate::crypto::count::Counted;
use crate::member::{Backend, Context};
use crate::stage::derivations::Recording;
use crate::stage::verdict::Verdict;
use crate::stage::world::{Sent, World, stream};

/// What one theft exposes. Messages are numbered from 0, in the order in which they were said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theft {
    /// Whose state was taken: the number of the user.
    pub user: usize,
    /// The number of messages that had been said before.
    pub moment: usize,
    /// The bytes of the state.
    pub state_bytes: usize,
    /// How many messages from before it are exposed.
    pub before: usize,
    /// How many messages from after it are exposed.
    pub after: usize,
    /// The number of messages until the last one that is exposed, from the theft on: 0 if none from after it is.
    pub until: usize,
}

/// States that were taken so far.
pub(super) struct Thefts {
    recording: Option<Recording>,
    stolen: Vec<(usize, usize, Vec<u8>)>,
}

impl Thefts {
    /// Begins before the world is made.
    pub(super) fn start(make: &dyn Fn() -> Box<dyn Backend>) -> Self {
        let recorded = make().description().capabilities.counted == Counted::All;
        Self { recording: recorded.then(Recording::start), stolen: Vec::new() }
    }

    /// Whether derivations are recorded.
    pub(super) fn derive(&self) -> bool {
        self.recording.is_some()
    }

    /// Takes a state.
    pub(super) fn steal(&mut self, world: &World<'_>, user: usize) {
        self.stolen.push((user, world.said.len(), world.state(user)));
    }

    /// What each theft exposes of what was said from the number `first` on.
    pub(super) fn end(self, world: &World<'_>, first: usize) -> Verdict<Vec<Theft>> {
        let said = || world.said[first..].iter();
        let judge = |(user, moment, state): &(usize, usize, Vec<u8>), read: &dyn Fn(&[u8]) -> bool| {
            let read: Vec<usize> =
                said().enumerate().filter(|(_, (_, text))| read(text)).map(|(number, _)| number).collect();
            let moment = moment - first;
            let after = read.iter().filter(|number| **number >= moment);
            let until = after.clone().max().map_or(0, |last| last + 1 - moment);
            let (after, before) = (after.count(), read.iter().filter(|number| **number < moment).count());
            Theft { user: *user, moment, state_bytes: state.len(), before, after, until }
        };
        let Self { recording: Some(recording), stolen } = self else {
            return self
                .stolen
                .iter()
                .map(|theft| {
                    Ok(judge(theft, &{
                        let attacker = thieves(world, &theft.2)?;
                        move |text: &[u8]| attacker.has_read(text)
                    }))
                })
                .collect();
        };
        let (all, _) = recording.end(world);
        let public = all.public(world.log.iter().map(|sent| &sent.bytes[..]));
        // A thief with one of the states, for whether states show what they hold.
        if let Some((_, _, state)) = stolen.first() {
            let (thief, known) = (thieves(world, state)?, all.with(&public, [&state[..]]));
            let read = |reads: &dyn Fn(&[u8]) -> bool| said().map(|(_, text)| reads(text)).collect::<Vec<bool>>();
            agrees(&read(&|text| thief.has_read(text)), &read(&|text| all.knows(&known, text)))?;
        }
        let judged = stolen.iter().map(|theft| {
            let known = all.with(&public, [&theft.2[..]]);
            judge(theft, &|text| all.knows(&known, text))
        });
        Ok(judged.collect())
    }
}

/// Lets thieves with a state hear everything.
fn thieves(world: &World<'_>, state: &[u8]) -> Verdict<Attacker> {
    let mut attacker = Attacker::default();
    let stolen = attacker.steal(&*(world.make)(), state);
    stolen.map_err(|error| format!("a state cannot be restored for a thief: {error}"))?;
    let mut rng = stream(0, u64::from(u32::MAX));
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let messages = world.log.iter().map(|Sent { author, bytes, .. }| Overheard {
        author: world.users[*author].id,
        bytes,
        decisive: false,
    });
    attacker.hear(world.group, messages, &mut context);
    Ok(attacker)
}
