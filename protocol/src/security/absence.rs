//! A member that is away while the others go on: what its state exposes, what another member's does, and how states grow.

use rand_core::Rng as _;

use super::thefts::{Theft, Thefts};
use crate::member::Backend;
use crate::operation::PLAINTEXT_LEN;
use crate::stage::verdict::{Verdict, caught};
use crate::stage::world::{Action, World};

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Members, one of which is away.
    pub members: usize,
    /// After how many messages a member updates; the members take turns.
    pub update_every: usize,
    /// After how many messages states are looked at, in ascending order. After the last, the member comes back.
    pub moments: Vec<usize>,
    /// The seed of all randomness.
    pub seed: u64,
}

/// The states at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// How many messages were said while the member was away.
    pub messages: usize,
    /// What the state of the member that is away exposes.
    pub absent: Theft,
    /// What the state of another member exposes.
    pub present: Theft,
    /// Bytes of the largest state of the members that are present.
    pub largest_state: usize,
}

/// Runs it.
///
/// # Errors
/// What has gone wrong, in words.
pub fn absent(make: &dyn Fn() -> Box<dyn Backend>, absence: &Absence) -> Result<Vec<Away>, String> {
    caught(|| run(make, absence))
}

fn run(make: &dyn Fn() -> Box<dyn Backend>, absence: &Absence) -> Result<Vec<Away>, String> {
    let mut thefts = Thefts::start(make);
    let mut world = World::new(make, absence.members, absence.seed)?;
    world.run(0, &Action::Create((1..absence.members).collect()))?;
    world.converse()?;
    let updates = make().description().capabilities.pcs_update;
    let (away, others) = (absence.members - 1, absence.members - 1);
    let first = world.said.len();
    let mut largest = Vec::new();
    let last = absence.moments.last().copied().unwrap_or(0);
    for number in 0..=last {
        for _ in absence.moments.iter().filter(|moment| **moment == number) {
            thefts.steal(&world, away);
            thefts.steal(&world, 1);
            largest.push((0..others).map(|user| world.state(user).len()).max().unwrap_or(0));
        }
        if number == last {
            break;
        }
        say_without(&mut world, number % others, away)?;
        if updates && (number + 1).is_multiple_of(absence.update_every) {
            world.begin((number / absence.update_every) % others, &Action::Update)?;
            world.settle(Some(away))?;
        }
    }
    world.settle(None)?;
    let all = thefts.end(&world, first)?;
    let pairs = absence.moments.iter().zip(all.chunks_exact(2)).zip(largest);
    Ok(pairs
        .filter_map(|((messages, thefts), largest_state)| match thefts {
            [absent, present] => Some(Away { messages: *messages, absent: *absent, present: *present, largest_state }),
            _ => None,
        })
        .collect())
}

/// A member speaks, and one does not hear it.
fn say_without(world: &mut World<'_>, speaker: usize, away: usize) -> Verdict {
    let mut text = vec![0; PLAINTEXT_LEN];
    world.plaintexts.fill_bytes(&mut text);
    world.said.push((speaker, text.clone()));
    world.begin(speaker, &Action::Send(text))?;
    world.settle(Some(away))
}
