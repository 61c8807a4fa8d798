//! Those who must read nothing: a removed member, a user that has not joined yet, and somebody who seizes a device that
//! has deleted its keys.

use super::trial::{SIZES, Trial};
use super::verdict::{Verdict, ensure};
use super::world::{Action, World};
use crate::error::Error;
use crate::member::Member;
use crate::operation::{Operation, PLAINTEXT_LEN, Start};

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for size in SIZES {
        if trial.supports(Operation::Remove, size) {
            trial.enter(Operation::Remove.name(), size);
            let world = trial.world(Start::Conversed, 1)?;
            removed(world, size, trial)?;
        }
        if trial.supports(Operation::Add, size) {
            trial.enter(Operation::Add.name(), size);
            joiner(trial.world(Start::Conversed, 1)?, size)?;
        }
        if trial.capabilities().forward_secrecy {
            trial.enter(Operation::Message.name(), size);
            forgotten(&trial.world(Start::Conversed, 0)?)?;
        }
    }
    Ok(())
}

/// The removed member, and copies of it from before its removal: one that gets everything, messages to others included,
/// and one from which the removal itself is withheld. A message that crosses the removal reaches nobody until the target is
/// removed: the target must not be able to read it any more.
fn removed(mut world: World<'_>, size: usize, trial: &Trial<'_>) -> Verdict {
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, size));
    let target = size - 1;
    let (mut informed, mut uninformed) = (world.capture(target)?, world.capture(target)?);
    let delayed = world.log.len();
    let text = vec![0x5a; PLAINTEXT_LEN];
    if size > 2 && trial.capabilities().concurrent_operations {
        world.begin(1, &Action::Send(text.clone()))?;
        let read = world.overhear(&mut *world.capture(target)?, &world.log[delayed..]);
        ensure(read == [text], || "a member does not read a message that is for it".to_owned())?;
    }
    let inboxes: Vec<_> = world.users.iter_mut().map(|user| core::mem::take(&mut user.inbox)).collect();
    let first = world.log.len();
    let (operator, action) = Action::of(Operation::Remove, size);
    world.begin(operator, &action)?;
    let withheld = world.log.len();
    world.settle(None)?;
    world.users[target].hears = false;
    for (number, inbox) in inboxes.into_iter().enumerate().filter(|(number, _)| *number != target) {
        world.users[number].inbox.extend(inbox);
    }
    world.settle(None)?;
    let answered = world.log.len();
    world.converse()?;
    if updates {
        world.run(0, &Action::Update)?;
        world.converse()?;
    }
    if adds {
        world.run(0, &Action::Add(size))?;
        world.converse()?;
    }
    let mut itself = world.capture(target)?;
    let attempts: [(&mut dyn Member, usize, &str); 3] = [
        (&mut *itself, answered, "the removed member"),
        (&mut *informed, first, "a copy of the removed member from before its removal, given everything,"),
        (
            &mut *uninformed,
            withheld,
            "a copy of the removed member from before its removal, which it does not know of,",
        ),
    ];
    for (copy, from, who) in attempts {
        let read = world.overhear(copy, &world.log[from..]);
        ensure(read.is_empty(), || format!("{who} reads a message that was sent after the removal"))?;
    }
    let read = world.overhear(&mut *world.capture(target)?, &world.log);
    ensure(read.is_empty(), || {
        "the removed member reads a message from before its removal that it had not received".to_owned()
    })?;
    let before = world.users[target].member.export();
    let mut actions = vec![Action::Add(size), Action::Remove(0), Action::Send(Vec::new())];
    actions.extend(updates.then_some(Action::Update));
    for action in actions {
        let refused = world.call(target, &action) == Err(Error::NotInGroup);
        ensure(refused, || format!("the removed member calls {action:?}, and is not refused as in no group"))?;
    }
    let unchanged = world.users[target].member.export() == before;
    ensure(unchanged, || "a refused call of the removed member has changed the state".to_owned())
}

/// The joiner gets all older messages: a copy of it before it joins, and itself afterwards.
fn joiner(mut world: World<'_>, size: usize) -> Verdict {
    let joiner = size;
    let mut early = world.capture(joiner)?;
    let older = world.log.len();
    let mut read = world.overhear(&mut *early, &world.log[..older]);
    let (operator, action) = Action::of(Operation::Add, size);
    world.run(operator, &action)?;
    read.extend(world.overhear(&mut *early, &world.log));
    ensure(read.is_empty(), || "a joiner that had older messages before it joined reads one".to_owned())?;
    let mut late = world.capture(joiner)?;
    let read = world.overhear(&mut *late, &world.log[..older]);
    ensure(read.is_empty(), || "a joiner reads a message that was sent before it joined".to_owned())?;
    // And older messages do it no harm.
    world.users[joiner].member = late;
    world.converse()
}

/// A state from after everything was read gets all old messages.
fn forgotten(world: &World<'_>) -> Verdict {
    for user in world.insiders() {
        let mut seized = world.capture(user)?;
        let read = world.overhear(&mut *seized, &world.log);
        ensure(read.is_empty(), || "a state from after a message was read reads it once more".to_owned())?;
    }
    Ok(())
}
