//! The same randomness gives the same bytes if the backend declares so, and only then. Other randomness gives other bytes
//! and other keys, for all that act, and not only the first time.

use super::trial::Trial;
use crate::member::Fingerprints;
use crate::operation::{Operation, Role, Start};
use crate::stage::talk::disjoint;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, Sent, World, stream};

const SIZE: usize = 4;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    let deterministic = trial.capabilities().deterministic;
    let mut differs = false;
    for operation in Operation::ALL {
        if !trial.supports(operation, SIZE) {
            continue;
        }
        trial.enter(operation.name(), SIZE);
        let world = trial.world(operation.start(), 1)?;
        let same = [outcome(world.fork()?, operation)?, outcome(world.fork()?, operation)?];
        differs |= same[0] != same[1];
        ensure(!deterministic || same[0] == same[1], || {
            "the same randomness gives other bytes, which is declared otherwise".to_owned()
        })?;
        // Without a formula it is not known whether a removal draws anything.
        let expected = trial.backend().expected(operation, SIZE);
        let rows = expected.iter().flat_map(|it| &it.counts).filter(|(role, ..)| *role == Role::Sender);
        let removal_draws = rows.map(|row| row.2.keygen + row.2.sign_keygen).sum::<u64>() > 0;
        let (operator_draws, all_new) = match operation {
            Operation::Create | Operation::CreateMesh | Operation::Update | Operation::UpdateCold => (true, true),
            Operation::ConcurrentUpdates(_) | Operation::PartitionRecovery { .. } => (true, true),
            Operation::UpdateAfter(_) | Operation::UpdateTogether => (true, true),
            Operation::Remove | Operation::RemoveTogether | Operation::PartitionHeal => (removal_draws, true),
            // What an add contributes to the members' keys may be public.
            Operation::Add | Operation::AddAfter(_) => (false, false),
            Operation::Message | Operation::MessageAfterRemove => (false, false),
        };
        if operator_draws {
            let mut other = world.fork()?;
            let (operator, _) = Action::of(operation, SIZE);
            other.users[operator].rng = stream(trial.seed, u64::from(u32::MAX));
            ensure(outcome(other, operation)?.sent != same[0].sent, || {
                "other randomness of the member that acts gives the same bytes".to_owned()
            })?;
        }
        if all_new {
            ensure(
                disjoint(&outcome(redrawn(&world, trial.seed)?, operation)?.fingerprints, &same[0].fingerprints),
                || SAME_KEYS.to_owned(),
            )?;
        }
    }
    others_act(trial)?;
    // With a false declaration, nothing would be compared byte for byte where the backend is measured.
    ensure(deterministic || differs, || {
        "the same randomness gives the same bytes, which is declared otherwise".to_owned()
    })
}

const SAME_KEYS: &str = "a sender's key material is the same whatever the randomness";

/// A group in which all users draw otherwise.
fn redrawn<'a>(world: &World<'a>, seed: u64) -> Verdict<World<'a>> {
    let mut other = world.fork()?;
    other.redraw(seed, 1 << 24);
    Ok(other)
}

/// Removals and updates by others than those that act in an operation that is measured, and later ones.
fn others_act(trial: &mut Trial<'_>) -> Verdict {
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, SIZE));
    let removes = trial.supports(Operation::Remove, SIZE);
    let cases = [
        ("removal of the creator", removes, None, (1, Action::Remove(0))),
        ("removal by a joiner", removes && adds, Some((1, Action::Add(SIZE))), (SIZE, Action::Remove(1))),
        ("second update of a member", updates, Some((1, Action::Update)), (1, Action::Update)),
        ("update after a removal", updates && removes, Some((0, Action::Remove(SIZE - 1))), (2, Action::Update)),
        ("update by a joiner", updates && adds, Some((1, Action::Add(SIZE))), (SIZE, Action::Update)),
    ];
    for (situation, _, first, (operator, action)) in cases.into_iter().filter(|(_, possible, ..)| *possible) {
        trial.enter(situation, SIZE);
        let mut world = trial.world(Start::Conversed, 1)?;
        if let Some((operator, action)) = first {
            world.run(operator, &action)?;
            world.converse()?;
        }
        let mut other = redrawn(&world, trial.seed)?;
        world.run(operator, &action)?;
        other.run(operator, &action)?;
        ensure(disjoint(&world.agree()?, &other.agree()?), || SAME_KEYS.to_owned())?;
    }
    Ok(())
}

#[derive(PartialEq)]
struct Outcome {
    sent: Vec<Sent>,
    exports: Vec<Vec<u8>>,
    fingerprints: Option<Fingerprints>,
}

fn outcome(mut world: World<'_>, operation: Operation) -> Verdict<Outcome> {
    let first = world.log.len();
    let (operator, action) = Action::of(operation, SIZE);
    world.run(operator, &action)?;
    let fingerprints = world.agree()?;
    let exports = world.users.iter().map(|user| user.member.export()).collect();
    Ok(Outcome { sent: world.log.split_off(first), exports, fingerprints })
}
