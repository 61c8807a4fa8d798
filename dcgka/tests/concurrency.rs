//! Operations of several members at once, in whatever order their messages arrive.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{COLD, COMMITMENT, WARM, World, deliver, rejections, removed_by, says_none, times_added};
use protocol::member::Event;

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
    assert_eq!(times_added(&world, 2, 5), 0);
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
        for user in [2, 3] {
            assert_eq!(times_added(&world, user, 4), 1, "user {user}");
        }
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
