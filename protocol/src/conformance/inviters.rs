//! Nobody joins a group unless its user confirms the inviter. If the user does so later, the same messages make it join.

use super::hostile::{Parcel, receive_if};
use super::trial::Trial;
use crate::error::Error;
use crate::member::Received;
use crate::operation::Operation;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

const SIZE: usize = 3;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for (operation, invited) in [(Operation::Create, 1), (Operation::CreateMesh, 1), (Operation::Add, SIZE)] {
        if trial.supports(operation, SIZE) {
            trial.enter(operation.name(), SIZE);
            invite(trial.world(operation.start(), 1)?, operation, invited)?;
        }
    }
    Ok(())
}

fn invite(mut world: World<'_>, operation: Operation, invited: usize) -> Verdict {
    let (operator, action) = Action::of(operation, SIZE);
    world.begin(operator, &action)?;
    world.settle(Some(invited))?;
    let places = core::mem::take(&mut world.users[invited].inbox);
    let mut asked = false;
    for place in &places {
        let parcel = Parcel::of(&world, *place);
        let before = world.users[invited].member.export();
        let result = receive_if(&mut world, invited, &parcel, &|_| false);
        let member = &world.users[invited].member;
        ensure(member.group().is_none() && member.members().is_empty(), || {
            "a user has joined a group whose inviter it has not confirmed".to_owned()
        })?;
        match result {
            Err(Error::InviterNotConfirmed) => {
                asked = true;
                ensure(member.export() == before, || {
                    "an invitation was refused, and has changed the state".to_owned()
                })?;
            }
            // What is no invitation waits for one, or is refused.
            Err(_) => {}
            Ok(received) => ensure(received == Received::default(), || {
                "a message had an effect at a user that has not confirmed the inviter".to_owned()
            })?,
        }
    }
    ensure(asked, || "an inviter that is not confirmed is not refused as that".to_owned())?;
    let inviter = world.users[operator].id;
    for place in places {
        let parcel = Parcel::of(&world, place);
        let received = receive_if(&mut world, invited, &parcel, &|id| *id == inviter).map_err(|error| {
            let kind = world.log[place].kind;
            format!("a message of kind `{kind}` was refused although the inviter was confirmed at last: {error}")
        })?;
        let answers = world.accept(invited, place, received)?;
        world.post(invited, answers)?;
    }
    world.settle(None)?;
    world.end(operator, &action)?;
    ensure(world.users[invited].member.group().is_some(), || {
        "a user does not join a group whose inviter it confirms when the same messages arrive again".to_owned()
    })?;
    world.agree()?;
    world.converse()
}
