//! What holds only because of one rule: each test kills the mutant without that rule (`scripts/mutants.sh`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{Sent, World, carry, says_none};
use protocol::directory::Directory as _;
use protocol::error::Error;
use protocol::member::{Context, Incoming};

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

#[test]
fn a_message_of_a_member_removed_meanwhile_is_read_after_its_add() {
    let mut world = World::with_group(5, 6, 600);
    let remove = world.remove(0, 3);
    let add = world.add(3, 5);
    let said = world.say(3, "not knowing");
    let answers = carry(&mut world, &[&remove, &add, &said], &[1]);
    assert!(says_none(&world, answers[1]));
    assert!(world.has_read(1, 3, "not knowing"));
    world.settle();
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_message_of_a_member_removed_meanwhile_is_read_after_its_answer_to_an_add() {
    let mut world = World::with_group(5, 6, 601);
    let add = world.add(0, 5);
    let remove = world.remove(1, 3);
    let answer = carry(&mut world, &[&add], &[3]);
    assert_eq!(world.kinds(&answer), ["add-ack"]);
    let said = world.say(3, "not knowing");
    carry(&mut world, &[&remove, &add, &answer, &said], &[2]);
    assert!(world.has_read(2, 3, "not knowing"));
    world.settle();
    world.check(&[0, 1, 2, 4, 5]);
}

#[test]
fn a_seed_from_a_removed_member_repairs_nothing() {
    let mut world = World::with_group(6, 6, 602);
    let (one, other) = (world.remove(0, 4), world.remove(1, 5));
    let ack = carry(&mut world, &[&other], &[4]);
    // Its recipients are all who remain, but its author has been removed.
    let update = world.update(4);
    carry(&mut world, &[&one, &other, &ack, &update], &[2]);
    let said = world.say(2, "repaired");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn a_member_without_a_seed_loses_every_ratchet_that_stepped_with_it() {
    let mut world = World::with_group(4, 4, 603);
    let id = world.id(1);
    let bundle = world.directory.bundle(&id).unwrap();
    let update = world.update(1);
    // User 3 cannot open its ciphertext.
    world.directory.publish(id, Vec::new(), Vec::new());
    let answer = carry(&mut world, &[&update], &[3]);
    assert!(says_none(&world, answer[0]));
    world.directory.publish(id, bundle, Vec::new());
    world.settle();
    let known = |world: &World, user: usize| {
        let prints = world.users[user].member.fingerprints().unwrap();
        let mut known: Vec<_> = prints.iter().map(|(id, _)| world.index(id)).collect();
        known.sort_unstable();
        known
    };
    assert_eq!(known(&world, 3), [3]);
    assert_eq!(known(&world, 0), [0, 1, 2, 3]);
}

#[test]
fn a_message_cannot_take_the_number_of_another_by_the_same_author() {
    let mut world = World::with_group(3, 3, 604);
    let (first, second) = (world.say(1, "first")[0], world.say(1, "second")[0]);
    let mut early = world.sent[second].bytes.clone();
    // After version, kind and sender; both numbers are one byte.
    early[10] = world.sent[first].bytes[10];
    assert_eq!(world.receive(1, &early, 2), Err(Error::NotAuthentic));
    world.settle();
    assert!(world.has_read(2, 1, "first") && world.has_read(2, 1, "second"));
}

#[test]
fn nobody_joins_unless_the_inviter_is_confirmed() {
    let mut world = World::new(4, 605);
    let create = world.create(0, &[1, 2]);
    let refused = |world: &mut World, place: usize, user: usize| {
        let Sent { author, bytes, .. } = world.sent[place].clone();
        let incoming = Incoming { group: world.group, author: world.id(author), bytes: &bytes };
        let result = world.act(user, |member, context| {
            let mut context = Context { confirm_inviter: &|_| false, rng: context.rng, directory: context.directory };
            member.receive_one(&incoming, &mut context).map(|received| received.outgoing)
        });
        assert_eq!(result, Err(Error::InviterNotConfirmed));
        assert_eq!(world.users[user].member.group(), None);
    };
    refused(&mut world, create[0], 1);
    world.settle();
    let add = world.add(0, 3);
    assert_eq!(world.kinds(&add), ["add", "welcome"]);
    refused(&mut world, add[1], 3);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}
