//! Exports that somebody has tampered with: they are refused, or result in a member whose calls may fail but do no
//! harm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{ALL, EAGER, HEADER, LAZY, PCS, Variant, World};
use protocol::crypto::count::snapshot;
use protocol::error::Error;
use protocol::member::{Context, Incoming, Received};

/// A group with skipped and parked messages, a waiting notice, and a session initiated from both sides.
fn busy(variant: Variant) -> World {
    let mut world = World::with_group(variant, 4, 6, 1);
    world.say(1, "crossing");
    world.say(2, "crossing");
    world.settle();
    world.check(&[0, 1, 2, 3]);
    let add = world.add(2, 4);
    for place in add {
        if world.sent[place].to.contains(&0) {
            world.deliver(place, 0);
        }
    }
    let removal = world.remove(0, 3);
    let said: Vec<_> = (0..3).flat_map(|_| world.say(0, "skipped")).collect();
    for place in [removal, said].concat() {
        if world.sent[place].to.contains(&1) && place % 2 == 0 {
            world.deliver(place, 1);
        }
    }
    world
}

/// Returns whether the export can be restored. If it can, no call of the member panics.
fn drive(world: &World, export: &[u8]) -> bool {
    let Ok(member) = world.variant.restore(export) else { return false };
    let mut rng = world.users[1].rng.clone();
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let (joiner, removed) = (world.id(5), world.id(2));
    let _ = (member.export(), member.members(), member.fingerprints());
    let _ = member.duplicate().send(b"text", &mut context);
    let _ = member.duplicate().add(&joiner, &mut context);
    let _ = member.duplicate().remove(&removed, &mut context);
    let _ = member.duplicate().update(&mut context);
    let mut receiver = member.duplicate();
    for place in world.undelivered(1) {
        let sent = &world.sent[place];
        let author = world.id(sent.author);
        let _ = receiver.receive_one(&Incoming { group: world.group, author, bytes: &sent.bytes }, &mut context);
    }
    true
}

#[test]
fn an_export_that_was_tampered_with_does_no_harm() {
    for variant in ALL {
        let world = busy(variant);
        let export = world.users[1].member.export();
        assert!(drive(&world, &export));
        for position in 0..export.len() {
            assert_eq!(variant.restore(&export[..position]).err(), Some(Error::BadExport), "cut at {position}");
            let mut damaged = export.clone();
            // The largest number in a varint.
            let end = (position + 5).min(export.len());
            damaged[position..end].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f][..end - position]);
            let _ = variant.restore(&damaged);
            if position % 11 == 0 {
                for byte in [export[position] ^ 1, export[position].wrapping_add(3), 0xff] {
                    damaged.clone_from(&export);
                    damaged[position] = byte;
                    drive(&world, &damaged);
                }
            }
        }
    }
}

#[test]
fn an_export_of_another_user_or_protocol_is_refused() {
    for variant in ALL {
        let mut world = World::with_group(variant, 2, 3, 2);
        world.check(&[0, 1]);
        let export = world.users[1].member.export();
        for other in ALL {
            let same = other.description() == variant.description();
            assert_eq!(other.restore(&export).is_ok(), same);
        }
        // The identity of somebody who is not in the group.
        let stranger = world.users[2].member.export();
        let spliced = [&export[..3], &stranger[3..35], &export[35..]].concat();
        assert_eq!(variant.restore(&spliced).err(), Some(Error::BadExport));
        assert_eq!(variant.restore(&[&export[..], &[0]].concat()).err(), Some(Error::BadExport));
    }
}

#[test]
fn a_key_that_arrives_costs_no_more_if_forged_messages_of_others_wait() {
    const FORGED: u32 = 256;
    for variant in [EAGER, LAZY, PCS] {
        let envelopes = [0, FORGED].map(|forged| {
            let mut world = World::with_group(variant, 6, 7, 2);
            world.check(&[0, 1, 2, 3, 4, 5]);
            let said = world.say(2, "like the forged ones");
            let genuine = world.sent[*said.last().unwrap()].bytes.clone();
            for (author, number) in (2..5).flat_map(|author| (0..forged).map(move |number| (author, number))) {
                let id = world.id(author);
                let mut bytes = genuine.clone();
                bytes[2..10].copy_from_slice(&id.handle().0);
                // A number that it has not used, a key's id, and the end of the signature.
                bytes[HEADER - 1] = 0x7f;
                bytes[HEADER..HEADER + 4].copy_from_slice(&0x7000_0000_u32.to_be_bytes());
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&number.to_be_bytes());
                assert_eq!(world.receive(author, &bytes, 1), Ok(Received::default()));
            }
            // Everybody sends a new key, with the next message at the latest.
            world.remove(0, 5);
            world.settle_among(&[0, 2, 3, 4]);
            for user in [0, 2, 3, 4] {
                world.say(user, "under a new key");
            }
            let before = snapshot();
            for place in world.undelivered(1) {
                world.deliver(place, 1);
            }
            (snapshot() - before).envelopes
        });
        // Each waiting message is tried once, when a key of its author arrives.
        assert_eq!(envelopes[1] - envelopes[0], 3 * u64::from(FORGED), "{}", variant.description().variant);
    }
}
