//! Joiners to whom messages come in an unfortunate order, and who do not wait.

use super::Change::{Added, Joined, Removed, Updated};
use super::attacker::{Attacker, are_shut_out};
use super::common::{deliver, says_none};
use super::{changes, either, ends_with, group, have_seen};
use protocol::member::Event;

#[test]
fn joiner_updates_before_it_has_all_add_acks() {
    for turn in 0..2 {
        let mut world = group(4, 5, 410 + turn as u64);
        let add = world.add(0, 4);
        let ack = deliver(&mut world, &[&add], &[1]);
        let joined = deliver(&mut world, &[&add, &ack], &[4]);
        let mut update = world.update(4);
        update.extend(world.say(4, "already here"));
        // To user 3 the joiner is a stranger yet; user 2 has answered it, and the answer crosses the update.
        let answers = deliver(&mut world, &either(turn, &add, &[&joined[..], &update].concat()), &[2, 3]);
        assert!(answers.iter().all(|place| !says_none(&world, *place)), "the seed is taken");
        assert!([2, 3].into_iter().all(|user| world.has_read(user, 4, "already here")));
        // Their answers to the add follow those to the update, or come long after.
        let late = answers.iter().copied().filter(|place| world.sent[*place].kind == "add-ack").collect::<Vec<_>>();
        assert_eq!(late.len(), 2);
        let rest: Vec<_> = answers.iter().copied().filter(|place| !late.contains(place)).collect();
        deliver(&mut world, &either(turn, &rest, &late), &[4]);
        ends_with(&mut world, &[0, 1, 2, 3, 4]);
        have_seen(&world, &[1, 2, 3], &[Added(0, 4), Updated(4)]);
    }
}

#[test]
fn a_joiner_may_act_before_anybody_has_answered_it() {
    let mut world = group(4, 6, 412);
    let add = world.add(0, 4);
    deliver(&mut world, &[&add], &[4]);
    let update = world.update(4);
    let said = world.say(4, "already here");
    // To these two it is a stranger yet.
    deliver(&mut world, &[&said, &update], &[2, 3]);
    let second = world.add(4, 5);
    deliver(&mut world, &[&second], &[5, 1, 2]);
    let removed = world.remove(5, 1);
    let attackers = [Attacker::copy(&world, 1)];
    deliver(&mut world, &[&removed], &[2]);
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
            deliver(&mut world, &[&add], &[1]);
        }
        world.remove(1, 0);
        let attackers = [Attacker::copy(&world, 0)];
        world.settle_among(&[0, 1, 2, 3, 4]);
        world.update(2);
        world.say(2, "long before");
        world.settle_among(&[1, 2, 3, 4]);
        assert!(!world.is_inside(0));
        // Everything at once, the welcome first or last.
        let waiting: Vec<_> = world.undelivered(5).into_iter().filter(|place| !add.contains(place)).collect();
        deliver(&mut world, &either(turn, &add, &waiting), &[5]);
        if knowing {
            // Whoever removed the adder knew the joiner.
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
        // An ack, an update and a message of user 3, of which user 1 has heard and answers, and the adder has not.
        let mut flying = deliver(&mut world, &[&remembered], &[3]);
        flying.extend(world.update(3));
        flying.extend(world.say(3, "goodbye"));
        flying.extend(deliver(&mut world, &[&flying.clone()], &[1]));
        assert_eq!(world.kinds(&flying), ["ack", "update", "message", "ack"]);
        world.remove(0, 3);
        let attackers = [Attacker::copy(&world, 3)];
        let add = world.add(0, 5);
        let join = [&remembered[..], &add].concat();
        if turn / 2 == 1 {
            flying.reverse();
        }
        deliver(&mut world, &either(turn, &join, &flying), &[5]);
        deliver(&mut world, &either(turn, &flying, &join), &[2, 4]);
        // The answer of user 1 comes after a message of the removed: that one is handled too, and blocks nobody.
        ends_with(&mut world, &[0, 1, 2, 4, 5]);
        are_shut_out(&attackers, &world);
        assert!([0, 1, 2, 4].into_iter().all(|user| world.has_read(user, 3, "goodbye")));
        assert!(!world.has_read(5, 3, "goodbye"));
        let from = world.id(3);
        assert!(world.users[5].events.contains(&Event::Undecryptable { from }), "handled, not forgotten");
    }
}

#[test]
fn message_before_welcome() {
    for turn in 0..4 {
        let mut world = group(4, 5, 440);
        let add = world.add(0, 4);
        // Everybody goes on, with the joiner as a member that has not come.
        world.settle_among(&[0, 1, 2, 3]);
        world.say(1, "before the welcome");
        world.update(2);
        world.settle_among(&[0, 1, 2, 3]);
        world.say(2, "the same");
        world.remove(2, 3);
        world.settle_among(&[0, 1, 2, 3]);
        world.say(0, "after a removal");
        let mut waiting: Vec<_> = world.undelivered(4).into_iter().filter(|place| !add.contains(place)).collect();
        if turn / 2 == 1 {
            waiting.reverse();
        }
        assert!(deliver(&mut world, &[&waiting], &[4]).is_empty());
        let invitation = either(turn, &add[..1], &add[1..]).concat();
        assert!(world.deliver(invitation[0], 4).is_empty());
        assert!(
            world.users[4].events.is_empty() && !world.is_inside(4),
            "nothing happens before the invitation is whole"
        );
        world.deliver(invitation[1], 4);
        for (sender, text) in [(1, "before the welcome"), (2, "the same"), (0, "after a removal")] {
            assert!(world.has_read(4, sender, text), "{text}");
        }
        ends_with(&mut world, &[0, 1, 2, 4]);
        have_seen(&world, &[1], &[Added(0, 4), Removed(2, 3), Updated(2)]);
        have_seen(&world, &[4], &[Joined(0), Removed(2, 3), Updated(2)]);
    }
}
