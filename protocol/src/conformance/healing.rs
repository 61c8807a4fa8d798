//! An update heals: a copy of the state from before it reads nothing that is sent after it, and can no longer speak in
//! its owner's name.

use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Action, World};
use crate::member::{Context, Event, Incoming, Member};
use crate::operation::{Operation, PLAINTEXT_LEN, Start};

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    if !trial.capabilities().pcs_update {
        return Ok(());
    }
    for size in [2, 4] {
        for victim in [0, 1] {
            trial.enter(Operation::Update.name(), size);
            heal(trial.world(Start::Conversed, 0)?, victim)?;
        }
    }
    Ok(())
}

fn heal(mut world: World<'_>, victim: usize) -> Verdict {
    let (mut listener, idle) = (world.capture(victim)?, world.capture(victim)?);
    let first = world.log.len();
    world.run(victim, &Action::Update)?;
    world.converse()?;
    let read = world.overhear(&mut *listener, &world.log[first..]);
    ensure(read.is_empty(), || {
        "a state from before the update, given everything, reads a message that was sent after it".to_owned()
    })?;
    for thief in [listener, idle] {
        impersonate(&world, victim, thief)?;
    }
    world.converse()
}

fn impersonate(world: &World<'_>, victim: usize, mut thief: Box<dyn Member>) -> Verdict {
    let mut rng = super::world::stream(0, u64::from(u32::MAX));
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    // It may notice that it cannot.
    let sent = thief.send(&[0x5a; PLAINTEXT_LEN], &mut context).unwrap_or_default();
    for user in world.insiders().into_iter().filter(|user| *user != victim) {
        let mut reader = world.capture(user)?;
        for message in &sent {
            let author = world.users[victim].id;
            let incoming = Incoming { group: world.group, author, bytes: &message.bytes };
            let received = reader.receive_one(&incoming, &mut context).unwrap_or_default();
            let taken = received.events.iter().any(|event| matches!(event, Event::Message { .. }));
            ensure(!taken, || {
                "a message made with the state from before the update is taken for one of its owner".to_owned()
            })?;
        }
    }
    Ok(())
}
