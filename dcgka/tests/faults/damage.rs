//! Bytes that no member has signed, or not in this form.

use std::collections::BTreeSet;

use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::member::{Event, Received};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::World;
use super::malicious::{ACK, ADD, CREATE, Malicious, WELCOME, kind_of};
use super::{fork, live, refused};

/// One bit of every byte, all bits of the envelope's head, every truncation, and a byte too many.
fn damages(genuine: &[u8]) -> Vec<Vec<u8>> {
    let head = Envelope::decode(genuine).unwrap().header.len() + 9;
    let flips = (0..genuine.len()).flat_map(|position| {
        let bits = if position < head { 0..8 } else { position % 8..position % 8 + 1 };
        bits.map(move |bit| {
            let mut damaged = genuine.to_vec();
            damaged[position] ^= 1 << bit;
            damaged
        })
    });
    let truncations = (0..genuine.len()).map(|len| genuine[..len].to_vec());
    let longer = [0, 1].map(|byte| [genuine, &[byte]].concat());
    flips.chain(truncations).chain(longer).collect()
}

/// Carries every damaged form of a message to the user that the message is about to reach.
fn assault(world: &mut World, place: usize, user: usize) {
    let (author, genuine) = (world.sent[place].author, world.sent[place].bytes.clone());
    let pristine = fork(world);
    let mut expected = fork(&pristine);
    let expected = (expected.receive(author, &genuine, user), expected.users[user].member.fingerprints());
    let mut victim = fork(&pristine);
    let before = victim.users[user].member.export();
    for damaged in damages(&genuine) {
        let untouched = victim.users[user].member.export();
        match victim.receive(author, &damaged, user) {
            Err(_) => assert!(victim.users[user].member.export() == untouched),
            Ok(received) => {
                // It waits. By itself it does not change what the genuine message results in.
                assert_eq!(received, Received::default());
                let mut alone = fork(&pristine);
                assert_eq!(alone.receive(author, &damaged, user), Ok(Received::default()));
                let found = (alone.receive(author, &genuine, user), alone.users[user].member.fingerprints());
                assert!(found == expected, "message {place} at user {user}");
            }
        }
    }
    assert!(victim.users[user].member.export().len() >= before.len());
    // With all of them waiting together, everything continues as with a twin that has received none.
    let mut twin = pristine;
    for world in [&mut victim, &mut twin] {
        world.carry(place, user);
        world.settle();
        for member in 0..world.users.len() {
            if world.is_inside(member) {
                world.update(member);
                world.say(member, "afterwards");
                world.settle();
            }
        }
    }
    let sent = |world: &World| world.sent.iter().map(|sent| sent.bytes.clone()).collect::<Vec<_>>();
    assert!(sent(&victim) == sent(&twin), "after damages of message {place} at user {user}");
    for (one, other) in victim.users.iter().zip(&twin.users) {
        assert_eq!(one.events, other.events, "after damages of message {place} at user {user}");
        assert_eq!(one.member.fingerprints(), other.member.fingerprints());
    }
}

#[test]
fn every_byte_of_every_message_type_flipped_and_every_truncation() {
    let mut world = World::new(5, 400);
    let mut seen = BTreeSet::new();
    live(&mut world, &mut |world, place, user| {
        let bytes = &world.sent[place].bytes;
        let forwards = kind_of(bytes) == ACK && !world.body(place).is_empty();
        if seen.insert((kind_of(bytes), forwards, world.is_inside(user))) {
            assault(world, place, user);
        }
    });
    let inside = |kind: u8| seen.contains(&(Kind(kind), false, true));
    assert!([2, 3, 4, 5, 6, 7, 9].into_iter().all(inside), "{seen:?}");
    assert!(seen.contains(&(ACK, true, true)), "{seen:?}");
    assert!([CREATE, ADD, WELCOME].into_iter().all(|kind| seen.contains(&(kind, false, false))), "{seen:?}");
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn a_welcome_damaged_after_its_add_makes_no_group() {
    let mut world = World::with_group(3, 4, 401);
    let add = world.add(0, 3);
    world.settle_among(&[0, 1, 2]);
    world.carry(add[0], 3);
    assault(&mut world, add[1], 3);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn an_add_damaged_after_its_welcome_lets_nobody_in() {
    let mut world = World::with_group(3, 4, 404);
    let add = world.add(0, 3);
    world.settle_among(&[0, 1, 2]);
    world.carry(add[1], 3);
    assert_eq!(kind_of(&world.sent[add[0]].bytes), ADD);
    assault(&mut world, add[0], 3);
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn wrong_claimed_sender() {
    let mut world = World::new(5, 402);
    live(&mut world, &mut |world, place, user| {
        let (author, bytes) = (world.sent[place].author, world.sent[place].bytes.clone());
        for claimed in (0..world.users.len()).filter(|claimed| *claimed != author) {
            if world.users[user].member.group().is_some() && !world.is_inside(user) {
                continue;
            }
            let error = refused(world, claimed, &bytes, user);
            assert!([Error::WrongAuthor, Error::WrongGroup].contains(&error), "{error}");
        }
    });
    // A member that signs for another: with the other's name in the signed text or only on the wire.
    let mallory = Malicious::turn(&mut world, 1);
    let victim = world.id(0);
    let number = Malicious::rob(&world, 0).number + 1;
    for (sender, handle) in [(victim, victim), (mallory.id, victim), (victim, mallory.id)] {
        let draft = Draft { sender, number, ..mallory.draft(super::malicious::MESSAGE, b"in your name") };
        let (bytes, _) = draft.sign(&world.group, handle.handle(), None, &mallory.key);
        let as_victim = if handle == victim { Error::NotAuthentic } else { Error::WrongAuthor };
        assert_eq!(refused(&mut world, 0, &bytes, 2), as_victim);
        if handle == victim {
            assert_eq!(refused(&mut world, 1, &bytes, 2), Error::WrongAuthor);
        }
    }
    world.users[1].online = true;
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn forged_messages_that_fill_the_queue() {
    let mut world = World::with_group(3, 4, 403);
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(2));
    let flood = |world: &mut World, author: usize| {
        // As much as fits, in ever smaller pieces, then as many as fit.
        let sizes = [(1 << 20) - 200, 1000, 100, 1].into_iter().flat_map(|size| [size; 20]);
        let mut refusals = 0;
        for (number, size) in sizes.chain([0; 1100]).enumerate() {
            let (number, body) = (u32::MAX - u32::try_from(number).unwrap(), vec![0; size]);
            let sender = world.id(author);
            let draft = Draft { kind: Kind(9), sender, number, subject: Subject::None, new_key: None, body: &body };
            let (bytes, _) = draft.sign(&world.group, sender.handle(), None, &key);
            match world.receive(author, &bytes, 2) {
                Ok(received) => assert_eq!(received, Received::default()),
                Err(error) => {
                    assert_eq!(error, Error::QueueFull);
                    refusals += 1;
                }
            }
        }
        assert!(refusals > 0);
        assert!(world.users[2].member.export().len() < 17 << 20, "what waits is bounded");
    };
    // In the name of a member and of a user that is not one yet.
    flood(&mut world, 1);
    flood(&mut world, 3);
    world.update(1);
    world.settle();
    world.check(&[0, 1, 2]);
    world.add(0, 3);
    world.settle();
    world.check(&[0, 1, 2, 3]);
    let quiet = |event: &Event| !matches!(event, Event::Rejected { .. } | Event::Equivocation { .. });
    assert!(world.users[2].events.iter().all(quiet));
}
