//! Those who must read nothing: a removed member, a user that has not joined yet, and somebody who seizes a device that
//! has deleted its keys.

use std::ops::Range;

use super::derived;
use super::theft::Attempt;
use super::trial::{SIZES, Trial};
use crate::error::Error;
use crate::member::{Context, Incoming, Ordering};
use crate::operation::{Operation, PLAINTEXT_LEN, Start};
use crate::stage::derivations::Recording;
use crate::stage::theft::{NONE, Passage, Reading};
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, Sent, World};

/// The number of earlier messages that a state may remember.
const REMEMBERED: usize = 128;
/// The number of further messages after which a state has grown if something of each stays in it.
const MORE: usize = 24;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for size in SIZES {
        if trial.supports(Operation::Remove, size) {
            trial.enter(Operation::Remove.name(), size);
            let mut world = trial.world(Start::Conversed, 1)?;
            removed(trial, &mut world, 0, size - 1, true)?;
            trial.enter("removal of the creator", size);
            let mut world = trial.world(Start::Conversed, 1)?;
            removed(trial, &mut world, 1, 0, true)?;
        }
        if size > 2 && trial.supports(Operation::Remove, size) {
            trial.enter("removal by another member than the creator", size);
            let mut world = trial.world(Start::Conversed, 1)?;
            removed(trial, &mut world, 1, size - 1, true)?;
        }
        if size == SIZES[1] && trial.supports(Operation::Remove, size) {
            unused_keys(trial, size)?;
        }
        if trial.supports(Operation::Add, size) {
            trial.enter(Operation::Add.name(), size);
            let mut world = trial.world(Start::Conversed, 1)?;
            joiner(trial, &mut world, size)?;
        }
        let in_haste = trial.capabilities().ordering == Ordering::Causal;
        if in_haste && size == SIZES[1] && trial.supports(Operation::Add, size) {
            trial.enter("add by a member that has just sent", size);
            let mut world = trial.world(Start::Conversed, 1)?;
            joiner_in_haste(trial, &mut world, size)?;
        }
        if trial.capabilities().forward_secrecy {
            trial.enter(Operation::Message.name(), size);
            let world = trial.world(Start::Created, 0)?;
            for user in world.insiders() {
                forgotten(trial, &mut world.fork()?, user)?;
            }
            trial.enter("messages that all have read", size);
            keys_forgotten(trial)?;
        }
        if trial.capabilities().forward_secrecy && size == SIZES[0] {
            trial.enter("a long chain", size);
            bounded(trial.world(Start::Conversed, 0)?)?;
        }
    }
    Ok(())
}

/// The removed member, and its state from before: it reads what is said before the removal, and nothing of what is said
/// after it, even next to an update and an add if there is `more`. A message that crosses the removal reaches nobody
/// until the member is removed: then it must not be able to read it any more.
pub(super) fn removed(
    trial: &mut Trial<'_>,
    world: &mut World<'_>,
    operator: usize,
    target: usize,
    more: bool,
) -> Verdict {
    let last_user = world.users.len() - 1;
    let capabilities = trial.capabilities();
    let (updates, adds) = (more && capabilities.pcs_update, more && trial.supports(Operation::Add, trial.group_size));
    let mut listening = world.fork()?;
    let heard_late = cross_removal(trial, &mut listening, operator, target)?;
    let recording = Recording::of(world);
    let older = world.state(target);
    let before = world.passage(|world| world.converse_without(target))?;
    let last = world.state(target);
    let third = world.insiders().into_iter().find(|user| ![operator, target].contains(user));
    let crossing = world.passage(|world| {
        if let Some(third) = third.filter(|_| trial.may_cross()) {
            world.begin_to_say(third)?;
        }
        Ok(())
    })?;
    let inboxes: Vec<_> = world.users.iter_mut().map(|user| core::mem::take(&mut user.inbox)).collect();
    let first = world.log.len();
    world.begin(operator, &Action::Remove(target))?;
    let calls = first..world.log.len();
    world.settle(None)?;
    world.users[target].hears = false;
    for (number, inbox) in inboxes.into_iter().enumerate().filter(|(number, _)| *number != target) {
        world.users[number].inbox.extend(inbox);
    }
    world.settle(None)?;
    let first_key = recording.keys();
    let afterwards = world.passage(|world| {
        world.converse()?;
        if updates {
            world.run(operator, &Action::Update)?;
            world.converse()?;
        }
        if adds {
            world.run(operator, &Action::Add(last_user))?;
            world.converse()?;
        }
        Ok(())
    })?;
    let (all, keys) = recording.end(world);
    let (end, itself) = (afterwards.sent.end, world.state(target));
    let known = world.attack(&older, before.sent.clone(), &NONE, &before.said)?;
    let late = heard_late.map(|late| late.reading(&listening)).transpose()?;
    for (what, state, heard, followed) in [
        ("a state from before its owner's removal", &older, before.sent.start..end, late.as_ref()),
        ("the last state before its owner's removal", &last, calls.start..end, late.as_ref()),
        ("the state of a removed member", &itself, afterwards.sent.clone(), None),
    ] {
        trial.judge(&Attempt {
            what,
            secret: world.attack(state, heard.clone(), &calls, &afterwards.said)?,
            twin: "from before the removal",
            known: &known,
            followed,
        })?;
        world.shut_out(what, (&all, &keys[first_key..]), state, heard)?;
    }
    if !crossing.said.is_empty() {
        trial.judge(&Attempt {
            what: "the state of a removed member that has not received a message from before its removal",
            secret: world.attack(&itself, 0..end, &NONE, &crossing.said)?,
            twin: "with its last state before the removal",
            known: &world.attack(&last, crossing.sent.clone(), &NONE, &crossing.said)?,
            followed: None,
        })?;
    }

    let before = world.users[target].member.export();
    let mut actions = vec![Action::Add(last_user), Action::Remove(operator), Action::Send(Vec::new())];
    actions.extend(updates.then_some(Action::Update));
    for action in actions {
        let refused = world.call(target, &action) == Err(Error::NotInGroup);
        ensure(refused, || format!("the removed member calls {action:?}, and is not refused as in no group"))?;
    }
    let unchanged = world.users[target].member.export() == before;
    ensure(unchanged, || "a refused call of the removed member has changed the state".to_owned())
}

/// Nobody has spoken since the last operation. The keys that it gave out and that nobody has used must be renewed too.
fn unused_keys(trial: &mut Trial<'_>, size: usize) -> Verdict {
    let updates = trial.capabilities().pcs_update;
    let adds = trial.supports(Operation::Add, size);
    for (situation, _, earlier) in [
        ("removal before anybody has spoken", true, None),
        ("removal before anybody has spoken since an update", updates, Some(Action::Update)),
        ("removal before anybody has spoken since an add", adds, Some(Action::Add(size))),
    ]
    .into_iter()
    .filter(|(_, possible, _)| *possible)
    {
        for (operator, target) in [(0, size - 1), (1, 0)] {
            trial.enter(situation, size);
            let start = if earlier.is_some() { Start::Conversed } else { Start::Created };
            let mut world = trial.world(start, 1)?;
            if let Some(earlier) = &earlier {
                world.run(0, earlier)?;
            }
            let stolen = world.state(target);
            let (mut calm, mut listening) = (world.fork()?, world.fork()?);
            let heard_late = cross_removal(trial, &mut listening, operator, target)?;
            let before = calm.passage(|calm| calm.converse_without(target))?;
            let removal = world.passage(|world| world.run(operator, &Action::Remove(target)).map(drop))?;
            let afterwards = world.passage(|world| world.converse())?;
            let (heard, call) = (removal.sent.start..afterwards.sent.end, removal.sent.start..removal.sent.start + 1);
            let known = calm.attack(&stolen, before.sent.clone(), &NONE, &before.said)?;
            let late = heard_late.map(|late| late.reading(&listening)).transpose()?;
            for (what, state, heard, followed) in [
                (
                    "a state from before its owner's removal, if nobody has spoken since the last operation",
                    &stolen,
                    heard,
                    late.as_ref(),
                ),
                (
                    "the state of a removed member, if nobody has spoken between the last operation and the removal",
                    &world.state(target),
                    afterwards.sent.clone(),
                    None,
                ),
            ] {
                trial.judge(&Attempt {
                    what,
                    secret: world.attack(state, heard, &call, &afterwards.said)?,
                    twin: "without the removal",
                    known: &known,
                    followed,
                })?;
            }
        }
    }
    Ok(())
}

/// What the thief of a state reads if it follows the state's owner.
struct Followed {
    state: Vec<u8>,
    heard: Vec<usize>,
    said: Range<usize>,
}

impl Followed {
    fn reading<'w, 'm>(&self, world: &'w World<'m>) -> Verdict<Reading<'w, 'm>> {
        world.follow(&self.state, self.heard.iter().copied(), &self.said)
    }
}

/// A message from before a removal, which a follower of the removed member gets after it. It reads that message if it still
/// listens. Where nothing may cross, it only reads what another member says. `None` in groups of two.
fn cross_removal(
    trial: &Trial<'_>,
    world: &mut World<'_>,
    operator: usize,
    target: usize,
) -> Verdict<Option<Followed>> {
    let Some(third) = world.insiders().into_iter().find(|user| ![operator, target].contains(user)) else {
        return Ok(None);
    };
    let state = world.state(target);
    if !trial.may_cross() {
        let Passage { sent, said } = world.passage(|world| world.say(third, PLAINTEXT_LEN))?;
        return Ok(Some(Followed { state, heard: sent.collect(), said }));
    }
    let crossing = world.passage(|world| world.begin_to_say(third))?;
    let removal = world.passage(|world| world.begin(operator, &Action::Remove(target)))?;
    Ok(Some(Followed { state, heard: removal.sent.chain(crossing.sent).collect(), said: crossing.said }))
}

/// The joiner gets all older messages: before it joins, and afterwards.
pub(super) fn joiner(trial: &mut Trial<'_>, world: &mut World<'_>, size: usize) -> Verdict {
    let joiner = size;
    let early = world.state(joiner);
    let older = world.passage(|world| world.converse())?;
    let (operator, action) = Action::of(Operation::Add, size);
    let add = world.passage(|world| world.run(operator, &action).map(drop))?;
    let late = world.state(joiner);
    let afterwards = world.passage(|world| world.converse_without(joiner))?;
    let end = afterwards.sent.end;
    for (what, state, heard, joins) in [
        ("the state of a joiner from before it joined", &early, 0..end, add.sent.start),
        ("the state of a joiner", &late, 0..add.sent.start, afterwards.sent.start),
    ] {
        trial.judge(&Attempt {
            what,
            secret: world.attack(state, heard, &NONE, &older.said)?,
            twin: "from after it has joined",
            known: &world.attack(state, joins..end, &NONE, &afterwards.said)?,
            followed: None,
        })?;
    }
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

/// The inviter has updated and sent, and nobody has received that yet. The joiner must not read it either.
fn joiner_in_haste(trial: &mut Trial<'_>, world: &mut World<'_>, joiner: usize) -> Verdict {
    let updates = if trial.capabilities().pcs_update { 2 } else { 0 };
    let older = world.passage(|world| {
        (0..updates).try_for_each(|_| world.begin(0, &Action::Update))?;
        world.begin_to_say(0)
    })?;
    world.begin(0, &Action::Add(joiner))?;
    world.settle(None)?;
    let state = world.state(joiner);
    let afterwards = world.passage(|world| world.converse_without(joiner))?;
    trial.judge(&Attempt {
        what: "the state of a joiner whose inviter has sent before what nobody had received",
        secret: world.attack(&state, 0..afterwards.sent.start, &NONE, &older.said)?,
        twin: "from after it has joined",
        known: &world.attack(&state, afterwards.sent.clone(), &NONE, &afterwards.said)?,
        followed: None,
    })
}

/// A protocol that drops what it has received by its number reads no old message, whatever it keeps. So the keys are
/// sought in the states.
fn keys_forgotten(trial: &mut Trial<'_>) -> Verdict {
    let recording = Recording::start();
    let mut world = trial.world(Start::Conversed, 0)?;
    let first = recording.keys();
    world.converse()?;
    derived::forgotten(&world, recording, first)
}

/// A state does not grow with each message: it may remember some of the last messages, but nothing of all.
fn bounded(mut world: World<'_>) -> Verdict {
    let lens = |world: &World<'_>| world.users.iter().map(|user| user.member.export().len()).collect::<Vec<_>>();
    (0..REMEMBERED).try_for_each(|_| world.say(1, PLAINTEXT_LEN))?;
    let before = lens(&world);
    (0..MORE).try_for_each(|_| world.say(1, PLAINTEXT_LEN))?;
    let grows = before.into_iter().zip(lens(&world)).any(|(before, after)| after >= before + MORE);
    ensure(!grows, || {
        format!("after {REMEMBERED} messages, the state of a member still grows with each: it may keep their keys")
    })
}

/// A state from after everything was read gets all old messages.
pub(super) fn forgotten(trial: &mut Trial<'_>, world: &mut World<'_>, user: usize) -> Verdict {
    let before = world.state(user);
    let said = world.passage(|world| world.converse_without(user))?;
    trial.judge(&Attempt {
        what: "a state from after everything was read",
        secret: world.attack(&world.state(user), 0..said.sent.end, &NONE, &said.said)?,
        twin: "with the state from before",
        known: &world.attack(&before, said.sent.clone(), &NONE, &said.said)?,
        followed: None,
    })
}
