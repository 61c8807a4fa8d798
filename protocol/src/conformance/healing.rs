//! An update heals: with a state from before it, nobody reads what is sent after it, or speaks in its owner's name.

use super::theft::Attempt;
use super::trial::Trial;
use crate::operation::{Operation, Start};
use crate::stage::derivations::Recording;
use crate::stage::theft::NONE;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

/// The size of the group in which something precedes the update.
const SIZE: usize = 3;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    if !trial.capabilities().pcs_update {
        return Ok(());
    }
    for size in [2, 4] {
        for victim in [0, 1] {
            trial.enter(Operation::Update.name(), size);
            let mut world = trial.world(Start::Conversed, 0)?;
            heal(trial, &mut world, victim)?;
        }
    }
    let (adds, removes) = (trial.supports(Operation::Add, SIZE), trial.supports(Operation::Remove, SIZE));
    for (situation, _, (operator, action), victim) in [
        ("second update of a member", true, (1, Action::Update), 1),
        ("update after a removal", removes, (0, Action::Remove(SIZE - 1)), 1),
        ("update after the removal of the creator", removes, (1, Action::Remove(0)), 1),
        ("update by a joiner", adds, (1, Action::Add(SIZE)), SIZE),
    ]
    .into_iter()
    .filter(|(_, possible, ..)| *possible)
    {
        trial.enter(situation, SIZE);
        let mut world = trial.world(Start::Conversed, 1)?;
        world.run(operator, &action)?;
        world.converse()?;
        heal(trial, &mut world, victim)?;
    }
    Ok(())
}

pub(super) fn heal(trial: &mut Trial<'_>, world: &mut World<'_>, victim: usize) -> Verdict {
    let state = world.state(victim);
    let mut calm = world.fork()?;
    ensure(calm.fooled(victim, &state)? > 0, || {
        "the check that an update silences a thief is void: a copy of a state cannot speak for its owner even without an \
         update"
            .to_owned()
    })?;
    let mut alone = calm.fork()?;
    let undisturbed = calm.passage(|calm| calm.converse_without(victim))?;
    let (spoken, own) = alone.speak_twice(victim)?;
    let recording = Recording::of(world);
    let update = world.passage(|world| world.run(victim, &Action::Update).map(drop))?;
    let first = recording.keys();
    let afterwards = world.passage(|world| world.converse())?;
    let (all, keys) = recording.end(world);
    let what = "a state from before its owner's update";
    let (heard, call) = (update.sent.start..afterwards.sent.end, update.sent.start..update.sent.start + 1);
    trial.judge(&Attempt {
        what,
        secret: world.attack(&state, heard.clone(), &call, &afterwards.said)?,
        twin: "without the update",
        known: &calm.attack(&state, undisturbed.sent.clone(), &NONE, &undisturbed.said)?,
        followed: Some(&alone.follow(&spoken, own.sent.clone(), &own.said)?),
    })?;
    world.shut_out(what, (&all, &keys[first..]), &state, heard)?;
    ensure(world.fooled(victim, &state)? == 0, || {
        "a message made with the state from before the update is taken for one of its owner".to_owned()
    })?;
    world.converse()
}
