//! What a member must tolerate: messages that are damaged, forged, lost, replayed or against the rules, and members
//! that restart. Each test is one scenario, and has its name.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "tests")]

mod authors;
mod channels;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod floods;
mod groups;
mod limits;
mod malicious;
mod outages;
mod points;
mod prekeys;
mod restarts;
mod thieves;

use std::collections::BTreeSet;

use common::{User, World, carry, says_none};
use dcgka::Dcgka;
use protocol::error::Error;
use protocol::member::{Backend as _, Event, Rule};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// What the users of a test follow unless it says otherwise. `tests/lean.rs` has another one.
#[allow(dead_code, reason = "only the root of the crate counts")]
const VARIANT: Dcgka = Dcgka::CORRECTED;

/// Encodings that are no verification key: a point of small order, one that is not canonical, and no point at all.
const BAD_VERIFICATION_KEYS: [[u8; 32]; 3] = {
    let (mut small, mut not_canonical, mut off_curve) = ([0; 32], [0xff; 32], [0; 32]);
    small[0] = 1;
    not_canonical[0] = 0xf0;
    not_canonical[31] = 0x7f;
    off_curve[0] = 2;
    [small, not_canonical, off_curve]
};

/// X25519 keys with which every agreement results in zero.
const SMALL_ORDER_KEYS: [[u8; 32]; 3] = {
    let (zero, mut one, mut prime) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    prime[0] = 0xed;
    prime[31] = 0x7f;
    [zero, one, prime]
};

/// Who has read whom, as (sender, reader).
type Readings = BTreeSet<(usize, usize)>;

/// Lets each of these say something, one after the other, and returns which of them have read it.
fn readings(world: &mut World, users: &[usize]) -> Readings {
    let mut readings = Readings::new();
    for sender in users {
        let text = format!("from {sender} after {}", world.sent.len());
        world.say(*sender, &text);
        world.settle();
        readings
            .extend(users.iter().filter(|user| world.has_read(**user, *sender, &text)).map(|user| (*sender, *user)));
    }
    readings
}

/// All pairs of these users except the lost ones.
fn all_but(users: &[usize], lost: &[(usize, usize)]) -> Readings {
    let pairs = users.iter().flat_map(|one| users.iter().map(|other| (*one, *other)));
    pairs.filter(|pair| pair.0 != pair.1 && !lost.contains(pair)).collect()
}

/// An independent copy of everything.
fn fork(world: &World) -> World {
    let users = world.users.iter().map(|user| User {
        id: user.id,
        member: user.member.duplicate(),
        rng: user.rng.clone(),
        online: user.online,
        received: user.received.clone(),
        events: user.events.clone(),
    });
    World { users: users.collect(), directory: world.directory.clone(), sent: world.sent.clone(), group: world.group }
}

/// Gives users other randomness than the seed with which the world was made.
fn reseed(world: &mut World, seed: u64) {
    for (number, user) in world.users.iter_mut().enumerate() {
        user.rng = ChaCha20Rng::seed_from_u64(seed << 32 | number as u64);
    }
}

/// Restarts a user's device from its export.
fn restart(world: &mut World, user: usize) {
    let state = world.users[user].member.export();
    restore(world, user, &state);
    assert!(world.users[user].member.export() == state);
}

fn restore(world: &mut World, user: usize, state: &[u8]) {
    world.users[user].member = crate::VARIANT.restore(state).unwrap();
}

/// Carries bytes to a user, which must refuse them and stay as it was.
#[track_caller]
fn refused(world: &mut World, author: usize, bytes: &[u8], to: usize) -> Error {
    let before = world.users[to].member.export();
    let error = world.receive(author, bytes, to).unwrap_err();
    assert!(world.users[to].member.export() == before, "{error} has changed something");
    error
}

/// Carries a message to a user, which must reject it by this rule and do nothing else.
#[track_caller]
fn rejected(world: &mut World, place: usize, to: usize, rule: Rule) {
    let from = world.id(world.sent[place].author);
    let (received, sent) = world.try_carry(place, to);
    assert_eq!(received.unwrap().events, [Event::Rejected { from, rule }]);
    assert!(sent.is_empty());
}

/// Which of these users say `none` to a message.
fn nones(world: &mut World, place: usize, users: &[usize]) -> Vec<usize> {
    let says_none = |user: &&usize| {
        let answers = carry(world, &[&[place]], &[**user]);
        assert_eq!(answers.len(), 1);
        says_none(world, answers[0])
    };
    users.iter().filter(says_none).copied().collect()
}

/// Carries everything to everybody, and calls `look` before each message reaches a user.
fn settle_with(world: &mut World, look: &mut dyn FnMut(&mut World, usize, usize)) {
    loop {
        let before = world.sent.len();
        for user in 0..world.users.len() {
            for place in world.in_transit(user) {
                look(world, place, user);
                world.carry(place, user);
            }
        }
        if world.sent.len() == before {
            break;
        }
    }
}

/// The life of a group of five users, of whom one joins late and one leaves, in which every kind of message occurs.
fn live(world: &mut World, look: &mut dyn FnMut(&mut World, usize, usize)) {
    world.create(0, &[1, 2, 3]);
    settle_with(world, look);
    // A member that processes the add first forwards its secret of the update to the joiner.
    world.add(0, 4);
    world.update(1);
    settle_with(world, look);
    world.say(2, "in the middle");
    settle_with(world, look);
    // A member that processes the remove first takes nothing from the update.
    world.remove(0, 3);
    world.update(3);
    settle_with(world, look);
    world.update(4);
    world.say(4, "in the end");
    settle_with(world, look);
}
