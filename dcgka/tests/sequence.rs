//! One control message after the other.

mod common;

use common::World;
use dcgka::Dcgka;
use protocol::member::Backend as _;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

#[test]
fn a_group_lives() {
    let mut world = World::with_group(5, 8, 1);
    world.check(&[0, 1, 2, 3, 4]);
    world.update(0);
    world.settle();
    world.check(&[0, 1, 2, 3, 4]);
    world.add(1, 5);
    world.settle();
    world.check(&[0, 1, 2, 3, 4, 5]);
    world.remove(5, 0);
    world.settle();
    world.check(&[1, 2, 3, 4, 5]);
    world.update(3);
    world.settle();
    world.add(3, 6);
    world.settle();
    world.add(6, 7);
    world.settle();
    world.check(&[1, 2, 3, 4, 5, 6, 7]);
    world.remove(7, 3);
    world.settle();
    world.check(&[1, 2, 4, 5, 6, 7]);
}

#[test]
fn an_exported_member_continues_where_it_was_at_every_step() {
    let mut world = World::new(4, 2);
    let restart = |world: &mut World| {
        for user in &mut world.users {
            let state = user.member.export();
            user.member = Dcgka::CORRECTED.restore(&state).unwrap();
            assert_eq!(user.member.export(), state);
        }
    };
    restart(&mut world);
    world.create(0, &[1, 2]);
    for step in 0..6 {
        loop {
            let before = world.sent.len();
            for user in 0..4 {
                // Also between any two messages.
                for place in 0..world.sent.len() {
                    if world.is_for(place, user) && !world.users[user].received.contains(&place) {
                        world.carry(place, user);
                        restart(&mut world);
                    }
                }
            }
            if world.sent.len() == before {
                break;
            }
        }
        match step {
            0 => world.update(1),
            1 => world.add(2, 3),
            2 => world.remove(0, 1),
            3 => world.say(3, "here"),
            _ => world.update(0),
        };
        restart(&mut world);
    }
    world.settle();
    world.check(&[0, 2, 3]);
    assert!(Dcgka::CORRECTED.restore(&[]).is_err());
}

#[test]
fn an_add_after_everybody_has_a_new_key_stays_below_its_limit() {
    // A quarter of 128 members and of their 46,000 bytes, of which 4,096 are commitments: the add's cost is linear, but that of everybody's updates
    // before it is quadratic.
    let members = 32;
    let mut world = World::with_group(members, members + 1, 3);
    for user in 0..members {
        world.update(user);
    }
    world.settle();
    let before = world.sent.len();
    world.add(5, members);
    world.settle();
    let bytes: usize = world.sent[before..].iter().map(|sent| sent.bytes.len()).sum();
    assert!(bytes <= 46_000 / 4, "{bytes} bytes");
}
