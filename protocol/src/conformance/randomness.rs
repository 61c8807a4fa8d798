//! The same randomness gives the same bytes, if the backend declares so. Other randomness gives other bytes and other
//! keys.

use super::talk::disjoint;
use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Action, Sent, World, stream};
use crate::member::Fingerprints;
use crate::operation::{Operation, Role};

const SIZE: usize = 4;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    let deterministic = trial.capabilities().deterministic;
    for operation in Operation::ALL {
        let Some(expected) = trial.backend().expected(operation, SIZE) else { continue };
        trial.enter(operation.name(), SIZE);
        let world = trial.world(operation.start(), 1)?;
        let same = [outcome(world.fork()?, operation)?, outcome(world.fork()?, operation)?];
        ensure(!deterministic || same[0] == same[1], || {
            "the same randomness gives other bytes, which is declared otherwise".to_owned()
        })?;
        let rows = expected.counts.iter().filter(|(role, ..)| *role == Role::Sender);
        let removal_draws = rows.map(|row| row.2.keygen + row.2.sign_keygen).sum::<u64>() > 0;
        let (operator_draws, all_new) = match operation {
            Operation::Create | Operation::CreateMesh | Operation::Update | Operation::UpdateCold => (true, true),
            Operation::ConcurrentUpdates(_) => (true, true),
            Operation::Remove | Operation::PartitionHeal => (removal_draws, true),
            // What an add contributes to the members' keys may be public.
            Operation::Add | Operation::Message | Operation::MessageAfterRemove => (false, false),
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
            let mut other = world.fork()?;
            for (number, user) in other.users.iter_mut().enumerate() {
                user.rng = stream(trial.seed, (1 << 24) + number as u64);
            }
            ensure(disjoint(&outcome(other, operation)?.fingerprints, &same[0].fingerprints), || {
                "a sender's key material is the same whatever the randomness".to_owned()
            })?;
        }
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
