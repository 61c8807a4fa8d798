//! What holds only because of one rule: each test fails where that rule is left out (`scripts/mutants.sh`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{World, deliver, says_none};

#[test]
fn what_somebody_removed_meanwhile_says_after_its_add_is_read() {
    let mut world = World::with_group(5, 6, 600);
    let remove = world.remove(0, 3);
    let add = world.add(3, 5);
    let said = world.say(3, "not knowing");
    let answers = deliver(&mut world, &[&remove, &add, &said], &[1]);
    assert!(says_none(&world, answers[1]));
    assert!(world.has_read(1, 3, "not knowing"));
    world.settle();
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn what_somebody_removed_meanwhile_says_after_its_answer_to_an_add_is_read() {
    let mut world = World::with_group(5, 6, 601);
    let add = world.add(0, 5);
    let remove = world.remove(1, 3);
    let answer = deliver(&mut world, &[&add], &[3]);
    assert_eq!(world.kinds(&answer), ["add-ack"]);
    let said = world.say(3, "not knowing");
    deliver(&mut world, &[&remove, &add, &answer, &said], &[2]);
    assert!(world.has_read(2, 3, "not knowing"));
    world.settle();
    world.check(&[0, 1, 2, 4, 5]);
}

#[test]
fn a_seed_from_somebody_removed_repairs_nothing() {
    let mut world = World::with_group(6, 6, 602);
    let (one, other) = (world.remove(0, 4), world.remove(1, 5));
    let ack = deliver(&mut world, &[&other], &[4]);
    // Its recipients are all who remain, but its author has been removed.
    let update = world.update(4);
    deliver(&mut world, &[&one, &other, &ack, &update], &[2]);
    let said = world.say(2, "repaired");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}
