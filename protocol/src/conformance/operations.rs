//! Each operation in groups of several sizes: it is there or refused as a whole, it costs what the formula says, and
//! afterwards all members agree and read each other. All formulas that are wrong at one group size are reported together.

use super::trial::{SIZES, Trial};
use crate::error::Error;
use crate::operation::{Operation, Start};
use crate::stage::talk::disjoint;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

/// The length of a plaintext that cannot be missed in the length of a message.
const LONG: usize = 1_000;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for size in SIZES {
        trial.enter("update", size);
        let declared = trial.capabilities().pcs_update;
        ensure(trial.supports(Operation::Update, size) == declared, || {
            let has = if declared { "true, and there is no update" } else { "false, and there is an update" };
            format!("the capability `pcs_update` is {has}")
        })?;
        for start in [Start::Users, Start::Created, Start::Conversed, Start::Removed] {
            let operations = || Operation::ALL.into_iter().filter(move |operation| operation.start() == start);
            let reachable = start < Start::Removed || trial.supports(Operation::Remove, size);
            if !reachable {
                let none = operations().all(|operation| !trial.supports(operation, size));
                ensure(none, || "there is an operation after a removal, and no removal".to_owned())?;
                continue;
            }
            trial.enter(if start == Start::Users { "making users" } else { "create" }, size);
            let world = trial.world(start, 1)?;
            for operation in operations() {
                trial.enter(operation.name(), size);
                match trial.supports(operation, size) {
                    true => supported(trial, world.fork()?, operation)?,
                    false => unsupported(world.fork()?, operation, size)?,
                }
            }
        }
        trial.enter(Operation::Message.name(), size);
        lengths(trial.world(Start::Conversed, 1)?)?;
        trial.enter("calls of an outsider", size);
        outside(trial.world(Start::Conversed, 1)?, size, declared)?;
        ensure(trial.formulas_are_right(), || "a formula is wrong".to_owned())?;
    }
    Ok(())
}

fn unsupported(mut world: World<'_>, operation: Operation, size: usize) -> Verdict {
    let (operator, action) = Action::of(operation, size);
    let before = world.users[operator].member.export();
    let refused = world.call(operator, &action) == Err(Error::Unsupported);
    ensure(refused, || "an operation that the backend does not have is not refused as unsupported".to_owned())?;
    let unchanged = world.users[operator].member.export() == before;
    ensure(unchanged, || "a refused operation has changed the state".to_owned())
}

fn supported(trial: &mut Trial<'_>, mut world: World<'_>, operation: Operation) -> Verdict {
    let before = world.agree()?;
    let (operator, action) = Action::of(operation, trial.group_size);
    let cost = world.run(operator, &action)?;
    match trial
        .backend()
        .expected(operation, trial.group_size)
        .map(|expected| expected.compare(&cost, trial.capabilities().counted))
    {
        Some(Ok(())) => (),
        Some(Err(mismatch)) => trial.wrong_formula(&mismatch),
        None => trial.leave_out("what operations cost, by formula", "the backend has no formulas"),
    }
    let after = world.agree()?;
    if matches!(operation, Operation::Remove | Operation::Update | Operation::UpdateCold) {
        ensure(disjoint(&before, &after), || "the operation has left a sender's key material as it was".to_owned())?;
    }
    let mut world = world.fork()?;
    world.converse()?;
    world.agree().map(drop)
}

/// A plaintext that cannot be compressed cannot be sent in fewer bytes. An empty plaintext can be sent too.
fn lengths(mut world: World<'_>) -> Verdict {
    let first = world.log.len();
    world.say(0, LONG)?;
    for reader in world.insiders().into_iter().skip(1) {
        let sent = world.log[first..].iter().filter(|sent| sent.author == 0);
        let reached: usize =
            sent.filter(|sent| sent.to.is_none_or(|to| to == reader)).map(|sent| sent.bytes.len()).sum();
        ensure(reached >= LONG, || format!("{LONG} random bytes were read from messages of {reached} bytes"))?;
    }
    world.say(0, 0)
}

fn outside(mut world: World<'_>, user: usize, update: bool) -> Verdict {
    let before = world.users[user].member.export();
    let mut actions = vec![Action::Add(0), Action::Remove(0), Action::Send(Vec::new())];
    actions.extend(update.then_some(Action::Update));
    for action in actions {
        let refused = world.call(user, &action) == Err(Error::NotInGroup);
        ensure(refused, || format!("somebody in no group calls {action:?}, and is not refused for that"))?;
    }
    let unchanged = world.users[user].member.export() == before;
    ensure(unchanged, || "a refused call has changed the state".to_owned())
}
