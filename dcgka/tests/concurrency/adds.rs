//! Adds concurrent with each other and with removals.

use std::collections::BTreeSet;

use super::Change::{Added, Joined, Removed};
use super::attacker::{Attacker, are_shut_out};
use super::common::{World, carry, removed_by, slots, times_added};
use super::{changes, either, ends_with, group, have_seen};
use dcgka::MAX_MEMBERS;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Backend as _, Event};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn two_adds() {
    for turns in 0..4 {
        let mut world = group(4, 6, 350 + turns as u64);
        let (one, other) = (world.add(0, 4), world.add(1, 5));
        carry(&mut world, &either(turns, &one, &other), &[2, 4]);
        carry(&mut world, &either(turns / 2, &one, &other), &[3, 5]);
        ends_with(&mut world, &[0, 1, 2, 3, 4, 5]);
        have_seen(&world, &[0], &[Added(1, 5)]);
        have_seen(&world, &[1], &[Added(0, 4)]);
        have_seen(&world, &[2, 3], &[Added(0, 4), Added(1, 5)]);
        have_seen(&world, &[4], &[Joined(0), Added(1, 5)]);
        have_seen(&world, &[5], &[Joined(1), Added(0, 4)]);
    }
}

#[test]
fn the_same_user_added_twice_concurrently() {
    for order in 0..16 {
        let mut world = group(4, 5, 360 + order);
        let (one, other) = (world.add(0, 4), world.add(1, 4));
        // Add and welcome of each, in eight orders at the user, in two at another.
        let (first, second) = if order & 1 == 0 { (&one, &other) } else { (&other, &one) };
        let mut at_user = [first[0], first[1], second[0], second[1]];
        if order & 2 != 0 {
            at_user.swap(0, 1);
        }
        if order & 4 != 0 {
            at_user.swap(2, 3);
        }
        carry(&mut world, &[&at_user], &[4]);
        if order & 8 == 0 {
            carry(&mut world, &[&one, &other], &[2]);
        } else {
            carry(&mut world, &[&other, &one], &[2]);
        }
        ends_with(&mut world, &[0, 1, 2, 3, 4]);
        // It joins once, and each of the others is told once.
        have_seen(&world, &[4], &[Joined(if order & 1 == 0 { 0 } else { 1 })]);
        assert!((0..4).all(|user| times_added(&world, user, 4) <= 1));
        assert!([2, 3].into_iter().all(|user| times_added(&world, user, 4) == 1));
        world.update(1);
        world.settle();
        world.remove(4, 0);
        ends_with(&mut world, &[1, 2, 3, 4]);
    }
}

/// Two members add the same two users, each in the other order. Each user joins by the add of another member, so the
/// welcome of the one names the other as a member that has not joined yet.
#[test]
fn a_joiner_follows_a_member_that_has_joined_by_another_add_than_its_welcome_names() {
    let mut world = group(2, 4, 364);
    let one = [world.add(1, 3), world.add(1, 2)].concat();
    let other = [world.add(0, 2), world.add(0, 3)].concat();
    carry(&mut world, &[&one], &[2]);
    carry(&mut world, &[&other], &[3]);
    have_seen(&world, &[2], &[Joined(1)]);
    have_seen(&world, &[3], &[Joined(0)]);
    world.say(2, "early");
    world.settle_among(&[1, 2, 3]);
    assert!(world.has_read(3, 2, "early"));
    ends_with(&mut world, &[0, 1, 2, 3]);
}

#[test]
fn add_concurrent_with_removal_of_the_adder() {
    for turn in 0..2 {
        let mut world = group(5, 6, 330 + turn as u64);
        let (add, remove) = (world.add(0, 5), world.remove(1, 0));
        let mut attackers = vec![Attacker::copy(&world, 0)];
        carry(&mut world, &either(turn, &add, &remove), &[2]);
        carry(&mut world, &either(turn + 1, &add, &remove), &[3]);
        carry(&mut world, &[&add], &[5]);
        attackers.push(Attacker::copy(&world, 5));
        ends_with(&mut world, &[1, 2, 3, 4]);
        are_shut_out(&attackers, &world);
        // A member that receives the add first sees it undone.
        let (early, late) = if turn == 0 { (2, 3) } else { (3, 2) };
        have_seen(&world, &[early], &[Added(0, 5), Removed(1, 0), Removed(1, 5)]);
        have_seen(&world, &[late], &[Removed(1, 0)]);
        have_seen(&world, &[5], &[Joined(0), Removed(1, 0), Removed(1, 5)]);
    }
}

#[test]
fn add_concurrent_with_removal_of_the_adder_transitively() {
    for turn in 0..2 {
        let mut world = group(5, 7, 332 + turn as u64);
        let mut adds = world.add(0, 5);
        adds.extend(carry(&mut world, &[&adds.clone()], &[5]));
        adds.extend(world.add(5, 6));
        let remove = world.remove(1, 0);
        let mut attackers = vec![Attacker::copy(&world, 0), Attacker::copy(&world, 5)];
        carry(&mut world, &either(turn, &adds, &remove), &[2]);
        carry(&mut world, &either(turn + 1, &adds, &remove), &[3]);
        carry(&mut world, &[&adds], &[6]);
        attackers.push(Attacker::copy(&world, 6));
        ends_with(&mut world, &[1, 2, 3, 4]);
        are_shut_out(&attackers, &world);
        let (early, late) = if turn == 0 { (2, 3) } else { (3, 2) };
        have_seen(&world, &[late], &[Removed(1, 0)]);
        let undone = [Added(0, 5), Added(5, 6), Removed(1, 0), Removed(1, 5), Removed(1, 6)];
        have_seen(&world, &[early], &undone);
    }
}

#[test]
fn add_acknowledged_before_the_adders_removal() {
    for turn in 0..2 {
        let mut world = group(5, 6, 334 + turn as u64);
        let add = world.add(0, 5);
        let mut remove = carry(&mut world, &[&add], &[1]);
        remove.extend(world.remove(1, 0));
        let attackers = [Attacker::copy(&world, 0)];
        // The removal waits for the add if it arrives first.
        carry(&mut world, &either(turn, &add, &remove), &[2, 5]);
        carry(&mut world, &either(turn + 1, &add, &remove), &[3]);
        world.settle();
        // The seed of the removal went to the joiner too.
        let said = world.say(5, "stays");
        assert_eq!(world.kinds(&said), ["message"]);
        ends_with(&mut world, &[1, 2, 3, 4, 5]);
        are_shut_out(&attackers, &world);
        have_seen(&world, &[2, 3, 4], &[Added(0, 5), Removed(1, 0)]);
        have_seen(&world, &[5], &[Joined(0), Removed(1, 0)]);
    }
}

#[test]
fn add_concurrent_with_a_remove_by_another() {
    for turn in 0..2 {
        let mut world = group(5, 6, 310 + turn as u64);
        let (add, remove) = (world.add(0, 5), world.remove(1, 3));
        let attackers = [Attacker::copy(&world, 3)];
        carry(&mut world, &[&add, &remove], &[2]);
        carry(&mut world, &either(turn, &add, &remove), &[4, 5]);
        world.settle();
        // The removed member knows the joiner's first secret, so the joiner updates before it sends.
        let said = world.say(5, "first");
        assert_eq!(world.kinds(&said), ["update", "message"]);
        world.settle();
        let said = world.say(5, "second");
        assert_eq!(world.kinds(&said), ["message"]);
        world.settle();
        assert!([0, 1, 2, 4].into_iter().all(|user| world.has_read(user, 5, "first")));
        assert!(!world.has_read(3, 5, "first"));
        ends_with(&mut world, &[0, 1, 2, 4, 5]);
        are_shut_out(&attackers, &world);
        assert!([2, 4].into_iter().all(|user| changes(&world, user)[..2] == [Added(0, 5), Removed(1, 3)]));
        assert_eq!(changes(&world, 5)[..2], [Joined(0), Removed(1, 3)]);
    }
}

#[test]
fn a_removed_member_adds_an_accomplice() {
    for turn in 0..2 {
        let mut world = group(5, 6, 320);
        let remove = world.remove(0, 3);
        world.settle_among(&[0, 1, 2]);
        let add = world.add(3, 5);
        let answers = carry(&mut world, &[&add], &[0, 1, 2]);
        assert_eq!(answers.len(), 3);
        for answer in answers {
            assert!(world.body(answer).is_empty(), "nothing is encrypted to the accomplice");
        }
        // A member that has not received the removal answers as usual.
        if turn == 0 {
            let innocent = carry(&mut world, &[&add], &[4]);
            assert_eq!(world.kinds(&innocent), ["add-ack"]);
            assert_eq!(world.body(innocent[0]).len(), slots(1, 0));
        } else {
            let knowing = carry(&mut world, &[&remove, &add], &[4]);
            assert!(world.body(knowing[1]).is_empty());
        }
        // The accomplice acts as a member before it receives anything else.
        carry(&mut world, &[&add], &[5]);
        let updates = [world.update(5), world.update(3)].concat();
        let attackers = [Attacker::copy(&world, 3), Attacker::copy(&world, 5)];
        for answer in carry(&mut world, &[&updates], &[0, 1, 2]) {
            assert!(world.body(answer).is_empty());
        }
        ends_with(&mut world, &[0, 1, 2, 4]);
        are_shut_out(&attackers, &world);
        assert!([0, 1, 2].into_iter().all(|user| times_added(&world, user, 5) == 0));
    }
}

#[test]
fn a_member_removed_by_processing_an_add() {
    for turn in 0..2 {
        let mut world = group(5, 6, 322 + turn);
        let remove = world.remove(0, 3);
        let void = world.add(3, 5);
        let add = world.add(1, 5);
        let mut attackers = vec![Attacker::copy(&world, 3)];
        if turn == 0 {
            // It joins by the valid add and receives the void one afterwards; another member does so too.
            for user in [5, 2] {
                carry(&mut world, &[&add, &remove], &[user]);
                assert!(world.members(user).contains(&5));
                attackers.extend((user == 5).then(|| Attacker::copy(&world, 5)));
                carry(&mut world, &[&void], &[user]);
                assert!(removed_by(&world, user, 3, 5));
                assert!(!world.members(user).contains(&5));
            }
            assert!(!world.is_inside(5));
        } else {
            // A member that knows that one of the adds is void reports neither, and sends no secret.
            let answers = carry(&mut world, &[&remove, &void, &add], &[2]);
            assert_eq!(world.kinds(&answers), ["ack", "ack", "add-ack"]);
            assert!(world.body(answers[1]).is_empty());
            assert_eq!(world.body(answers[2]), [0], "an empty slot");
            carry(&mut world, &[&void], &[5]);
            attackers.push(Attacker::copy(&world, 5));
            carry(&mut world, &[&remove, &add], &[5]);
            have_seen(&world, &[2], &[Removed(0, 3)]);
        }
        ends_with(&mut world, &[0, 1, 2, 4]);
        are_shut_out(&attackers, &world);
    }
}

#[test]
fn an_adder_repairs_before_it_adds() {
    let mut world = group(6, 7, 312);
    let (one, other) = (world.remove(0, 4), world.remove(1, 5));
    let attackers = [Attacker::copy(&world, 4), Attacker::copy(&world, 5)];
    carry(&mut world, &[&one, &other], &[2]);
    let added = world.add(2, 6);
    assert_eq!(world.kinds(&added), ["update", "add", "welcome"]);
    ends_with(&mut world, &[0, 1, 2, 3, 6]);
    are_shut_out(&attackers, &world);
}

/// Four users act in a group with room for one more. The other members never come online.
#[test]
fn two_concurrent_adds_at_the_size_limit() {
    for turn in 0..2 {
        let mut world = World::new(5, 355);
        let mut rng = ChaCha20Rng::seed_from_u64(356);
        let mut founders = vec![world.id(1)];
        while founders.len() + 1 < MAX_MEMBERS - 1 {
            let silent = crate::VARIANT.new_user(0, &mut rng);
            world.directory.publish(silent.id, silent.bundle, Vec::new());
            founders.push(silent.id);
        }
        world.act(0, |member, context| member.create(&founders, context)).unwrap();
        world.group = world.users[0].member.group().unwrap();
        [0, 1].into_iter().for_each(|user| world.users[user].online = true);
        world.settle();

        // Each adder sees room for one, and both adds are valid.
        let (one, other) = (world.add(0, 2), world.add(1, 3));
        carry(&mut world, &either(turn, &one, &other), &[2, 3]);
        world.settle();
        let everybody: BTreeSet<MemberId> = founders.iter().copied().chain((0..4).map(|user| world.id(user))).collect();
        assert_eq!(everybody.len(), MAX_MEMBERS + 1);
        let late = world.id(4);
        for user in 0..4 {
            assert!(world.users[user].member.members().into_iter().eq(everybody.iter().copied()), "user {user}");
            let before = world.users[user].member.export();
            let refused = world.act(user, |member, context| member.add(&late, context));
            assert_eq!(refused, Err(Error::GroupSize));
            assert!(world.users[user].member.export() == before);
            let said = world.say(user, "full");
            assert_eq!(world.kinds(&said), ["message"]);
        }
        world.settle();
        for (reader, sender) in (0..4).flat_map(|reader| (0..4).map(move |sender| (reader, sender))) {
            assert_eq!(world.has_read(reader, sender, "full"), reader != sender);
        }
        let rejected = |event: &Event| matches!(event, Event::Rejected { .. });
        assert!(!world.users.iter().flat_map(|user| &user.events).any(rejected));
    }
}
