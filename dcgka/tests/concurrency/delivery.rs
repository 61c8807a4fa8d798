//! Messages that arrive before what they depend on, again, or after a restart.

use super::common::{World, carry};
use super::{ends_with, group};
use protocol::member::{Backend as _, Event};

#[test]
fn ack_before_what_it_acknowledges() {
    for kind in ["create", "update", "add", "remove"] {
        let mut world = if kind == "create" { World::new(5, 380) } else { group(4, 5, 381) };
        let sent = match kind {
            "create" => world.create(0, &[1, 2, 3]),
            "update" => world.update(0),
            "add" => world.add(0, 4),
            _ => world.remove(0, 3),
        };
        let mut early = carry(&mut world, &[&sent], &[1]);
        early.extend(world.say(1, "after it"));
        assert!(carry(&mut world, &[&early], &[2]).is_empty());
        assert!(world.users[2].events.is_empty(), "nothing happens before the {kind}");
        let answers = carry(&mut world, &[&sent], &[2]);
        assert_eq!(answers.len(), 1, "everything happens with the {kind}");
        let by = world.id(1);
        assert!(world.users[2].events.contains(&Event::Acked { by }));
        assert!(world.has_read(2, 1, "after it"));
        let members: &[usize] = match kind {
            "add" => &[0, 1, 2, 3, 4],
            "remove" => &[0, 1, 2],
            _ => &[0, 1, 2, 3],
        };
        ends_with(&mut world, members);
    }
}

/// The life of a group in a few steps, each settled by `settle`. Returns who is left.
fn live(world: &mut World, mut settle: impl FnMut(&mut World)) -> [usize; 6] {
    world.create(0, &[1, 2, 3, 4]);
    settle(world);
    world.update(1);
    world.say(1, "before the welcome");
    world.add(2, 5);
    world.say(2, "after the welcome");
    world.remove(3, 4);
    world.add(0, 6);
    world.say(0, "after its own");
    settle(world);
    world.update(6);
    world.say(6, "one more");
    settle(world);
    [0, 1, 2, 3, 5, 6]
}

/// Carries everything that a user has received to it again: nothing happens, and nothing changes.
#[track_caller]
fn replay(world: &mut World, user: usize) {
    let before = world.users[user].member.export();
    for place in world.users[user].received.clone() {
        let (received, sent) = world.try_carry(place, user);
        assert!(received.unwrap().events.is_empty() && sent.is_empty(), "message {place} again at user {user}");
    }
    assert!(world.users[user].member.export() == before, "user {user} has changed");
}

#[test]
fn duplicate() {
    for times in 2..=3 {
        let mut world = World::new(7, 382);
        let members = live(&mut world, |world| {
            while let Some((place, user)) = (0..7).find_map(|user| Some((*world.in_transit(user).first()?, user))) {
                world.carry(place, user);
                for _ in 1..times {
                    let before = world.users[user].events.len();
                    assert!(world.carry(place, user).is_empty());
                    assert_eq!(world.users[user].events.len(), before);
                }
            }
        });
        (0..7).for_each(|user| replay(&mut world, user));
        assert!(world.has_read(5, 2, "after the welcome") && world.has_read(6, 0, "after its own"));
        ends_with(&mut world, &members);
    }
}

/// Always the youngest message first: acks before what they acknowledge, messages before welcomes.
#[test]
fn messages_in_any_order_and_again_and_again() {
    let mut world = World::new(7, 383);
    let members = live(&mut world, |world| {
        let youngest = |world: &World, user| world.in_transit(user).pop().map(|place| (place, user));
        while let Some((place, user)) = (0..7).filter_map(|user| youngest(world, user)).max() {
            world.carry(place, user);
            world.carry(place, user);
        }
    });
    (0..7).for_each(|user| replay(&mut world, user));
    assert!(world.has_read(5, 2, "after the welcome") && world.has_read(6, 0, "after its own"));
    ends_with(&mut world, &members);
}

#[test]
fn replay_after_restart() {
    for backwards in [false, true] {
        let mut world = World::new(7, 384);
        let members = live(&mut world, |world| {
            // Each user restarts after every message, whatever waits, and receives everything again.
            let next = |world: &World, user| {
                let waiting = world.in_transit(user);
                let place = if backwards { waiting.last() } else { waiting.first() };
                place.map(|place| (*place, user))
            };
            while let Some((place, user)) = (0..7).find_map(|user| next(world, user)) {
                world.carry(place, user);
                let state = world.users[user].member.export();
                world.users[user].member = crate::VARIANT.restore(&state).unwrap();
                replay(world, user);
            }
        });
        assert!(world.has_read(5, 2, "after the welcome") && world.has_read(6, 0, "after its own"));
        ends_with(&mut world, &members);
    }
}
