//! What the variant without the corrections sends, and that it works.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{COMMITMENT, World, rejections};
use dcgka::Dcgka;
use protocol::error::Error;
use protocol::member::Backend as _;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

#[test]
fn messages_with_a_secret_are_shorter_by_the_commitment_at_every_size() {
    for members in [2, 3, 8, 33] {
        let sizes = |variant| {
            let mut world = World::with_group_of(variant, members, members + 1, 500);
            world.update(1);
            world.settle();
            world.add(0, members);
            world.settle();
            world.remove(0, members);
            world.settle();
            world.sent.iter().map(|sent| (sent.kind, sent.bytes.len())).collect::<Vec<_>>()
        };
        let (corrected, published) = (sizes(Dcgka::CORRECTED), sizes(Dcgka::PUBLISHED));
        assert_eq!(corrected.len(), published.len());
        for ((kind, longer), (same, shorter)) in corrected.into_iter().zip(published) {
            let commits = ["create", "update", "remove", "add", "add-ack"].contains(&kind);
            let commitment = if commits { COMMITMENT } else { 0 };
            assert_eq!((kind, longer), (same, shorter + commitment), "at {members} members");
        }
    }
}

#[test]
fn a_group_works_as_published_too() {
    let mut world = World::with_group_of(Dcgka::PUBLISHED, 5, 7, 501);
    world.check(&[0, 1, 2, 3, 4]);
    world.update(3);
    world.add(1, 5);
    world.settle();
    world.check(&[0, 1, 2, 3, 4, 5]);
    world.remove(5, 0);
    world.update(2);
    world.settle();
    world.add(5, 6);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_member_continues_under_its_own_rules_alone() {
    for (own, other) in [(Dcgka::CORRECTED, Dcgka::PUBLISHED), (Dcgka::PUBLISHED, Dcgka::CORRECTED)] {
        let mut world = World::with_group_of(own, 2, 3, 502);
        world.remove(0, 1);
        world.settle();
        // One in a group, one removed, and one in no group.
        for user in &world.users {
            let state = user.member.export();
            assert_eq!(own.restore(&state).unwrap().export(), state);
            assert_eq!(other.restore(&state).err(), Some(Error::BadExport));
        }
    }
}
