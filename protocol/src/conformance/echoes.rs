//! A member that hears itself. What it has sent has no effect when a network hands it back. What it has not sent, and
//! somebody sends in its name, is refused, or reported if it is signed with the member's own keys.

use super::hostile::{Parcel, receive, silent, without_effect};
use super::trial::Trial;
use crate::id::GroupId;
use crate::member::{Event, Received};
use crate::operation::{Operation, Start};
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World, stream};

const SIZE: usize = 3;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for operation in Operation::ALL {
        if !trial.supports(operation, SIZE) {
            continue;
        }
        trial.enter(operation.name(), SIZE);
        let mut world = trial.world(operation.start(), 1)?;
        let (operator, action) = Action::of(operation, SIZE);
        double(&mut world.fork()?, operator, &action)?;
        let first = world.log.len();
        world.begin(operator, &action)?;
        let answered = if world.total {
            // The first echo of a commit has an effect.
            first
        } else {
            echo_since(&mut world, first)?;
            world.log.len()
        };
        world.settle(None)?;
        world.end(operator, &action)?;
        echo_since(&mut world, answered)?;
        world.converse()?;
        echo_since(&mut world, 0)?;
        ahead(&mut world)?;
        world.agree()?;
        world.converse()?;
    }
    trial.enter("calls of an outsider", SIZE);
    outside(trial.world(Start::Conversed, 1)?)
}

/// Hands the messages from this place in the log on back to their authors, as they are and in another group.
fn echo_since(world: &mut World<'_>, first: usize) -> Verdict {
    for place in first..world.log.len() {
        let (author, kind) = (world.log[place].author, world.log[place].kind);
        let genuine = Parcel::of(world, place);
        if !world.users[author].inside {
            without_effect(world, author, &genuine, || format!("a removed member's own message of kind `{kind}`"))?;
            continue;
        }
        silent(world, author, &genuine, || format!("a member's own message of kind `{kind}`"))?;
        let elsewhere = Parcel { group: GroupId(world.group.0.map(|byte| !byte)), ..genuine.clone() };
        refused(world, author, &elsewhere, || format!("a member's own message of kind `{kind}` under another group"))?;
        for at in [0, genuine.bytes.len() / 2, genuine.bytes.len() - 1] {
            let mut altered = genuine.clone();
            altered.bytes[at] ^= 1;
            let state = world.users[author].member.export();
            without_effect(world, author, &altered, || format!("a member's own message of kind `{kind}`, altered,"))?;
            let unchanged = world.users[author].member.export() == state;
            ensure(unchanged, || format!("a member's own message of kind `{kind}`, altered, has changed the state"))?;
        }
    }
    Ok(())
}

/// A copy of each member speaks. The member itself has not sent that.
fn ahead(world: &mut World<'_>) -> Verdict {
    for user in world.insiders() {
        let mut copy = world.fork()?;
        // Later numbers than any that the member has used, even if the first message only carries keys.
        let sent = copy.call(user, &Action::Send(vec![7; 32])).map_err(|error| format!("the call failed: {error}"))?;
        for message in sent {
            let parcel = Parcel { group: world.group, author: world.users[user].id, bytes: message.bytes };
            refused(world, user, &parcel, || "a message in a member's name that it has not sent".to_owned())?;
        }
    }
    Ok(())
}

/// A copy of the operator makes the same call with other randomness. The operator hears what the copy has sent, which
/// has its own numbers.
fn double(world: &mut World<'_>, operator: usize, action: &Action) -> Verdict {
    let mut copy = world.fork()?;
    copy.users[operator].rng = stream(0, u64::from(u32::MAX));
    let sent = copy.call(operator, action).map_err(|error| format!("the call failed: {error}"))?;
    let group = copy.users[operator].member.group().unwrap_or(world.group);
    world.begin(operator, action)?;
    let me = world.users[operator].id;
    for message in sent {
        let state = world.users[operator].member.export();
        let result = receive(world, operator, &Parcel { group, author: me, bytes: message.bytes });
        let alone = Received { events: vec![Event::Equivocation { by: me }], ..Received::default() };
        let harmless = result.is_err() || result == Ok(Received::default()) || result == Ok(alone);
        ensure(harmless, || "a second message under a number of the member's own had an effect".to_owned())?;
        ensure(world.users[operator].member.export() == state, || {
            "a second message under a number of the member's own has changed the state".to_owned()
        })?;
    }
    Ok(())
}

/// A user outside has sent nothing: not even what a copy of it sends that creates a group.
fn outside(mut world: World<'_>) -> Verdict {
    let mut copy = world.fork()?;
    let outsider = SIZE;
    let sent = copy.call(outsider, &Action::Create(vec![0])).map_err(|error| format!("the call failed: {error}"))?;
    let group = copy.users[outsider].member.group().ok_or("a member that has created a group is in none")?;
    for message in sent {
        let parcel = Parcel { group, author: world.users[outsider].id, bytes: message.bytes };
        refused(&mut world, outsider, &parcel, || "a message in the name of a user that is in no group".to_owned())?;
    }
    Ok(())
}

/// Checks that a message is refused without a trace.
fn refused(world: &mut World<'_>, user: usize, parcel: &Parcel, what: impl Fn() -> String) -> Verdict {
    let state = world.users[user].member.export();
    ensure(receive(world, user, parcel).is_err(), || format!("{} was not refused", what()))?;
    ensure(world.users[user].member.export() == state, || format!("{} was refused, and has changed the state", what()))
}
