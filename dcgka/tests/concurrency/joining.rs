//! Joiners that receive messages in an unfortunate order, and joiners that do not wait.

use super::Change::{Added, Joined, Removed, Updated};
use super::attacker::{Attacker, are_shut_out};
use super::common::{World, carry, says_none};
use super::{changes, either, ends_with, group, have_seen};
use protocol::member::Event;

#[test]
fn joiner_updates_before_it_has_all_add_acks() {
    for turn in 0..2 {
        let mut world = group(4, 5, 410 + turn as u64);
        let add = world.add(0, 4);
        let ack = carry(&mut world, &[&add], &[1]);
        let joined = carry(&mut world, &[&add, &ack], &[4]);
        let mut update = world.update(4);
        update.extend(world.say(4, "already here"));
        // User 3 does not know the joiner yet. User 2 has answered it, and the answer crosses the update.
        let answers = carry(&mut world, &either(turn, &add, &[&joined[..], &update].concat()), &[2, 3]);
        assert!(answers.iter().all(|place| !says_none(&world, *place)), "the seed is taken");
        assert!([2, 3].into_iter().all(|user| world.has_read(user, 4, "already here")));
        // Their answers to the add follow those to the update, or arrive long after.
        let late = answers.iter().copied().filter(|place| world.sent[*place].kind == "add-ack").collect::<Vec<_>>();
        assert_eq!(late.len(), 2);
        let rest: Vec<_> = answers.iter().copied().filter(|place| !late.contains(place)).collect();
        carry(&mut world, &either(turn, &rest, &late), &[4]);
        ends_with(&mut world, &[0, 1, 2, 3, 4]);
        have_seen(&world, &[1, 2, 3], &[Added(0, 4), Updated(4)]);
    }
}

#[test]
fn a_joiner_may_act_before_anybody_has_answered_it() {
    let mut world = group(4, 6, 412);
    let add = world.add(0, 4);
    carry(&mut world, &[&add], &[4]);
    let update = world.update(4);
    let said = world.say(4, "already here");
    // These two do not know it yet.
    carry(&mut world, &[&said, &update], &[2, 3]);
    let second = world.add(4, 5);
    carry(&mut world, &[&second], &[5, 1, 2]);
    let removed = world.remove(5, 1);
    let attackers = [Attacker::copy(&world, 1)];
    carry(&mut world, &[&removed], &[2]);
    ends_with(&mut world, &[0, 2, 3, 4, 5]);
    are_shut_out(&attackers, &world);
    assert!(world.has_read(3, 4, "already here"));
}

#[test]
fn adder_removed_before_the_joiner_has_its_welcome() {
    for (knowing, turn) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
        let mut world = group(5, 6, 420 + turn as u64);
        let add = world.add(0, 5);
        if knowing {
            carry(&mut world, &[&add], &[1]);
        }
        world.remove(1, 0);
        let attackers = [Attacker::copy(&world, 0)];
        world.settle_among(&[0, 1, 2, 3, 4]);
        world.update(2);
        world.say(2, "long before");
        world.settle_among(&[1, 2, 3, 4]);
        assert!(!world.is_inside(0));
        // Everything arrives together, the welcome first or last.
        let waiting: Vec<_> = world.in_transit(5).into_iter().filter(|place| !add.contains(place)).collect();
        carry(&mut world, &either(turn, &add, &waiting), &[5]);
        if knowing {
            // The member that removed the adder knew the joiner.
            ends_with(&mut world, &[1, 2, 3, 4, 5]);
            assert!(world.has_read(5, 2, "long before"));
            assert_eq!(changes(&world, 5)[..2], [Joined(0), Removed(1, 0)]);
        } else {
            ends_with(&mut world, &[1, 2, 3, 4]);
            assert!(!world.has_read(5, 2, "long before"));
            have_seen(&world, &[5], &[Joined(0), Removed(1, 0), Removed(1, 5)]);
        }
        are_shut_out(&attackers, &world);
    }
}

#[test]
fn a_removed_authors_message_in_flight_past_a_joiner() {
    for turn in 0..4 {
        let mut world = group(5, 6, 430 + turn as u64);
        let remembered = world.update(1);
        // An ack, an update and a message of user 3, which user 1 has received and answers, and the adder has not
        // received.
        let mut flying = carry(&mut world, &[&remembered], &[3]);
        flying.extend(world.update(3));
        flying.extend(world.say(3, "goodbye"));
        flying.extend(carry(&mut world, &[&flying.clone()], &[1]));
        assert_eq!(world.kinds(&flying), ["ack", "update", "message", "ack"]);
        world.remove(0, 3);
        let attackers = [Attacker::copy(&world, 3)];
        let add = world.add(0, 5);
        let join = [&remembered[..], &add].concat();
        if turn / 2 == 1 {
            flying.reverse();
        }
        carry(&mut world, &either(turn, &join, &flying), &[5]);
        carry(&mut world, &either(turn, &flying, &join), &[2, 4]);
        // The answer of user 1 follows a message of the removed member, which is delivered too and blocks nobody.
        ends_with(&mut world, &[0, 1, 2, 4, 5]);
        are_shut_out(&attackers, &world);
        assert!([0, 1, 2, 4].into_iter().all(|user| world.has_read(user, 3, "goodbye")));
        assert!(!world.has_read(5, 3, "goodbye"));
        let from = world.id(3);
        assert!(world.users[5].events.contains(&Event::Undecryptable { from }), "delivered, not forgotten");
    }
}

#[test]
fn message_before_welcome() {
    for turn in 0..4 {
        let mut world = group(4, 5, 440);
        let add = world.add(0, 4);
        // Everybody continues, with the joiner as a member that is not there yet.
        world.settle_among(&[0, 1, 2, 3]);
        world.say(1, "before the welcome");
        world.update(2);
        world.settle_among(&[0, 1, 2, 3]);
        world.say(2, "the same");
        world.remove(2, 3);
        world.settle_among(&[0, 1, 2, 3]);
        world.say(0, "after a removal");
        let mut waiting: Vec<_> = world.in_transit(4).into_iter().filter(|place| !add.contains(place)).collect();
        if turn / 2 == 1 {
            waiting.reverse();
        }
        assert!(carry(&mut world, &[&waiting], &[4]).is_empty());
        let invitation = either(turn, &add[..1], &add[1..]).concat();
        assert!(world.carry(invitation[0], 4).is_empty());
        assert!(
            world.users[4].events.is_empty() && !world.is_inside(4),
            "nothing happens before the invitation is whole"
        );
        world.carry(invitation[1], 4);
        for (sender, text) in [(1, "before the welcome"), (2, "the same"), (0, "after a removal")] {
            assert!(world.has_read(4, sender, text), "{text}");
        }
        ends_with(&mut world, &[0, 1, 2, 4]);
        have_seen(&world, &[1], &[Added(0, 4), Removed(2, 3), Updated(2)]);
        have_seen(&world, &[4], &[Joined(0), Removed(2, 3), Updated(2)]);
    }
}

/// The joiner cannot follow it to its first secret, and must not compare the secrets after it with what it knew before.
#[test]
fn a_founder_that_its_adder_has_not_heard_of_adds_a_user_while_another_joins() {
    let mut world = World::new(4, 427);
    let create = world.create(0, &[1]);
    let answer = carry(&mut world, &[&create], &[1]);
    let (one, other) = (world.add(0, 2), world.add(1, 3));
    carry(&mut world, &[&one, &create, &answer, &other], &[2]);
    ends_with(&mut world, &[0, 1, 2, 3]);
}
