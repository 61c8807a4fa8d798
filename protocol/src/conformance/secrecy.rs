//! Those who must read nothing: a removed member, a user that has not joined yet, and somebody who seizes a device that
//! has deleted its keys.

use super::theft::Attempt;
use super::trial::{SIZES, Trial};
use super::verdict::{Verdict, ensure};
use super::world::{Action, Sent, World};
use crate::error::Error;
use crate::member::{Context, Incoming};
use crate::operation::{Operation, Start};

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for size in SIZES {
        if trial.supports(Operation::Remove, size) {
            trial.enter(Operation::Remove.name(), size);
            let world = trial.world(Start::Conversed, 1)?;
            removed(trial, world, size)?;
        }
        if trial.supports(Operation::Add, size) {
            trial.enter(Operation::Add.name(), size);
            let world = trial.world(Start::Conversed, 1)?;
            joiner(trial, world, size)?;
        }
        if trial.capabilities().forward_secrecy {
            trial.enter(Operation::Message.name(), size);
            let world = trial.world(Start::Created, 0)?;
            forgotten(trial, world)?;
        }
    }
    Ok(())
}

/// The removed member, and a copy of its state from before: it reads what is said before the removal, and nothing of what
/// is said after it, even next to an update and an add.
fn removed(trial: &mut Trial<'_>, mut world: World<'_>, size: usize) -> Verdict {
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, size));
    let target = size - 1;
    let older = world.state(target);
    let before = world.passage(|world| world.converse())?;
    let recent = world.state(target);
    let (operator, action) = Action::of(Operation::Remove, size);
    let mut calls = 0..0;
    let removal = world.passage(|world| {
        let first = world.log.len();
        world.begin(operator, &action)?;
        calls = first..world.log.len();
        world.settle(None)
    })?;
    world.users[target].hears = false;
    let afterwards = world.passage(|world| {
        world.converse()?;
        if updates {
            world.run(0, &Action::Update)?;
            world.converse()?;
        }
        if adds {
            world.run(0, &Action::Add(size))?;
            world.converse()?;
        }
        Ok(())
    })?;
    let end = afterwards.sent.end;
    let attempt = |what| Attempt {
        what,
        twin: "from before the removal",
        secret: (&world, vec![afterwards.clone()]),
        known: (&world, before.clone()),
        victim: target,
        without_following: true,
    };
    let known = world.attack(&older, before.sent.clone(), &(0..0))?;
    let all = world.attack(&older, before.sent.start..end, &calls)?;
    trial.judge(&attempt("a state from before its owner's removal"), &all, &known)?;
    let late = world.attack(&recent, removal.sent.start..end, &calls)?;
    trial.judge(&attempt("the last state before its owner's removal"), &late, &known)?;
    let itself = world.attack(&world.state(target), afterwards.sent.clone(), &(0..0))?;
    trial.judge(&attempt("the removed member's state"), &itself, &known)?;

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
fn joiner(trial: &mut Trial<'_>, mut world: World<'_>, size: usize) -> Verdict {
    let joiner = size;
    let early = world.state(joiner);
    let older = world.passage(|world| world.converse())?;
    let (operator, action) = Action::of(Operation::Add, size);
    let add = world.passage(|world| world.run(operator, &action).map(drop))?;
    let late = world.state(joiner);
    let afterwards = world.passage(|world| world.converse())?;
    let attempt = |what| Attempt {
        what,
        twin: "from after it has joined",
        secret: (&world, vec![older.clone()]),
        known: (&world, afterwards.clone()),
        victim: joiner,
        without_following: true,
    };
    // It may have received the older messages before it joins, or afterwards.
    let known = world.attack(&early, add.sent.start..afterwards.sent.end, &(0..0))?;
    let loot = world.attack(&early, 0..afterwards.sent.end, &(0..0))?;
    trial.judge(&attempt("a joiner's state from before it joined"), &loot, &known)?;
    let known = world.attack(&late, afterwards.sent.clone(), &(0..0))?;
    let loot = world.attack(&late, 0..add.sent.start, &(0..0))?;
    trial.judge(&attempt("a joiner's state"), &loot, &known)?;
    // And older messages do it no harm.
    let mut burdened = world.revive(&*world.users[joiner].member)?;
    let mut rng = world.users[joiner].rng.clone();
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    for Sent { author, bytes, .. } in &world.log[..older.sent.end] {
        let incoming = Incoming { group: world.group, author: world.users[*author].id, bytes };
        // It may refuse them.
        let _ = burdened.receive_one(&incoming, &mut context);
    }
    world.users[joiner].member = burdened;
    world.converse()
}

/// A state from after everything was read gets all old messages.
fn forgotten(trial: &mut Trial<'_>, mut world: World<'_>) -> Verdict {
    let before: Vec<Vec<u8>> = world.insiders().into_iter().map(|user| world.state(user)).collect();
    let said = world.passage(|world| world.converse())?;
    for (user, before) in world.insiders().into_iter().zip(before) {
        let loot = world.attack(&world.state(user), 0..said.sent.end, &(0..0))?;
        let known = world.attack(&before, said.sent.clone(), &(0..0))?;
        let attempt = Attempt {
            what: "a state from after everything was read",
            twin: "with the state from before",
            secret: (&world, vec![said.clone()]),
            known: (&world, said.clone()),
            victim: user,
            without_following: true,
        };
        trial.judge(&attempt, &loot, &known)?;
    }
    Ok(())
}
