//! Operations and messages of several authors in flight, which arrive in any order: no message is lost, read twice or
//! read by somebody it is not for, and in the end all members agree.

use super::flight::{Flight, below};
use super::trial::Trial;
use crate::member::Ordering;
use crate::operation::{Operation, Start};
use crate::stage::recorder::Recorder;
use crate::stage::verdict::Verdict;
use crate::stage::world::{Action, World, stream};

/// The size of groups in which all orders are tried.
const SMALL: usize = 4;
/// The size of groups in which random schedules are tried.
const LARGE: usize = 5;
/// The creator, which also operates.
const OPERATOR: usize = 0;
/// The user that acts after the operation has reached it.
const SPEAKER: usize = 1;
/// The user that messages reach late.
const LATE: usize = 2;
/// The greatest number of messages of which all orders are tried: of more, as many random orders.
const ALL_ORDERS: usize = 4;
const ORDERS: usize = 24;
/// Random schedules of each kind, and their steps.
const SCHEDULES: usize = 2;
const STEPS: usize = 40;
/// Updates besides the first. Every protocol bounds how many keys of one sender it keeps for messages under way.
const MORE_UPDATES: usize = 2;

/// What is in flight with the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crossing {
    Nothing,
    Update,
    Add,
    Remove,
}

impl Crossing {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Nothing, "messages of several members in flight"),
        (Self::Update, "messages and an update in flight"),
        (Self::Add, "messages and an add in flight"),
        (Self::Remove, "messages and a removal in flight"),
    ];

    /// The operation in a group of the first `size` users.
    fn action(self, size: usize) -> Option<Action> {
        let operation = match self {
            Self::Nothing => return None,
            Self::Update => Operation::Update,
            Self::Add => Operation::Add,
            Self::Remove => Operation::Remove,
        };
        Some(Action::of(operation, size).1)
    }

    fn is_supported(self, trial: &Trial<'_>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Update => trial.capabilities().pcs_update,
            Self::Add => trial.supports(Operation::Add, SMALL),
            Self::Remove => trial.supports(Operation::Remove, SMALL),
        }
    }
}

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for (crossing, situation) in Crossing::ALL {
        if !crossing.is_supported(trial) {
            continue;
        }
        trial.enter(situation, SMALL);
        every_order(flight(trial, Start::Conversed)?, crossing, trial.seed)?;
        if crossing != Crossing::Nothing && trial.capabilities().ordering == Ordering::Causal {
            trial.enter(situation, SMALL);
            withheld(flight(trial, Start::Conversed)?, crossing, trial.capabilities().pcs_update)?;
        }
        for start in [Start::Conversed, Start::Created].into_iter().cycle().take(SCHEDULES) {
            trial.enter(situation, LARGE);
            any_schedule(flight(trial, start)?, crossing, trial)?;
        }
    }
    Ok(())
}

/// A group, and one user more, whom broadcasts reach: an add can be in flight with them.
fn flight<'a>(trial: &Trial<'a>, start: Start) -> Verdict<Flight<'a>> {
    let mut world = trial.world(start, 1)?;
    world.users[trial.group_size].hears = true;
    Ok(Flight::new(world))
}

/// One member gets what the others have sent in each order: a message, an operation, the answers to it, and a message
/// of another member that had processed the operation.
fn every_order(mut flight: Flight<'_>, crossing: Crossing, seed: u64) -> Verdict {
    flight.say(OPERATOR)?;
    flight.settle(&[LATE])?;
    match crossing.action(SMALL) {
        Some(action) => flight.act(OPERATOR, &action)?,
        None => flight.say(OPERATOR)?,
    }
    flight.settle(&[LATE])?;
    flight.say(SPEAKER)?;
    flight.settle(&[LATE])?;
    let orders = match flight.is_ordered() {
        // One by one, and in one batch.
        true => vec![flight.inbox(LATE); 2],
        false => orders(flight.inbox(LATE), &mut stream(seed, 1 << 26)),
    };
    for (number, order) in orders.into_iter().enumerate() {
        let mut flight = flight.fork()?;
        // One by one, or in one batch.
        arrive(&mut flight, &order, if number % 2 == 0 { 1 } else { order.len().max(1) })?;
    }
    flight.finish().map(drop)
}

/// In a large group, a message crosses an update, and another one follows both. One member gets that one first.
pub(super) fn last_first<'a>(trial: &mut Trial<'a>, world: World<'a>) -> Verdict<World<'a>> {
    let which = usize::from(trial.capabilities().pcs_update);
    let (crossing, situation) = Crossing::ALL[which];
    trial.enter(situation, world.insiders().len());
    let mut flight = Flight::new(world);
    flight.say(SPEAKER)?;
    match crossing.action(SMALL) {
        Some(action) => flight.act(OPERATOR, &action)?,
        None => flight.say(OPERATOR)?,
    }
    flight.settle(&[LATE])?;
    flight.say(SPEAKER)?;
    flight.settle(&[LATE])?;
    let mut order = flight.inbox(LATE);
    if flight.is_ordered() {
        arrive(&mut flight, &order, 1)?;
        return flight.finish();
    }
    order.reverse();
    // And once more, but what crosses comes after everything else, which waits for it.
    let (crosses, others): (Vec<_>, Vec<_>) = order.iter().partition(|place| flight.author(**place) == OPERATOR);
    arrive(&mut flight.fork()?, &[others, crosses].concat(), 1)?;
    arrive(&mut flight, &order, 1)?;
    flight.finish()
}

/// One member gets messages in this order, in batches of `together`, and then gets them all again.
fn arrive(flight: &mut Flight<'_>, order: &[usize], together: usize) -> Verdict {
    order.chunks(together).try_for_each(|places| flight.deliver(LATE, places))?;
    flight.land()?;
    flight.restart(LATE)?;
    order.iter().try_for_each(|place| flight.repeat(LATE, *place))
}

/// An operation is withheld from one member while the others go on, and arrives last.
fn withheld(mut flight: Flight<'_>, crossing: Crossing, updates: bool) -> Verdict {
    let Some(action) = crossing.action(SMALL) else { return Ok(()) };
    flight.act(OPERATOR, &action)?;
    let withheld = flight.withhold(LATE);
    for _ in 0..2 {
        for speaker in [SPEAKER, LATE, OPERATOR] {
            flight.say(speaker)?;
        }
        flight.settle(&[])?;
        if updates {
            flight.act(SPEAKER, &Action::Update)?;
            flight.settle(&[])?;
        }
    }
    flight.say(LATE)?;
    flight.settle(&[])?;
    withheld.into_iter().rev().try_for_each(|place| flight.deliver(LATE, &[place]))?;
    flight.finish().map(drop)
}

/// Everybody speaks, updates and restarts. Messages arrive in any order, and some of them again.
fn any_schedule(mut flight: Flight<'_>, crossing: Crossing, trial: &Trial<'_>) -> Verdict {
    let capabilities = trial.capabilities();
    let mut rng = stream(trial.seed, 1 << 26);
    let mut updates = 0..MORE_UPDATES;
    for step in 0..STEPS {
        let actors = flight.actors(crossing == Crossing::Remove);
        let actor = actors[below(&mut rng, actors.len())];
        if step == STEPS / 3
            && let Some(action) = crossing.action(LARGE)
        {
            flight.act(OPERATOR, &action)?;
        }
        match below(&mut rng, 12) {
            0..4 => flight.say(actor)?,
            // One member at a time may change the group, unless concurrent operations are declared.
            4 if crossing == Crossing::Update && updates.next().is_some() => {
                flight.act(if capabilities.concurrent_operations { actor } else { OPERATOR }, &Action::Update)?;
            }
            5 => flight.restart(actor)?,
            6 => flight.repeat_one(&mut rng)?,
            _ => flight.deliver_one(&mut rng)?,
        }
    }
    while flight.deliver_one_if_any(&mut rng)? {}
    flight.finish().map(drop)
}

/// All orders of a few messages, or random orders of many.
fn orders(places: Vec<usize>, rng: &mut Recorder) -> Vec<Vec<usize>> {
    if places.len() > ALL_ORDERS {
        let mut shuffle = |mut places: Vec<usize>| {
            (1..places.len()).rev().for_each(|at| places.swap(at, below(rng, at + 1)));
            places
        };
        return (0..ORDERS).map(|_| shuffle(places.clone())).collect();
    }
    places.iter().fold(vec![Vec::new()], |orders, place| {
        let longer =
            |order: Vec<usize>| (0..=order.len()).map(move |at| [&order[..at], &[*place], &order[at..]].concat());
        orders.into_iter().flat_map(longer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn all_orders_of_a_few_messages_are_tried_and_as_many_of_more() {
        let different = |count: usize| {
            let orders = orders((0..count).collect(), &mut stream(1, 1));
            orders.into_iter().inspect(|order| assert_eq!(order.len(), count)).collect::<BTreeSet<_>>().len()
        };
        assert_eq!([0, 1, 2, 3, 4].map(different), [1, 1, 2, 6, 24]);
        assert!(different(6) > 20);
    }
}
