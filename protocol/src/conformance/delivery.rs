//! Messages that arrive in the wrong order, or together after the others are done.

use super::trial::Trial;
use crate::operation::{Operation, Phase};
use crate::stage::verdict::Verdict;
use crate::stage::world::{Action, World};

const SIZE: usize = 4;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for operation in Operation::ALL {
        if !trial.supports(operation, SIZE) {
            continue;
        }
        let joiner = (operation == Operation::Add).then_some(SIZE);
        for late in [2].into_iter().chain(joiner) {
            trial.enter(operation.name(), SIZE);
            reverse(trial.world(operation.start(), 1)?, operation, late)?;
        }
    }
    Ok(())
}

/// One member gets the messages of an operation after the others are done, the last message first. In a total order they come
/// in that order, but late.
fn reverse(mut world: World<'_>, operation: Operation, late: usize) -> Verdict {
    let (operator, action) = Action::of(operation, SIZE);
    world.begin(operator, &action)?;
    world.settle(Some(late))?;
    let mut inbox = core::mem::take(&mut world.users[late].inbox);
    if !world.total {
        inbox.reverse();
    }
    for place in inbox {
        let answers = world.receive(late, &[place], Phase::Process)?;
        world.post(late, answers)?;
    }
    world.settle(None)?;
    world.end(operator, &action)?;
    world.agree()?;
    world.converse()?;
    world.agree().map(drop)
}
