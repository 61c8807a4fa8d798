//! Two concurrent operations, neither of whose authors knows of the other: both take effect, in whatever order they
//! arrive.

use super::trial::Trial;
use super::verdict::Verdict;
use super::world::{Action, World};
use crate::operation::{Operation, Phase, Start};

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

fn cross(mut world: World<'_>, actions: &[Action; 2], order: Order) -> Verdict {
    // A joiner also needs what was sent before its add.
    for action in actions {
        if let Action::Add(user) = action {
            world.admit(*user);
        }
    }
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
    for user in &mut world.users {
        user.hears = user.inside;
    }
    world.agree()?;
    world = world.fork()?;
    world.converse()?;
    world.agree().map(drop)
}
