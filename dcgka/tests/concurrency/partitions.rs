//! Halves of a group that continue by themselves.

use super::common::{World, carry};
use super::{ends_with, group};

#[test]
fn long_partition_with_both_halves_changing_membership_then_healing() {
    for turn in 0..3 {
        let mut world = group(7, 11, 390);
        let (left, right) = ([0, 1, 2, 3, 7, 8], [4, 5, 6, 9, 10]);
        let texts: Vec<_> = (0..3).map(|phase| format!("phase {phase}")).collect();
        for (phase, text) in texts.iter().enumerate() {
            match phase {
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
        assert_eq!(world.members(2), [0, 1, 2, 4, 6, 7, 8]);
        assert_eq!(world.members(10), [0, 2, 3, 4, 5, 9, 10]);
        heal(&mut world, turn);
        ends_with(&mut world, &[0, 2, 4, 7, 8, 9, 10]);
        assert!(texts.iter().all(|text| world.has_read(0, 4, text) && world.has_read(4, 2, text)));
    }
}

/// Waiting messages arrive as they were sent, or backwards, or backwards at every other user.
fn heal(world: &mut World, turn: usize) {
    for user in 0..world.users.len() {
        let mut waiting = world.in_transit(user);
        if turn == 1 || (turn == 2 && user % 2 == 1) {
            waiting.reverse();
        }
        carry(world, &[&waiting], &[user]);
    }
}
