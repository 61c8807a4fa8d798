//! A longer life of a group, in which joiners do everything and the founders leave.

use super::trial::Trial;
use crate::operation::{Operation, Start};
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::Action;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for size in [2, 4] {
        for operation in [Operation::Create, Operation::CreateMesh] {
            if trial.supports(operation, size) {
                trial.enter(operation.name(), size);
                live(trial, operation, size)?;
            }
        }
    }
    Ok(())
}

fn live(trial: &mut Trial<'_>, operation: Operation, size: usize) -> Verdict {
    let [first, second, third] = [size, size + 1, size + 2];
    let mut steps = vec![
        ("add by another founder", 1, Action::Add(first)),
        ("add by a joiner", first, Action::Add(second)),
        ("removal of the creator by a joiner", first, Action::Remove(0)),
        ("add after a removal", second, Action::Add(third)),
        ("removal of a joiner by a joiner", second, Action::Remove(first)),
    ];
    if trial.capabilities().pcs_update {
        steps.insert(2, ("update by a joiner", second, Action::Update));
        steps.push(("update after removals", third, Action::Update));
    }
    let mut world = trial.world(Start::Users, 3)?;
    let (creator, action) = Action::of(operation, size);
    world.run(creator, &action)?;
    for (situation, user, action) in steps {
        let members = world.insiders().len();
        trial.situation = situation.into();
        trial.group_size = members;
        trial.tried += 1;
        world = world.fork()?;
        world.run(user, &action)?;
        world.agree()?;
        world = world.fork()?;
        world.converse()?;
        world.agree()?;
        ensure(world.users.iter().all(|user| user.inbox.is_empty()), || "messages are left over".to_owned())?;
    }
    Ok(())
}
