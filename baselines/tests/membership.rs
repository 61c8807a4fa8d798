//! Concurrent adds and removals. In the end all members agree on the members of the group, and read each other's
//! messages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{ALL, World};
use protocol::error::Error;
use protocol::member::Event;

/// Delivers these messages to these users, to each the ones that were sent to it.
fn deliver(world: &mut World, places: &[usize], to: &[usize]) {
    for user in to {
        for place in places {
            if world.sent[*place].to.contains(user) {
                world.deliver(*place, *user);
            }
        }
    }
}

#[test]
fn a_group_is_created_grows_and_shrinks() {
    for variant in ALL {
        let mut world = World::with_group(variant, 3, 5, 1);
        world.check(&[0, 1, 2]);
        world.add(1, 3);
        world.settle();
        world.check(&[0, 1, 2, 3]);
        world.add(3, 4);
        world.settle();
        world.check(&[0, 1, 2, 3, 4]);
        world.remove(2, 0);
        world.settle();
        world.check(&[1, 2, 3, 4]);
        assert_eq!(world.try_add(1, 0).unwrap_err(), Error::AlreadyAMember);
        assert_eq!(world.try_remove(1, 0).unwrap_err(), Error::NotAMember);
        assert_eq!(world.try_remove(1, 1).unwrap_err(), Error::RemovesItself);
        world.check_no_rejections();
    }
}

#[test]
fn joiners_added_concurrently_by_different_members_know_each_other_in_the_end() {
    for variant in ALL {
        let mut world = World::with_group(variant, 3, 6, 2);
        world.add(0, 3);
        world.add(1, 4);
        world.add(2, 5);
        world.settle();
        world.check(&[0, 1, 2, 3, 4, 5]);
        world.check_no_rejections();
    }
}

#[test]
fn a_joiner_added_by_two_members_concurrently_joins_once_and_knows_what_both_knew() {
    for variant in ALL {
        for first in [0, 1] {
            let mut world = World::with_group(variant, 4, 5, 3);
            // Each knows something that the other does not.
            let removal = world.remove(1, 3);
            let mut adds = [world.add(0, 4), world.add(1, 4)];
            adds.rotate_left(first);
            deliver(&mut world, &adds[0], &[4]);
            deliver(&mut world, &adds[1], &[4]);
            deliver(&mut world, &removal, &[3]);
            world.settle();
            world.check(&[0, 1, 2, 4]);
            world.check_no_rejections();
            let added = |event: &&Event| matches!(event, Event::Joined { .. });
            assert_eq!(world.users[4].events.iter().filter(added).count(), 1);
        }
    }
}

#[test]
fn a_joiner_added_by_a_member_that_is_concurrently_removed_is_out_everywhere() {
    for variant in ALL {
        for joiner_first in [false, true] {
            let mut world = World::with_group(variant, 4, 5, 4);
            let removal = world.remove(0, 1);
            let add = world.add(1, 4);
            if joiner_first {
                deliver(&mut world, &add, &[4, 3]);
                world.settle_among(&[3, 4]);
            }
            deliver(&mut world, &removal, &[1, 2, 3]);
            world.settle();
            world.check(&[0, 2, 3]);
            world.check_no_rejections();
        }
    }
}

#[test]
fn a_joiner_added_before_the_adder_was_removed_stays() {
    for variant in ALL {
        let mut world = World::with_group(variant, 4, 5, 5);
        let add = world.add(1, 4);
        deliver(&mut world, &add, &[0]);
        world.remove(0, 1);
        world.settle();
        world.check(&[0, 2, 3, 4]);
        world.check_no_rejections();
    }
}

#[test]
fn two_members_that_remove_each_other_are_both_out() {
    for variant in ALL {
        let mut world = World::with_group(variant, 4, 4, 6);
        world.remove(0, 1);
        world.remove(1, 0);
        world.settle();
        world.check(&[2, 3]);
        world.check_no_rejections();
    }
}

#[test]
fn concurrent_removals_all_take_effect() {
    for variant in ALL {
        let mut world = World::with_group(variant, 5, 5, 7);
        world.remove(0, 3);
        world.remove(1, 4);
        world.remove(2, 3);
        world.settle();
        world.check(&[0, 1, 2]);
        world.check_no_rejections();
    }
}

#[test]
fn a_notice_waits_for_what_its_author_had_delivered() {
    for variant in ALL {
        let mut world = World::with_group(variant, 3, 5, 8);
        let first = world.add(0, 3);
        deliver(&mut world, &first, &[1, 3]);
        let second = world.remove(1, 3);
        deliver(&mut world, &second, &[2]);
        assert_eq!(world.members(2), [0, 1, 2].into());
        assert!(!world.users[2].events.iter().any(|event| matches!(event, Event::Removed { .. })));
        world.restore(2);
        deliver(&mut world, &first, &[2]);
        let of_membership = |event: &&Event| matches!(event, Event::Added { .. } | Event::Removed { .. });
        let events: Vec<_> = world.users[2].events.iter().filter(of_membership).cloned().collect();
        let (user, [by, remover]) = (world.id(3), [0, 1].map(|user| world.id(user)));
        assert_eq!(events, [Event::Added { by, user }, Event::Removed { by: remover, user }]);
        world.settle();
        world.check(&[0, 1, 2]);
    }
}

#[test]
fn a_joiner_receives_from_each_author_the_notices_that_its_adder_did_not_know() {
    for variant in ALL {
        let mut world = World::with_group(variant, 5, 6, 9);
        world.remove(1, 4);
        world.add(0, 5);
        world.settle_among(&[0, 5]);
        assert_eq!(world.members(5), [0, 1, 2, 3, 4, 5].into());
        world.settle();
        world.check(&[0, 1, 2, 3, 5]);
        world.check_no_rejections();
    }
}

#[test]
fn messages_that_arrive_before_the_welcome_wait_for_it() {
    for variant in ALL {
        let mut world = World::with_group(variant, 4, 5, 11);
        let add = world.add(0, 4);
        deliver(&mut world, &add, &[1, 2, 3]);
        world.say(2, "early");
        for place in world.undelivered(4).into_iter().rev() {
            world.deliver(place, 4);
        }
        assert!(world.has_read(4, 2, "early"));
        world.settle();
        world.check(&[0, 1, 2, 3, 4]);
    }
}
