//! What forged acknowledgements do not prevent: in the end, everybody follows everybody.

use protocol::crypto::secret::Secret;
use protocol::error::Error;

use super::concurrency::common::{World, carry};
use super::tagged_acks::{forge, group, is_tagged, number};

/// Carries everything to everybody, and what finds no room again and again. Returns what is refused in the end.
fn settle(world: &mut World) -> Vec<(usize, usize, Error)> {
    let mut refused = Vec::new();
    for _ in 0..10 {
        let again: Vec<_> = core::mem::take(&mut refused);
        for (place, user, _) in again {
            if let (Err(error), _) = world.try_carry(place, user) {
                refused.push((place, user, error));
            }
        }
        loop {
            let before = world.sent.len();
            for user in 0..world.users.len() {
                for place in world.in_transit(user) {
                    match world.try_carry(place, user).0 {
                        Ok(received) => world.users[user].events.extend(received.events),
                        Err(error) => refused.push((place, user, error)),
                    }
                }
            }
            if world.sent.len() == before {
                break;
            }
        }
    }
    refused
}

/// An outsider fills the queue of a joiner with forgeries under far numbers.
#[test]
fn forgeries_under_far_numbers_do_not_keep_a_joiner_from_following() {
    let mut world = group(4, 5, 921);
    let update = world.update(0);
    let acks = carry(&mut world, &[&update], &[1, 2]);
    let add = world.add(2, 4);
    carry(&mut world, &[&add], &[4]);
    for index in 0..1024 {
        let bytes = forge(&world, world.id(1), number(&world, acks[0]) + 1000 + index, (0, 1), &Secret::new([0; 32]));
        let received = world.receive(1, &bytes, 4).map(|received| received.events);
        assert_eq!(received, if index < 64 { Ok(Vec::new()) } else { Err(Error::QueueFull) });
    }
    settle(&mut world);
    world.say(1, "hello");
    world.update(1);
    settle(&mut world);
    assert!(world.has_read(4, 1, "hello"));
}

/// A forged acknowledgement is refused when the user becomes known whom the author's next signed message names.
#[test]
fn a_refused_acknowledgement_does_not_hide_what_a_new_user_makes_known() {
    for hostile in [false, true] {
        let mut world = group(4, 7, 923);
        // Users 0, 1 and 3 know users 5 and 6. User 2 does not, and adds user 4. User 5 does not know user 6.
        let add5 = world.add(3, 5);
        let joins5 = carry(&mut world, &[&add5], &[5]);
        let mut zero = carry(&mut world, &[&add5, &joins5], &[0]);
        let mut one = carry(&mut world, &[&add5, &joins5], &[1]);
        let three = carry(&mut world, &[&joins5, &zero, &one], &[3]);
        carry(&mut world, &[&zero, &one, &three], &[5]);
        let add6 = world.add(0, 6);
        zero.extend(&add6);
        let joins6 = carry(&mut world, &[&add6], &[6]);
        zero.extend(carry(&mut world, &[&joins6], &[0]));
        one.extend(carry(&mut world, &[&zero, &joins6], &[1]));
        // What the joiner cannot check.
        let update = world.update(0);
        zero.extend(&update);
        let genuine = carry(&mut world, &[&update], &[1]);
        assert!(genuine.len() == 1 && is_tagged(&world, genuine[0]), "{:?}", world.kinds(&genuine));
        // An update whose author does not know user 6: user 1 forwards, and signs.
        let five = world.update(5);
        let signed = carry(&mut world, &[&five], &[1]);
        assert!(signed.len() == 1 && !is_tagged(&world, signed[0]));
        let add4 = world.add(2, 4);
        carry(&mut world, &[&add4], &[4]);
        zero.extend(carry(&mut world, &[&add4], &[0]));
        let next = world.update(0);
        zero.extend(&next);
        // All of this waits for the add of user 5.
        carry(&mut world, &[&one, &signed, &zero], &[4]);
        if hostile {
            let name = (0, number(&world, next[0]));
            let forged = forge(&world, world.id(1), number(&world, genuine[0]), name, &Secret::new([0; 32]));
            assert_eq!(world.receive(1, &forged, 4).unwrap().events, []);
        }
        carry(&mut world, &[&add5], &[4]);
        carry(&mut world, &[&genuine], &[4]);
        assert_eq!(settle(&mut world), []);
        world.say(1, "hello");
        world.update(1);
        assert_eq!(settle(&mut world), []);
        assert!(world.has_read(3, 1, "hello"));
        let delivered = |world: &World, user: usize| world.users[user].member.delivered().unwrap();
        assert_eq!(delivered(&world, 4), delivered(&world, 3), "hostile: {hostile}");
    }
}

/// One forged acknowledgement under the number of an ADD-ACK, at the joiner, which gets the author's next signed message
/// first.
#[test]
fn a_forgery_under_the_number_of_an_add_ack_does_not_hide_it() {
    for hostile in [false, true] {
        let mut world = group(4, 5, 926);
        let update = world.update(0);
        let first = carry(&mut world, &[&update], &[1, 2]);
        let add = world.add(2, 4);
        let joins = carry(&mut world, &[&add], &[4]);
        let answer = carry(&mut world, &[&first[1..], &add, &joins], &[1]);
        let zero = carry(&mut world, &[&first, &add, &joins, &answer], &[0]);
        let next = world.update(0);
        let third = carry(&mut world, &[&zero, &next], &[1]);
        let fourth = world.say(1, "hello");
        assert!(is_tagged(&world, third[0]) && number(&world, third[0]) == number(&world, answer[0]) + 1);
        if hostile {
            let bytes = forge(&world, world.id(1), number(&world, answer[0]), (0, 1), &Secret::new([0; 32]));
            assert_eq!(world.receive(1, &bytes, 4).unwrap().events, []);
        }
        carry(&mut world, &[&first, &zero, &next, &third, &fourth, &answer], &[4]);
        assert_eq!(settle(&mut world), []);
        world.say(1, "hello again");
        assert_eq!(settle(&mut world), []);
        assert!(world.has_read(4, 1, "hello again"), "hostile: {hostile}");
    }
}
