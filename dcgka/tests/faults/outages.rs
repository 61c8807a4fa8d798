//! The directory cannot be reached while users join or answer. What they lose for that, they get back.

use protocol::directory::Directory as _;
use protocol::member::Event;

use super::common::{World, carry, says_none};
use super::readings;

/// Takes all bundles from the directory, and returns them.
fn cut_off(world: &World) -> Vec<(usize, Vec<u8>)> {
    let bundles: Vec<_> =
        (0..world.users.len()).map(|user| (user, world.directory.bundle(&world.id(user)).unwrap())).collect();
    bundles.iter().for_each(|(user, _)| world.directory.withdraw(&world.id(*user)));
    bundles
}

fn reconnect(world: &World, bundles: Vec<(usize, Vec<u8>)>) {
    bundles.into_iter().for_each(|(user, bundle)| world.directory.publish(world.id(user), bundle, Vec::new()));
}

/// Checks that nobody is accused, and that all read each other after each of them has updated.
fn heals(mut world: World, members: &[usize]) {
    world.settle();
    for user in members {
        world.update(*user);
        world.settle();
    }
    assert_eq!(readings(&mut world, members).len(), members.len() * (members.len() - 1));
    let accused = |event: &Event| matches!(event, Event::Inconsistent { .. } | Event::Rejected { .. });
    assert!(!world.users.iter().flat_map(|user| &user.events).any(accused));
    world.check(members);
}

/// User 2 joins without a secret, and answers the add of a user whom it does not know of yet to another one first. So a
/// member that knows of its first state only does not see what becomes of it.
#[test]
fn a_member_joins_without_a_secret_and_answers_two_concurrent_adds() {
    for named_in_the_welcome in [true, false] {
        let mut world = World::with_group(2, 6, 430);
        let adds = if named_in_the_welcome {
            let two = world.add(0, 2);
            let answer = carry(&mut world, &[&two], &[1]);
            let (four, three) = (world.add(1, 4), world.add(0, 3));
            [two, answer, four, three]
        } else {
            let (three, two) = (world.add(0, 3), world.add(1, 2));
            let four = world.add(1, 4);
            [two, four, three, Vec::new()]
        };
        let bundles = cut_off(&world);
        let sent = carry(&mut world, &[&adds.concat()], &[2]);
        assert!(says_none(&world, sent[0]));
        reconnect(&world, bundles);
        heals(world, &[0, 1, 2, 3, 4]);
    }
}

/// A joiner's welcome covers an update that a founder takes only after it has said `none` to the create.
#[test]
fn a_founder_begins_without_a_secret_and_joins_a_group_that_its_adder_has_not_heard_of() {
    let mut world = World::new(5, 429);
    let create = world.create(0, &[1, 2, 3]);
    let first = carry(&mut world, &[&create], &[1]);
    let bundles = cut_off(&world);
    let nones = carry(&mut world, &[&create], &[2, 3]);
    assert!(nones.iter().all(|place| says_none(&world, *place)));
    reconnect(&world, bundles);
    let update = world.update(1);
    carry(&mut world, &[&first, &update], &[0]);
    let add = world.add(0, 4);
    carry(&mut world, &[&add], &[4]);
    // User 2 takes the update, and returns its ratchet to user 3, which has asked everybody.
    carry(&mut world, &[&first, &update, &nones[1..]], &[2]);
    world.update(2);
    heals(world, &[0, 1, 2, 3, 4]);
}
