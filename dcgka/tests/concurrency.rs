//! Operations of several members at once, in whatever order their messages arrive.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{Sent, World};
use dcgka::MAX_UNACKNOWLEDGED;
use protocol::crypto::dh::PublicKey;
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::label;
use protocol::crypto::signature::SigningKey;
use protocol::directory::Directory as _;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Incoming, Received};
use protocol::wire::codec::put_varint;
use protocol::wire::envelope::{Draft, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Bytes of a commitment, and of slots encrypted to prekeys and to a key of the channel.
const COMMITMENT: usize = 32;
const COLD: usize = 153;
const WARM: usize = 149;

const ACK_NONE: u8 = 0x86;

fn says_none(world: &World, place: usize) -> bool {
    world.sent[place].bytes[1] == ACK_NONE
}

/// Hands messages to several users in this order; returns all that they sent.
fn deliver(world: &mut World, places: &[&[usize]], to: &[usize]) -> Vec<usize> {
    let mut sent = Vec::new();
    for user in to {
        for place in places.iter().copied().flatten() {
            if world.is_for(*place, *user) {
                sent.extend(world.deliver(*place, *user));
            }
        }
    }
    sent
}

fn removed_by(world: &World, user: usize, by: usize, whom: usize) -> bool {
    world.users[user].events.contains(&Event::Removed { by: world.id(by), user: world.id(whom) })
}

fn rejections(world: &World) -> usize {
    let events = world.users.iter().flat_map(|user| &user.events);
    events.filter(|event| matches!(event, Event::Rejected { .. })).count()
}

#[test]
fn a_newcomer_reads_everybody_after_an_update_next_to_its_add() {
    for (turn, add_first) in [[false, false], [false, true], [true, false], [true, true]].into_iter().enumerate() {
        let mut world = World::with_group(4, 5, 100 + turn as u64);
        let update = world.update(1);
        let add = world.add(0, 4);
        for (user, add_first) in [2, 3].into_iter().zip(add_first) {
            let order = if add_first { [&add[..], &update] } else { [&update[..], &add] };
            let answers = deliver(&mut world, &order, &[user]);
            assert_eq!(answers.len(), 2);
            let ack = answers[usize::from(add_first)];
            let forwarded = world.body(ack).len();
            assert_eq!(forwarded, if add_first { 8 + WARM } else { 0 }, "the secret of the update is forwarded");
        }
        world.settle();
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 2, 3, 4]);
    }
}

#[test]
fn any_number_of_concurrent_updates_take_effect() {
    for count in 2..=5 {
        let mut world = World::with_group(5, 5, 200 + count as u64);
        let before = world.users[4].member.fingerprints().unwrap();
        for user in 0..count {
            world.update(user);
        }
        for user in 0..5 {
            let mut waiting = world.undelivered(user);
            if user % 2 == 1 {
                waiting.reverse();
            }
            deliver(&mut world, &[&waiting], &[user]);
        }
        world.settle();
        let after = world.users[4].member.fingerprints().unwrap();
        assert!(before.iter().all(|print| !after.contains(print)));
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 2, 3, 4]);
    }
}

#[test]
fn members_who_remove_each_other_are_both_out() {
    let mut world = World::with_group(6, 6, 300);
    let (one, other) = (world.remove(0, 1), world.remove(1, 0));
    deliver(&mut world, &[&one, &other], &[2, 3]);
    deliver(&mut world, &[&other, &one], &[4, 5]);
    world.settle();
    assert!(!world.is_inside(0) && !world.is_inside(1));
    world.check(&[2, 3, 4, 5]);
}

#[test]
fn a_cycle_of_removes_removes_all_of_it() {
    let mut world = World::with_group(6, 6, 301);
    let removes: Vec<_> = [(0, 1), (1, 2), (2, 0)].into_iter().map(|(by, user)| world.remove(by, user)[0]).collect();
    for (turn, user) in [3, 4, 5].into_iter().enumerate() {
        let mut order = removes.clone();
        order.rotate_left(turn);
        deliver(&mut world, &[&order], &[user]);
    }
    world.settle();
    world.check(&[3, 4, 5]);
}

#[test]
fn an_update_by_somebody_removed_meanwhile_is_followed_and_keeps_nobody_in() {
    let mut world = World::with_group(5, 5, 302);
    let (update, remove) = (world.update(3), world.remove(0, 3));
    let said = world.say(3, "not knowing");
    let early = deliver(&mut world, &[&update, &remove], &[1]);
    let late = deliver(&mut world, &[&remove, &update], &[2]);
    assert!(!says_none(&world, early[0]) && !says_none(&world, early[1]));
    assert!(!says_none(&world, late[0]) && says_none(&world, late[1]));
    deliver(&mut world, &[&said], &[1, 2]);
    assert!(world.has_read(1, 3, "not knowing") && world.has_read(2, 3, "not knowing"));
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_newcomer_added_next_to_a_remove_updates_before_it_speaks() {
    for order in 0..2 {
        let mut world = World::with_group(5, 6, 310 + order);
        let (add, remove) = (world.add(0, 5), world.remove(1, 3));
        deliver(&mut world, &[&add, &remove], &[2]);
        if order == 0 {
            deliver(&mut world, &[&add, &remove], &[4, 5]);
        } else {
            deliver(&mut world, &[&remove, &add], &[4, 5]);
        }
        world.settle();
        let said = world.say(5, "first");
        assert_eq!(world.kinds(&said), ["update", "message"]);
        world.settle();
        let said = world.say(5, "second");
        assert_eq!(world.kinds(&said), ["message"]);
        world.settle();
        assert!([0, 1, 2, 4].into_iter().all(|user| world.has_read(user, 5, "first")));
        assert!(!world.has_read(3, 5, "first"));
        world.check(&[0, 1, 2, 4, 5]);
    }
}

#[test]
fn an_adder_repairs_before_it_adds() {
    let mut world = World::with_group(6, 7, 312);
    let (one, other) = (world.remove(0, 4), world.remove(1, 5));
    deliver(&mut world, &[&one, &other], &[2]);
    let added = world.add(2, 6);
    assert_eq!(world.kinds(&added), ["update", "add", "welcome"]);
    world.settle();
    world.check(&[0, 1, 2, 3, 6]);
}

#[test]
fn two_colluders_removed_by_different_members_are_shut_out_by_one_update() {
    let mut world = World::with_group(6, 6, 313);
    world.remove(0, 4);
    world.remove(1, 5);
    world.settle();
    let said = world.say(2, "repaired");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    // Both know the seed of one remove: slots for those who remain, nobody else.
    assert_eq!(world.body(said[0]).len(), COMMITMENT + 2 * WARM + COLD);
    world.settle();
    for user in [0, 1, 3] {
        let said = world.say(user, "clean");
        assert_eq!(world.kinds(&said), ["message"]);
    }
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn an_accomplice_of_somebody_removed_is_told_nothing() {
    let mut world = World::with_group(5, 6, 320);
    world.remove(0, 3);
    world.settle_among(&[0, 1, 2]);
    let add = world.add(3, 5);
    let answers = deliver(&mut world, &[&add], &[0, 1, 2]);
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert!(world.body(answer).is_empty(), "nothing is encrypted to the accomplice");
    }
    // A member who has not heard of the removal answers as usual.
    let innocent = deliver(&mut world, &[&add], &[4]);
    assert_eq!(world.kinds(&innocent), ["add-ack"]);
    assert_eq!(world.body(innocent[0]).len(), COLD);
    // The accomplice acts as a member before it hears of anything.
    deliver(&mut world, &[&add], &[5]);
    let update = world.update(5);
    for user in [0, 1, 2] {
        for answer in deliver(&mut world, &[&update], &[user]) {
            assert!(world.body(answer).is_empty());
        }
    }
    world.settle();
    assert!(!world.is_inside(5));
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_user_of_whom_one_add_is_void_is_out_and_told_nothing() {
    let mut world = World::with_group(5, 6, 321);
    let remove = world.remove(0, 3);
    let void = world.add(3, 5);
    let add = world.add(1, 5);
    let answers = deliver(&mut world, &[&remove, &void, &add], &[2]);
    assert_eq!(world.kinds(&answers), ["ack", "ack", "add-ack"]);
    assert!(world.body(answers[1]).is_empty());
    assert_eq!(world.body(answers[2]), [0], "an empty slot");
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_member_can_be_removed_by_an_add() {
    let mut world = World::with_group(5, 6, 322);
    let remove = world.remove(0, 3);
    let void = world.add(3, 5);
    let add = world.add(1, 5);
    // It joins by the good add and learns of the other afterwards; others do so too.
    for user in [5, 2] {
        deliver(&mut world, &[&add, &remove], &[user]);
        assert!(world.members(user).contains(&5));
        deliver(&mut world, &[&void], &[user]);
        assert!(removed_by(&world, user, 3, 5));
    }
    assert!(!world.is_inside(5) && !world.members(2).contains(&5));
    world.settle();
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn whoever_the_removed_adder_adds_meanwhile_is_out_too() {
    for order in 0..2 {
        let mut world = World::with_group(5, 6, 330 + order);
        let (add, remove) = (world.add(0, 5), world.remove(1, 0));
        let order = if order == 0 { [&add[..], &remove] } else { [&remove[..], &add] };
        deliver(&mut world, &order, &[2, 5]);
        world.settle();
        assert!(!world.is_inside(0) && !world.is_inside(5));
        assert_eq!(rejections(&world), 0);
        world.check(&[1, 2, 3, 4]);
    }
}

#[test]
fn an_ack_of_a_remove_makes_the_view_of_its_author_smaller() {
    let mut world = World::with_group(5, 5, 340);
    let remove = world.remove(0, 4);
    assert_eq!(world.body(remove[0]).len(), COMMITMENT + 3 * WARM);
    deliver(&mut world, &[&remove], &[1]);
    let (knowing, unknowing) = (world.update(1), world.update(2));
    assert_eq!(world.body(knowing[0]).len(), COMMITMENT + WARM + 2 * COLD);
    assert_eq!(world.body(unknowing[0]).len(), COMMITMENT + WARM + 3 * COLD);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn an_expelled_member_s_late_acks_count_alike_for_all() {
    let mut world = World::with_group(5, 6, 341);
    let add = world.add(0, 5);
    let late = deliver(&mut world, &[&add], &[3]);
    world.settle_among(&[0, 1, 2, 4, 5]);
    // One of them has that ack before the removal, the others only when nothing is kept of the removed member.
    deliver(&mut world, &[&late], &[1]);
    world.remove(0, 3);
    world.settle_among(&[0, 1, 2, 4, 5]);
    let remove = world.remove(3, 5);
    deliver(&mut world, &[&late, &remove], &[0, 1, 2, 4, 5]);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn an_expelled_member_that_goes_on_acting_splits_nobody() {
    let mut world = World::with_group(6, 8, 342);
    world.remove(0, 3);
    let others = [0, 1, 2, 4, 5];
    world.settle_among(&others);
    for _ in 0..3 {
        world.update(3);
        world.say(3, "still here?");
    }
    world.add(3, 6);
    // A documented limit: its removes still remove.
    world.remove(3, 4);
    world.settle_among(&[3, 6]);
    world.update(6);
    world.update(1);
    world.add(2, 7);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 5, 7]);
}

#[test]
fn different_users_can_be_added_at_once() {
    for order in 0..4 {
        let mut world = World::with_group(4, 6, 350 + order);
        let (one, other) = (world.add(0, 4), world.add(1, 5));
        let orders = [[&one[..], &other], [&other[..], &one]];
        deliver(&mut world, &orders[order as usize % 2], &[2, 4]);
        deliver(&mut world, &orders[order as usize / 2], &[3, 5]);
        world.settle();
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 2, 3, 4, 5]);
    }
}

#[test]
fn a_user_added_by_two_members_at_once_joins_once() {
    for order in 0..16 {
        let mut world = World::with_group(4, 5, 360 + order);
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
        deliver(&mut world, &[&at_user], &[4]);
        if order & 8 == 0 {
            deliver(&mut world, &[&one, &other], &[2]);
        } else {
            deliver(&mut world, &[&other, &one], &[2]);
        }
        world.settle();
        let joined = world.users[4].events.iter().filter(|event| matches!(event, Event::Joined { .. })).count();
        assert_eq!(joined, 1);
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 2, 3, 4]);
        world.update(1);
        world.settle();
        world.remove(4, 0);
        world.settle();
        world.check(&[1, 2, 3, 4]);
    }
}

#[test]
fn a_user_can_be_removed_by_several_members_at_once() {
    let mut world = World::with_group(5, 5, 370);
    let (one, other) = (world.remove(0, 4), world.remove(1, 4));
    deliver(&mut world, &[&one, &other], &[2]);
    deliver(&mut world, &[&other, &one], &[3]);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn messages_may_come_in_any_order_and_again_and_again() {
    let mut world = World::new(7, 380);
    world.create(0, &[1, 2, 3, 4]);
    // The youngest message first, always: acks before what they acknowledge, messages before welcomes.
    let backwards = |world: &mut World| {
        while let Some((place, user)) =
            (0..world.users.len()).filter_map(|user| world.undelivered(user).pop().map(|place| (place, user))).max()
        {
            world.deliver(place, user);
            world.deliver(place, user);
        }
    };
    backwards(&mut world);
    world.update(1);
    world.say(1, "before the welcome");
    world.add(2, 5);
    world.say(2, "after the welcome");
    world.remove(3, 4);
    world.add(0, 6);
    world.say(0, "after its own");
    backwards(&mut world);
    backwards(&mut world);
    assert!(world.has_read(5, 2, "after the welcome") && world.has_read(6, 0, "after its own"));
    for user in 0..7 {
        for place in 0..world.sent.len() {
            if world.is_for(place, user) {
                let before = world.users[user].events.len();
                assert!(world.deliver(place, user).is_empty());
                assert_eq!(world.users[user].events.len(), before, "message {place} again at user {user}");
            }
        }
    }
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 3, 5, 6]);
}

#[test]
fn both_sides_of_a_long_partition_meet_again() {
    let mut world = World::with_group(7, 11, 390);
    let (left, right) = ([0, 1, 2, 3, 7, 8], [4, 5, 6, 9, 10]);
    let texts: Vec<_> = (0..3).map(|round| format!("round {round}")).collect();
    for (round, text) in texts.iter().enumerate() {
        match round {
            0 => {
                world.add(0, 7);
                world.add(4, 9);
            }
            1 => {
                // Each side removes one of its own, and one of the other.
                world.remove(1, 3);
                world.remove(5, 6);
                world.settle_among(&left);
                world.settle_among(&right);
                world.remove(7, 5);
                world.remove(9, 1);
            }
            _ => {
                world.add(2, 8);
                world.add(4, 10);
            }
        }
        world.settle_among(&left);
        world.settle_among(&right);
        for user in [0, 2, 4] {
            world.update(user);
            world.say(user, text);
        }
        world.settle_among(&left);
        world.settle_among(&right);
        assert!(world.has_read(2, 0, text) && !world.has_read(4, 0, text));
    }
    world.settle();
    assert_eq!(rejections(&world), 0);
    assert!(world.has_read(0, 4, "round 2") && world.has_read(4, 2, "round 0"));
    world.check(&[0, 2, 4, 7, 8, 9, 10]);
}

#[test]
fn first_two_party_messages_may_cross() {
    let mut world = World::with_group(4, 5, 400);
    for round in 0..4 {
        world.update(1);
        world.update(2);
        if round == 1 {
            world.add(0, 4);
        }
        if round % 2 == 1 {
            world.update(1);
        }
        world.settle();
    }
    world.check(&[0, 1, 2, 3, 4]);
}

#[test]
fn a_newcomer_may_act_before_anybody_has_answered_it() {
    let mut world = World::with_group(4, 6, 410);
    let add = world.add(0, 4);
    deliver(&mut world, &[&add], &[4]);
    let update = world.update(4);
    let said = world.say(4, "already here");
    // To these two it is a stranger yet.
    deliver(&mut world, &[&said, &update], &[2, 3]);
    let second = world.add(4, 5);
    deliver(&mut world, &[&second], &[5, 1, 2]);
    let removed = world.remove(5, 1);
    deliver(&mut world, &[&removed], &[2]);
    world.settle();
    assert!(world.has_read(3, 4, "already here"));
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 2, 3, 4, 5]);
}

#[test]
fn a_member_without_a_bundle_gets_an_empty_slot_and_says_none() {
    let mut world = World::new(4, 420);
    let id = world.id(3);
    let bundle = world.directory.bundle(&id).unwrap();
    world.directory.publish(id, vec![1, 2, 3], Vec::new());
    let create = world.create(0, &[1, 2, 3]);
    assert_eq!(world.body(create[0]).len(), 32 + COMMITMENT + 1 + 3 * 32 + 2 * COLD + 1);
    let answers = deliver(&mut world, &[&create], &[1, 2, 3]);
    assert_eq!(answers.iter().map(|place| says_none(&world, *place)).collect::<Vec<_>>(), [false, false, true]);
    world.settle();
    world.directory.publish(id, bundle, Vec::new());
    // Its own secrets begin with its first update; those of others it never learns.
    let said = world.say(3, "hello");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.say(0, "hello too");
    world.settle();
    assert!([0, 1, 2].into_iter().all(|user| world.has_read(user, 3, "hello")));
    assert!([1, 2].into_iter().all(|user| world.has_read(user, 0, "hello too")));
    assert!(!world.has_read(3, 0, "hello too"));
    assert_eq!(rejections(&world), 0);
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn a_ciphertext_that_does_not_open_stops_nobody_else() {
    let mut world = World::with_group(4, 5, 421);
    let id = world.id(1);
    let bundle = world.directory.bundle(&id).unwrap();
    let update = world.update(1);
    world.directory.publish(id, Vec::new(), Vec::new());
    let answer = deliver(&mut world, &[&update], &[3]);
    assert!(says_none(&world, answer[0]));
    world.directory.publish(id, bundle, Vec::new());
    world.settle();
    for user in [0, 1, 2, 3] {
        world.say(user, "on and on");
    }
    world.settle();
    for (sender, reader) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)] {
        assert!(world.has_read(reader, sender, "on and on"), "user {reader} reads {sender}");
    }
    assert!(!world.has_read(3, 1, "on and on"));
    // Somebody who joins knows everybody, that one too; and it goes on answering.
    world.add(3, 4);
    world.update(0);
    world.settle();
    for user in [0, 1, 2, 3] {
        world.say(user, "with a newcomer");
    }
    world.settle();
    assert!([0, 1, 2, 3].into_iter().all(|sender| world.has_read(4, sender, "with a newcomer")));
    assert_eq!(rejections(&world), 0);
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn what_a_member_must_not_do_is_refused() {
    let mut world = World::with_group(4, 5, 430);
    let ids: Vec<_> = (0..5).map(|user| world.id(user)).collect();
    assert_eq!(world.act(0, |member, context| member.remove(&ids[0], context)), Err(Error::RemovesItself));
    assert_eq!(world.act(0, |member, context| member.remove(&ids[4], context)), Err(Error::NotAMember));
    assert_eq!(world.act(0, |member, context| member.add(&ids[1], context)), Err(Error::AlreadyAMember));
    assert_eq!(world.act(4, |member, context| member.update(context)), Err(Error::NotInGroup));
    world.remove(0, 3);
    world.settle();
    for user in [0, 1, 2] {
        assert_eq!(world.act(user, |member, context| member.add(&ids[3], context)), Err(Error::AlreadyAMember));
        assert_eq!(world.act(user, |member, context| member.remove(&ids[3], context)), Err(Error::NotAMember));
    }
    assert_eq!(world.act(3, |member, context| member.update(context)), Err(Error::NotInGroup));
    world.check(&[0, 1, 2]);
}

#[test]
fn a_damaged_message_does_nothing_and_the_genuine_one_still_counts() {
    let mut world = World::with_group(3, 4, 440);
    let update = world.update(1)[0];
    let ack = deliver(&mut world, &[&[update]], &[0])[0];
    let message = world.say(1, "genuine")[0];
    for place in [update, ack, message] {
        let Sent { author, bytes, .. } = world.sent[place].clone();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << (position % 8);
            if let Ok(received) = world.receive(author, &damaged, 2) {
                assert_eq!(received, Received::default(), "message {place} damaged at {position}");
            }
            assert!(world.receive(author, &bytes[..position], 2).is_err());
        }
        // In another's name.
        assert_eq!(world.receive(1 - author, &bytes, 2), Err(Error::WrongAuthor));
        assert!(!world.receive(author, &bytes, 2).unwrap().events.is_empty(), "message {place}");
        world.users[2].received.insert(place);
    }
    world.add(0, 3);
    world.settle();
    // The answers to the update that were taken out of the network here are lost: it counts as unanswered.
    assert_eq!(world.members(2), [0, 1, 2, 3]);
}

#[test]
fn a_second_message_under_one_number_is_reported() {
    let mut world = World::with_group(3, 3, 441);
    let mut copy = world.users[1].member.duplicate();
    let first = world.update(1)[0];
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut context =
        protocol::member::Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let second = copy.update(&mut context).unwrap().remove(0).bytes;
    world.deliver(first, 0);
    let received = world.receive(1, &second, 0).unwrap();
    assert_eq!(received.events, [Event::Equivocation { by: world.id(1) }]);
    assert!(received.outgoing.is_empty());
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn forged_messages_cannot_fill_up_a_member() {
    let mut world = World::with_group(3, 3, 442);
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(2));
    let sender = world.id(1);
    // As much as fits, in ever smaller pieces.
    let sizes = [(1 << 20) - 200, 1000, 100, 1].into_iter().flat_map(|size| [size; 20]);
    for (number, size) in sizes.enumerate() {
        let (number, body) = (u32::MAX - u32::try_from(number).unwrap(), vec![0; size]);
        let draft = Draft { kind: Kind(9), sender, number, subject: Subject::None, new_key: None, body: &body };
        let (bytes, _) = draft.sign(&world.group, sender.handle(), None, &key);
        let result = world.receive(1, &bytes, 2);
        assert!(matches!(result, Ok(_) | Err(Error::QueueFull)));
    }
    world.update(1);
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn a_forged_create_makes_no_group() {
    for number in [1, 2, u32::MAX] {
        let mut world = World::new(3, 443);
        world.users[2].online = true;
        let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(3));
        let (creator, user) = (world.id(0), world.id(1));
        let nonce = Digest([7; 32]);
        let body = [&nonce.0[..], &[8; 32], &[1], &user.0, &[0]].concat();
        let group = GroupId::new(&creator, &nonce);
        let draft =
            Draft { kind: Kind(1), sender: creator, number, subject: Subject::None, new_key: None, body: &body };
        let (bytes, _) = draft.sign(&group, creator.handle(), None, &key);
        world.group = group;
        assert!(world.receive(0, &bytes, 1).is_err());
        assert_eq!(world.users[1].member.group(), None);
        world.create(0, &[1, 2]);
        world.settle();
        world.check(&[0, 1, 2]);
    }
}

#[test]
fn a_welcome_that_knows_the_newcomer_is_refused() {
    let mut world = World::new(2, 444);
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(4));
    let new_key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(5)).verification_key();
    let inviter = MemberId(*key.verification_key().as_bytes());
    let (creator, user) = (world.id(0), world.id(1));
    let group = GroupId([9; 32]);
    world.group = group;
    let add = Draft {
        kind: Kind(2),
        sender: inviter,
        number: 1,
        subject: Subject::None,
        new_key: Some(new_key),
        body: &user.0,
    };
    let (add_bytes, digest) = add.sign(&group, inviter.handle(), None, &key);
    // Three are known, the newcomer the second of them; the creator has added the third, the inviter.
    let membership = [&[3][..], &creator.0, &user.0, &inviter.0, &[1, 2, 3, 1, 0, 2, 4, 1, 0, 0]].concat();
    let mut clock = Vec::new();
    put_varint(&mut clock, 2);
    clock.push(0);
    let body = [&digest.0[..], &[0], &membership, &clock].concat();
    let welcome =
        Draft { kind: Kind(8), sender: inviter, number: 1, subject: Subject::None, new_key: None, body: &body };
    let (welcome_bytes, _) = welcome.sign(&group, inviter.handle(), None, &key);
    let mut receive = |bytes: &[u8]| {
        let incoming = Incoming { group, author: inviter, bytes };
        world.act(1, |member, context| member.receive_one(&incoming, context).map(|received| received.outgoing))
    };
    assert_eq!(receive(&add_bytes), Ok(Vec::new()));
    assert_eq!(receive(&welcome_bytes), Err(Error::Malformed));
    assert_eq!(world.users[1].member.group(), None);
}

#[test]
fn an_add_that_fails_undoes_its_repair() {
    let mut world = World::with_group(6, 6, 445);
    world.remove(0, 4);
    world.remove(1, 5);
    world.settle();
    // A user whose own signature covers keys of small order.
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(6));
    let user = MemberId(*key.verification_key().as_bytes());
    let weak = PublicKey([0; 32]);
    let signature = key.sign(&hash::hash(label::BUNDLE, &[&user.0, &weak.0, &weak.0]).0);
    world.directory.publish(user, [&weak.0[..], &weak.0, &signature.0].concat(), Vec::new());
    assert_eq!(world.act(2, |member, context| member.add(&user, context)), Err(Error::NoBundle));
    let said = world.say(2, "nothing happened");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    assert!([0, 1, 3].into_iter().all(|reader| world.has_read(reader, 2, "nothing happened")));
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn keys_for_a_silent_member_are_bounded_and_its_answers_free_them() {
    let mut world = World::with_group(2, 2, 446);
    let mut updates = 0;
    while world.act(0, |member, context| member.update(context)).is_ok() {
        updates += 1;
    }
    assert!(updates <= MAX_UNACKNOWLEDGED && updates + 2 > MAX_UNACKNOWLEDGED);
    world.say(0, "still speaking");
    world.settle();
    assert!(world.has_read(1, 0, "still speaking"));
    world.update(0);
    world.settle();
    world.check(&[0, 1]);
}

/// A random number below `bound`.
fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % bound as u64).unwrap()
}

/// One thing that happens in a random schedule.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver {
        place: usize,
        to: usize,
    },
    Update(usize),
    Add(usize, usize),
    Remove(usize, usize),
    Say(usize),
    /// Everything reaches everybody but this user.
    SettleWithout(usize),
}

fn random_step(world: &World, laggard: usize, rng: &mut ChaCha20Rng) -> Option<Step> {
    let kind = below(rng, 100);
    if kind < 4 {
        return Some(Step::SettleWithout(laggard));
    }
    if kind < 60 {
        let to = below(rng, world.users.len());
        let waiting = if to == laggard { Vec::new() } else { world.undelivered(to) };
        let last = waiting.len().checked_sub(1)?;
        // Mostly the oldest.
        let place = waiting[below(rng, waiting.len()).min(below(rng, 4) * last)];
        return Some(Step::Deliver { place, to });
    }
    let inside: Vec<_> = (0..world.users.len()).filter(|user| world.is_inside(*user)).collect();
    let actor = *inside.get(below(rng, inside.len().max(1)))?;
    let other = below(rng, world.users.len());
    let members = world.members(actor);
    Some(match below(rng, 10) {
        0..3 => Step::Update(actor),
        3..6 => Step::Add(actor, other),
        6..8 => Step::Remove(actor, members[below(rng, members.len())]),
        _ => Step::Say(actor),
    })
}

fn perform(world: &mut World, step: Step) {
    let result = match step {
        Step::Deliver { place, to } => {
            world.deliver(place, to);
            return;
        }
        Step::SettleWithout(laggard) => {
            let others: Vec<_> = (0..world.users.len()).filter(|user| *user != laggard).collect();
            world.settle_among(&others);
            return;
        }
        Step::Update(actor) => world.act(actor, |member, context| member.update(context)),
        Step::Add(actor, user) => {
            let id = world.id(user);
            let result = world.act(actor, |member, context| member.add(&id, context));
            world.users[user].online |= result.is_ok();
            result
        }
        Step::Remove(actor, user) => {
            let id = world.id(user);
            world.act(actor, |member, context| member.remove(&id, context))
        }
        Step::Say(actor) => {
            let text = format!("from {actor} after {}", world.sent.len());
            world.act(actor, |member, context| member.send(text.as_bytes(), context))
        }
    };
    if let Err(error) = result {
        let refused = [Error::AlreadyAMember, Error::RemovesItself, Error::NotAMember];
        assert!(refused.contains(&error), "{step:?}: {error}");
    }
}

fn run_schedule(seed: u64, steps: u64, trace: &mut Vec<Step>) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let founders = 4 + below(&mut rng, 4);
    let mut world = World::with_group(founders, founders + 3, seed);
    // In every other schedule one user hears of nothing until the end, and may act meanwhile.
    let laggard = below(&mut rng, 2 * founders);
    for _ in 0..steps {
        if let Some(step) = random_step(&world, laggard, &mut rng) {
            trace.push(step);
            perform(&mut world, step);
        }
    }
    world.settle();
    for user in 0..world.users.len() {
        for event in &world.users[user].events {
            assert!(!matches!(event, Event::Rejected { .. } | Event::Equivocation { .. }), "{event:?} at user {user}");
        }
    }
    let members: Vec<_> = (0..world.users.len()).filter(|user| world.is_inside(*user)).collect();
    if !members.is_empty() {
        world.check(&members);
    }
}

/// `SCHEDULES`, `STEPS` and `FIRST` ask for others than the usual ones.
#[test]
fn whatever_members_do_at_once_they_agree_in_the_end() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count, steps) = (setting("FIRST", 0), setting("SCHEDULES", 200), setting("STEPS", 25));
    for seed in first..first + count {
        let mut trace = Vec::new();
        let run = || run_schedule(seed, steps, &mut trace);
        if let Err(failure) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("schedule {seed}: {trace:?}");
            resume_unwind(failure);
        }
    }
}
