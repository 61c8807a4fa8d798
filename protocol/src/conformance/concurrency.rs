//! Two concurrent operations, neither of whose authors knows of the other: both take effect, in whatever order they
//! arrive. In a total order they may collide, and then one of them is made again.

use super::trial::Trial;
use crate::operation::{Operation, Phase, Start};
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

const SIZE: usize = 5;
/// The users that act concurrently.
const ACTORS: [usize; 2] = [1, 2];

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    let capabilities = trial.capabilities();
    if !capabilities.concurrent_operations {
        return Ok(());
    }
    let updates = capabilities.pcs_update;
    let adds = trial.supports(Operation::Add, SIZE);
    let removes = trial.supports(Operation::Remove, SIZE);
    let (joiner, other) = (SIZE, SIZE + 1);
    let pairs = [
        ("two updates at once", updates, [Action::Update, Action::Update]),
        ("an add next to an update", adds && updates, [Action::Add(joiner), Action::Update]),
        ("an add next to a removal", adds && removes, [Action::Add(joiner), Action::Remove(3)]),
        ("two adds at once", adds, [Action::Add(joiner), Action::Add(other)]),
        ("two removals at once", removes, [Action::Remove(3), Action::Remove(4)]),
        ("a removal next to an update", removes && updates, [Action::Remove(3), Action::Update]),
        ("a message next to a removal", removes, [Action::Send(vec![7; 32]), Action::Remove(3)]),
    ];
    for (situation, _, actions) in pairs.into_iter().filter(|(_, possible, _)| *possible) {
        if !trial.may_cross() {
            for first in [0, 1] {
                trial.enter(situation, SIZE);
                collide(trial.world(Start::Conversed, 2)?, &actions, first)?;
            }
            continue;
        }
        for order in [Order::First, Order::Second, Order::Mixed] {
            trial.enter(situation, SIZE);
            cross(trial.world(Start::Conversed, 2)?, &actions, order)?;
        }
    }
    Ok(())
}

/// The operation that reaches the others first.
#[derive(Clone, Copy)]
enum Order {
    First,
    Second,
    /// The first author's at some users, the second author's at the others.
    Mixed,
}

/// In a total order, one operation comes first. If the other one is a commit too, it is dropped, and made again by its author,
/// which knows the first one then.
fn collide(mut world: World<'_>, actions: &[Action; 2], first: usize) -> Verdict {
    admit_joiners(&mut world, actions);
    let second = 1 - first;
    world.begin(ACTORS[first], &actions[first])?;
    let sent = world.log.len();
    world.begin(ACTORS[second], &actions[second])?;
    let dropped = world.log.len() == sent;
    world.settle(None)?;
    if dropped {
        let settled = world.log.len();
        world.begin(ACTORS[second], &actions[second])?;
        ensure(world.log.len() > settled, || {
            "a call whose commit was too late sends nothing when it is made again".to_owned()
        })?;
        world.settle(None)?;
    }
    go_on(world)
}

/// A joiner also needs what was sent before its add.
fn admit_joiners(world: &mut World<'_>, actions: &[Action; 2]) {
    for action in actions {
        if let Action::Add(user) = action {
            world.admit(*user);
        }
    }
}

fn cross(mut world: World<'_>, actions: &[Action; 2], order: Order) -> Verdict {
    admit_joiners(&mut world, actions);
    let first = world.log.len();
    world.begin(ACTORS[0], &actions[0])?;
    let second = world.log.len();
    world.begin(ACTORS[1], &actions[1])?;
    for user in 0..world.users.len() {
        let turned = match order {
            Order::First => false,
            Order::Second => true,
            Order::Mixed => user % 2 == 0,
        };
        if turned {
            let inbox = &mut world.users[user].inbox;
            let at = inbox.iter().filter(|place| (first..second).contains(*place)).count();
            inbox.rotate_left(at);
        }
        // One by one, so that each user answers the first message before it knows the second.
        for place in core::mem::take(&mut world.users[user].inbox) {
            let answers = world.receive(user, &[place], Phase::Process)?;
            world.post(user, answers)?;
        }
    }
    world.settle(None)?;
    go_on(world)
}

/// All members agree and can go on, after a restart too.
fn go_on(mut world: World<'_>) -> Verdict {
    for user in &mut world.users {
        user.hears = user.inside;
    }
    world.agree()?;
    world = world.fork()?;
    world.converse()?;
    world.agree().map(drop)
}
