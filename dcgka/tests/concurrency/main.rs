//! Named scenarios: several members act concurrently, or messages arrive late, early or again. Each runs in every order
//! of arrival that makes a difference.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
pub(crate) mod common;

mod adds;
mod attacker;
mod delivery;
mod joining;
mod partitions;
mod removes;
mod updates;

use common::World;
use dcgka::Dcgka;
use protocol::crypto::signature::SigningKey;
use protocol::member::{Backend as _, Event};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What the users of a test follow unless it says otherwise. `tests/lean.rs` has another one.
#[allow(dead_code, reason = "only the root of the crate counts")]
const VARIANT: Dcgka = Dcgka::CORRECTED;

/// What a user has seen happen to the group: by whom, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Joined(usize),
    Added(usize, usize),
    Removed(usize, usize),
    Updated(usize),
}

/// A settled group. The events of its creation are cleared.
fn group(members: usize, users: usize, seed: u64) -> World {
    let mut world = World::with_group(members, users, seed);
    world.users.iter_mut().for_each(|user| user.events.clear());
    world
}

/// Two series of messages, in the other order at every second turn.
fn either<'a>(turn: usize, one: &'a [usize], other: &'a [usize]) -> [&'a [usize]; 2] {
    if turn.is_multiple_of(2) { [one, other] } else { [other, one] }
}

/// All changes that a user has seen, sorted.
fn changes(world: &World, user: usize) -> Vec<Change> {
    let change = |event: &Event| match event {
        Event::Joined { inviter } => Some(Change::Joined(world.index(inviter))),
        Event::Added { by, user } => Some(Change::Added(world.index(by), world.index(user))),
        Event::Removed { by, user } => Some(Change::Removed(world.index(by), world.index(user))),
        Event::Updated { by } => Some(Change::Updated(world.index(by))),
        _ => None,
    };
    let mut changes: Vec<_> = world.users[user].events.iter().filter_map(change).collect();
    changes.sort_unstable();
    changes
}

/// Checks that each of these users has seen these changes and no other.
#[track_caller]
fn have_seen(world: &World, users: &[usize], expected: &[Change]) {
    for user in users {
        assert_eq!(changes(world, *user), expected, "as user {user} sees it");
    }
}

/// Lets everything arrive. Checks that nothing is refused, that exactly these members are left, and that they and
/// nobody else read each other.
#[track_caller]
fn ends_with(world: &mut World, members: &[usize]) {
    world.settle();
    for user in 0..world.users.len() {
        for event in &world.users[user].events {
            let fine =
                !matches!(event, Event::Rejected { .. } | Event::Equivocation { .. } | Event::Inconsistent { .. });
            assert!(fine, "{event:?} at user {user}");
        }
        assert_eq!(world.is_inside(user), members.contains(&user), "user {user}");
    }
    world.check(members);
}

/// The identity key of a user, generated again as the world has generated it. It signs until the user announces a new
/// key.
pub(crate) fn identity_key(world: &World, user: usize, seed: u64) -> SigningKey {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    for _ in 0..user {
        crate::VARIANT.new_user(64, &mut rng);
    }
    let key = SigningKey::random(&mut rng);
    assert_eq!(*key.verification_key().as_bytes(), world.id(user).0);
    key
}
