//! An update heals: with a state from before it, nobody reads what is sent after it, or speaks in its owner's name.

use super::theft::{Attempt, NONE};
use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Action, World, stream};
use crate::crypto::tap::Tap;
use crate::member::{Context, Event, Incoming};
use crate::operation::{Operation, PLAINTEXT_LEN, Start};

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
    ensure(speaks(&calm, victim, &state)?, || {
        "the check that an update silences a thief is void: a copy of a state cannot speak for its owner even without an \
         update"
            .to_owned()
    })?;
    let mut alone = calm.fork()?;
    let undisturbed = calm.passage(|calm| calm.converse_without(victim))?;
    let (spoken, own) = alone.speak_twice(victim)?;
    let tap = Tap::start();
    let update = world.passage(|world| world.run(victim, &Action::Update).map(drop))?;
    let first = tap.derived().keys.len();
    let afterwards = world.passage(|world| world.converse())?;
    let derived = tap.derived();
    drop(tap);
    let what = "a state from before its owner's update";
    let (heard, call) = (update.sent.start..afterwards.sent.end, update.sent.start..update.sent.start + 1);
    trial.judge(&Attempt {
        what,
        secret: world.attack(&state, heard.clone(), &call, &afterwards.said)?,
        twin: "without the update",
        known: &calm.attack(&state, undisturbed.sent.clone(), &NONE, &undisturbed.said)?,
        followed: Some(&alone.follow(&spoken, own.sent.clone(), &own.said)?),
    })?;
    world.shut_out(what, &derived, first, &state, heard)?;
    ensure(!speaks(world, victim, &state)?, || {
        "a message made with the state from before the update is taken for one of its owner".to_owned()
    })?;
    world.converse()
}

/// Whether a speaker takes a message that was made with a victim's state for one of the victim.
fn speaks(world: &World<'_>, victim: usize, state: &[u8]) -> Verdict<bool> {
    let mut rng = stream(0, u64::from(u32::MAX));
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let thief = (world.make)().restore(state);
    let mut thief = thief.map_err(|error| format!("an export cannot be restored for a thief: {error}"))?;
    // It may notice that it cannot.
    let sent = thief.send(&[0x5a; PLAINTEXT_LEN], &mut context).unwrap_or_default();
    let mut taken = false;
    for user in world.speakers().into_iter().filter(|user| *user != victim) {
        let mut reader = world.revive(&*world.users[user].member)?;
        for message in &sent {
            let incoming = Incoming { group: world.group, author: world.users[victim].id, bytes: &message.bytes };
            let received = reader.receive_one(&incoming, &mut context).unwrap_or_default();
            taken |= received.events.iter().any(|event| matches!(event, Event::Message { .. }));
        }
    }
    Ok(taken)
}
