//! The bytes of every kind of message, and of the whole life of a group, from fixed seeds. If they change, the wire
//! format or the use of randomness has changed. If that is intended, replace the vectors by what the failure prints,
//! and consider a new version in the envelope.

mod common;

use std::fmt::Write as _;

use common::World;
use protocol::crypto::hash;

const VECTORS: &str = include_str!("vectors/messages.txt");
const LIFE: &str = "7150e4694bbec5da9557c1c4b236da40d3edf7822f79db3b9b9865ef7343ccd6";

/// Three members: one adds a fourth while another updates, and later removes that other while it updates.
fn messages() -> String {
    let mut world = World::with_group(3, 4, 7);
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
    let messages = messages();
    for kind in 1..=9 {
        let found = messages.lines().any(|line| {
            let byte = line.split_once(' ').map(|(_, hex)| u8::from_str_radix(&hex[2..4], 16).unwrap());
            byte.is_some_and(|byte| byte & 0x1f == kind)
        });
        assert!(found, "no message of kind {kind}");
    }
    assert!(messages == VECTORS, "the messages are now:\n{messages}");
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
