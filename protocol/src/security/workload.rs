//! A long conversation in which members update, join and leave, and what one theft at a random moment exposes of it.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::thefts::{Theft, Thefts};
use crate::crypto::count::Counts;
use crate::member::Backend;
use crate::operation::{Operation, PLAINTEXT_LEN};
use crate::stage::verdict::caught;
use crate::stage::world::{Action, World};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Members at first.
    pub members: usize,
    /// Messages that are said.
    pub messages: usize,
    /// After how many messages a random member updates; `None` if nobody does.
    pub update_every: Option<usize>,
    /// After how many messages somebody is added; half as many messages later, somebody is removed.
    pub change_every: usize,
    /// States that are taken, each by an attacker of its own.
    pub thefts: usize,
    /// Decides who does what, and when states are taken. It is the same for all backends.
    pub seed: u64,
}

/// What a workload has cost, and what thefts expose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// Bytes that were sent after the creation of the group and everybody's first message; a broadcast counts once.
    pub bytes: u64,
    /// The time that all calls have taken since then, by the clock of the caller.
    pub busy: u64,
    /// Primitives that all members have used since then.
    pub counts: Counts,
    /// What each theft exposes.
    pub thefts: Vec<Theft>,
    /// Whether everything that follows from a state was derived. If not, thieves have run the protocol's code.
    pub derived: bool,
}

/// What happens between two messages.
enum Change {
    Nothing,
    Add(usize),
    Remove(usize),
}

/// Runs a workload. `clock` is read before and after each call.
///
/// # Errors
/// What has gone wrong, in words.
pub fn expose(
    make: &dyn Fn() -> Box<dyn Backend>,
    workload: &Workload,
    clock: &dyn Fn() -> u64,
) -> Result<Exposed, String> {
    caught(|| run(make, workload, clock))
}

fn run(make: &dyn Fn() -> Box<dyn Backend>, workload: &Workload, clock: &dyn Fn() -> u64) -> Result<Exposed, String> {
    let Workload { members, messages, update_every, change_every, .. } = *workload;
    let mut rng = ChaCha20Rng::seed_from_u64(workload.seed);
    let mut below = |n: usize| usize::try_from(rng.next_u64() % n.max(1) as u64).unwrap_or(0);
    let joiners = messages / change_every.max(1);
    let mut thefts = Thefts::start(make);
    let mut world = World::new(make, members + joiners, workload.seed)?;
    world.run(0, &Action::Create((1..members).collect()))?;
    world.converse()?;
    (world.clock, world.busy) = (clock, 0);
    let (first_sent, first_said) = (world.log.len(), world.said.len());
    let mut counts = Counts::default();
    // Of a generator of their own, so that the conversation does not depend on how many there are.
    let mut thieves = ChaCha20Rng::seed_from_u64(workload.seed);
    thieves.set_stream(1);
    let mut moments: Vec<(usize, u64)> = (0..workload.thefts)
        .map(|_| (usize::try_from(thieves.next_u64() % messages.max(1) as u64).unwrap_or(0), thieves.next_u64()))
        .collect();
    moments.sort_unstable();
    let mut moments = moments.into_iter().peekable();
    let mut joiner = members;
    for number in 0..messages {
        let insiders = world.insiders();
        while let Some((_, victim)) = moments.next_if(|(moment, _)| *moment == number) {
            thefts.steal(&world, insiders[usize::try_from(victim % insiders.len() as u64).unwrap_or(0)]);
        }
        world.say(insiders[below(insiders.len())], PLAINTEXT_LEN)?;
        counts += spent(&world);
        let done = number + 1;
        // The draws are the same whether there are updates or not.
        let updater = insiders[below(insiders.len())];
        if update_every.is_some_and(|every| done.is_multiple_of(every)) {
            world.run(updater, &Action::Update)?;
            counts += spent(&world);
        }
        let (operator, target) = (below(insiders.len()), below(insiders.len() - 1));
        let operator = insiders[operator];
        let target = *insiders.iter().filter(|user| **user != operator).nth(target).unwrap_or(&operator);
        let change = match done % change_every {
            0 if make().supports(Operation::Add, insiders.len()) => Change::Add(joiner),
            half if half == change_every / 2 && make().supports(Operation::Remove, insiders.len()) => {
                Change::Remove(target)
            }
            _ => Change::Nothing,
        };
        match change {
            Change::Nothing => continue,
            Change::Add(user) if user < world.users.len() => {
                world.run(operator, &Action::Add(user))?;
                joiner += 1;
            }
            Change::Add(_) => continue,
            Change::Remove(user) => drop(world.run(operator, &Action::Remove(user))?),
        }
        counts += spent(&world);
    }
    let bytes = world.log[first_sent..].iter().map(|sent| sent.bytes.len() as u64).sum();
    let (busy, derived) = (world.busy, thefts.derive());
    Ok(Exposed { bytes, busy, counts, thefts: thefts.end(&world, first_said)?, derived })
}

/// What all members have spent in the last operation.
fn spent(world: &World<'_>) -> Counts {
    world.cost.counts.values().fold(Counts::default(), |sum, counts| sum + *counts)
}
