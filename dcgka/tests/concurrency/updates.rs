//! Updates concurrent with each other and with an add.

use super::Change::{Added, Joined, Updated};
use super::common::{carry, says_none, slots};
use super::{either, ends_with, group, have_seen};

#[test]
fn update_concurrent_with_add() {
    for turns in 0..8 {
        let mut world = group(4, 5, 100 + turns as u64);
        let update = world.update(1);
        let add = world.add(0, 4);
        for (user, turn) in [(2, turns), (3, turns / 2)] {
            let answers = carry(&mut world, &either(turn, &update, &add), &[user]);
            assert_eq!(answers.len(), 2);
            let ack = answers[turn % 2];
            let forwarded = world.body(ack).len();
            assert_eq!(
                forwarded,
                if turn % 2 == 1 { 8 + slots(0, 1) } else { 0 },
                "the secret of the update is forwarded"
            );
        }
        carry(&mut world, &either(turns / 4, &update, &add), &[4]);
        ends_with(&mut world, &[0, 1, 2, 3, 4]);
        have_seen(&world, &[2, 3], &[Added(0, 4), Updated(1)]);
        have_seen(&world, &[4], &[Joined(0), Updated(1)]);
    }
}

#[test]
fn k_concurrent_updates_for_k_from_2_to_n() {
    for count in 2..=5 {
        for turn in 0..count {
            let mut world = group(5, 5, 110 + count as u64);
            let before = world.users[4].member.fingerprints().unwrap();
            for user in 0..count {
                world.update(user);
            }
            for user in 0..5 {
                let mut waiting = world.in_transit(user);
                let all = waiting.len();
                waiting.rotate_left((turn * user) % all);
                if turn % 2 == 1 {
                    waiting.reverse();
                }
                carry(&mut world, &[&waiting], &[user]);
            }
            ends_with(&mut world, &[0, 1, 2, 3, 4]);
            let after = world.users[4].member.fingerprints().unwrap();
            assert!(before.iter().all(|print| !after.contains(print)));
            for user in 0..5 {
                let others: Vec<_> = (0..count).filter(|other| *other != user).map(Updated).collect();
                have_seen(&world, &[user], &others);
            }
        }
    }
}

#[test]
fn crossing_first_messages() {
    for turn in 0..2 {
        let mut world = group(4, 5, 120);
        // Users 1 and 2 have a channel to the creator only. One of them sends twice before it receives anything from
        // the other.
        let (one, other) = (world.update(1), [world.update(2), world.update(2)].concat());
        for (place, len) in [(one[0], slots(2, 1)), (other[0], slots(2, 1)), (other[1], slots(0, 3))] {
            assert_eq!(world.body(place).len(), len);
        }
        let mut answers = carry(&mut world, &[&other], &[1]);
        answers.extend(carry(&mut world, &[&one], &[2]));
        answers.extend(carry(&mut world, &either(turn, &one, &other), &[0]));
        answers.extend(carry(&mut world, &either(turn + 1, &one, &other), &[3]));
        assert!(answers.iter().all(|place| !says_none(&world, *place)), "every ciphertext opens");
        world.settle();
        // The channel is warm at both ends, and its messages continue to cross.
        for _ in 0..3 {
            let crossing = [world.update(1), world.update(2)].concat();
            for place in &crossing {
                assert_eq!(world.body(*place).len(), slots(0, 3));
            }
            let answers = carry(&mut world, &either(turn, &crossing[..1], &crossing[1..]), &[0, 1, 2, 3]);
            assert!(answers.iter().all(|place| !says_none(&world, *place)));
            world.settle();
        }
        // The same with a joiner, which updates while everybody answers its add.
        let add = world.add(0, 4);
        carry(&mut world, &[&add], &[4]);
        let update = world.update(4);
        let answers = carry(&mut world, &either(turn, &add, &update), &[1, 2, 3]);
        assert!(answers.iter().all(|place| !says_none(&world, *place)));
        ends_with(&mut world, &[0, 1, 2, 3, 4]);
    }
}
