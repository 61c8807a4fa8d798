//! The bytes of every kind of message, and of the whole life of a group, from fixed seeds. If they change, the wire
//! format or the use of randomness has changed. If that is intended, replace the vectors by what the failure prints,
//! and consider a new version in the envelope.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fmt::Write as _;

use common::World;
use dcgka::Dcgka;
use protocol::crypto::hash;
use protocol::directory::Directory as _;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

const VECTORS: [(Dcgka, &str, u8); 2] = [
    (Dcgka::CORRECTED, include_str!("vectors/messages.txt"), 10),
    (Dcgka::LEAN, include_str!("vectors/messages-lean.txt"), 15),
];
const LIFE: &str = "20236b157628c18671a9c1b358d59103f075b0fe5c2bfbb3ecc4c8a3442b94b4";

/// Three members: one adds a fourth while another updates, and later removes that other while it updates. The directory
/// hands out a prekey of the fourth twice, so that it asks that other for its ratchet.
fn messages(variant: Dcgka) -> String {
    let mut world = World::with_group_of(variant, 3, 4, 7);
    let (joiner, bundle) = (world.id(3), world.directory.bundle(&world.id(3)).unwrap());
    let prekey = world.directory.one_time(&joiner).unwrap();
    world.directory.publish(joiner, bundle, vec![prekey.clone(), prekey]);
    world.update(1);
    world.add(0, 3);
    world.settle();
    world.say(2, "golden");
    world.settle();
    world.remove(0, 1);
    world.update(1);
    world.settle();
    let mut lines = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for sent in &world.sent {
        // Acknowledgements with and without forwards are of one kind.
        if seen.insert((sent.bytes[1], sent.bytes.len())) {
            let hex = sent.bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            let _ = writeln!(lines, "{} {hex}", sent.kind);
        }
    }
    lines
}

#[test]
fn every_kind_of_message_has_its_golden_bytes() {
    for (variant, vectors, last_kind) in VECTORS {
        let messages = messages(variant);
        for kind in (1..=10).chain([last_kind]) {
            let found = messages.lines().any(|line| {
                let byte = line.split_once(' ').map(|(_, hex)| u8::from_str_radix(&hex[2..4], 16).unwrap());
                byte.is_some_and(|byte| byte & 0x0f == kind)
            });
            assert!(found, "no message of kind {kind}");
        }
        assert!(messages == vectors, "the messages are now:\n{messages}");
    }
}

#[test]
fn a_whole_group_life_has_its_golden_hash() {
    let mut world = World::with_group(4, 5, 8);
    world.add(1, 4);
    world.settle();
    world.update(4);
    world.settle();
    world.remove(2, 0);
    world.settle();
    world.say(3, "still here");
    world.settle();
    let bytes: Vec<&[u8]> = world.sent.iter().map(|sent| sent.bytes.as_slice()).collect();
    let life = hash::hash(b"golden life", &bytes).0.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    assert_eq!(life, LIFE, "after {} messages", bytes.len());
}
