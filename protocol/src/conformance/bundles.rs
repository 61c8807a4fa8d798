//! A user without a valid bundle cannot be named in a create or an add. The author is told, nothing is sent, and its
//! state stays.

use super::exports::places;
use super::trial::Trial;
use crate::directory::Directory as _;
use crate::error::Error;
use crate::operation::Operation;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

const SIZE: usize = 3;
/// The number of places at either end of a bundle at which it is damaged, and between.
const DAMAGED: (usize, usize) = (2, 8);

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for operation in [Operation::Create, Operation::CreateMesh, Operation::Add] {
        if !trial.supports(operation, SIZE) {
            continue;
        }
        trial.enter(operation.name(), SIZE);
        let (operator, action) = Action::of(operation, SIZE);
        let named = if operation == Operation::Add { SIZE } else { SIZE - 1 };
        let world = trial.world(operation.start(), 1)?;
        let Some(bundle) = world.directory.clone().bundle(&world.users[named].id).filter(|bundle| !bundle.is_empty())
        else {
            trial.notes.push("users publish no bundles, so that one is missing was not seen");
            return Ok(());
        };
        let damaged = places(bundle.len(), DAMAGED.0, DAMAGED.1).map(|at| {
            let mut damaged = bundle.clone();
            damaged[at] ^= 1 << (at % 8);
            damaged
        });
        for published in [None, Some(bundle[1..].to_vec())].into_iter().chain(damaged.map(Some)) {
            refused(world.fork()?, operator, &action, named, published, trial.adapts())?;
        }
        let mut world = world;
        world.run(operator, &action)?;
        world.converse()?;
        world.agree()?;
    }
    Ok(())
}

fn refused(
    mut world: World<'_>,
    operator: usize,
    action: &Action,
    named: usize,
    published: Option<Vec<u8>>,
    adapts: bool,
) -> Verdict {
    let id = world.users[named].id;
    let what = if published.is_some() { "damaged" } else { "missing" };
    let complete = world.directory.clone();
    match published {
        Some(bundle) => {
            // With an implementation of others, a one-time bundle may do without the other bundle.
            let one_time = core::iter::from_fn(|| complete.one_time(&id)).filter(|_| !adapts).collect();
            world.directory.publish(id, bundle, one_time);
        }
        None => world.directory.withdraw(&id),
    }
    let before = world.users[operator].member.export();
    let result = world.call(operator, action);
    ensure(result == Err(Error::NoBundle), || {
        let found = result.map_or_else(|error| error.to_string(), |sent| format!("{} messages were sent", sent.len()));
        format!("the bundle of a named user is {what}, and the call does not fail for that: {found}")
    })?;
    ensure(world.users[operator].member.export() == before, || {
        format!("a call that failed for a {what} bundle has changed the state")
    })
}
