//! The checks that are made once more in one large group, since a fault may show only above some size. The group lives
//! through all operations, one after the other. Few of its members speak: if all did, most of the time would go into that.

use super::crossings;
use super::healing::heal;
use super::secrecy::{forgotten, joiner, removed};
use super::trial::Trial;
use super::wire::all_sent;
use crate::operation::{Operation, Start};
use crate::stage::verdict::Verdict;
use crate::stage::world::World;

/// The most members that speak in a conversation: the creator, the next one, and the last.
const MOST_SPEAKERS: usize = 3;
/// A speaker other than the creator. Its channels to most members have not been used.
const OTHER: usize = 1;

/// A check, after which the group goes on.
pub(super) type Check = for<'a> fn(&mut Trial<'a>, World<'a>) -> Verdict<World<'a>>;

/// The checks, with their names in data, in this order: the last one judges what was sent in the others.
pub(super) const CHECKS: [(&str, Check); 4] =
    [("healing", healing), ("secrecy", secrecy), ("crossing messages", crossings::last_first), ("what is sent", sent)];

/// A group of this size, and one user more.
pub(super) fn create<'a>(trial: &mut Trial<'a>, group_size: usize) -> Verdict<World<'a>> {
    trial.most_speakers = MOST_SPEAKERS;
    trial.enter(Operation::Create.name(), group_size);
    trial.world(Start::Conversed, 1)
}

fn healing<'a>(trial: &mut Trial<'a>, mut world: World<'a>) -> Verdict<World<'a>> {
    if trial.capabilities().pcs_update {
        trial.enter(Operation::Update.name(), world.insiders().len());
        heal(trial, &mut world, OTHER)?;
    }
    Ok(world)
}

fn secrecy<'a>(trial: &mut Trial<'a>, mut world: World<'a>) -> Verdict<World<'a>> {
    let size = world.insiders().len();
    if trial.capabilities().forward_secrecy {
        trial.enter(Operation::Message.name(), size);
        forgotten(trial, &mut world, OTHER)?;
    }
    // The add comes first, so that the group never has fewer members than at the beginning.
    if trial.supports(Operation::Add, size) {
        trial.enter(Operation::Add.name(), size);
        joiner(trial, &mut world, size)?;
    }
    if trial.supports(Operation::Remove, size) {
        trial.enter(Operation::Remove.name(), world.insiders().len());
        removed(trial, &mut world, 0, size - 1, false)?;
    }
    Ok(world)
}

fn sent<'a>(trial: &mut Trial<'a>, world: World<'a>) -> Verdict<World<'a>> {
    trial.enter("all operations", world.insiders().len());
    all_sent(trial, &world)?;
    Ok(world)
}
