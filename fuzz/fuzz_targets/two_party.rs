//! A two-party channel, 2SM or lean, between two sides, on a network that keeps the order of messages but also brings damaged and repeated ones. When
//! its turn comes, each genuine ciphertext opens to the secret that was sent. Nothing else opens, or changes the state.
//! The number of kept keys is at most one more than that of unacknowledged ciphertexts.

#![no_main]

use std::collections::VecDeque;

use dcgka::fuzzing::Side;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use protocol::crypto::secret::Secret;
use protocol::directory::InMemoryDirectory;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// The first byte of a slot that is encrypted to prekeys. The ephemeral key and the id of the one-time prekey follow.
const PREKEYS: u8 = 1;
/// Bytes before the slot over a lean channel.
const LEAN_HEADER_LEN: usize = 64;

struct End {
    side: Side,
    /// The number of the last message.
    number: u32,
    /// The messages on their way to the other side.
    sent: VecDeque<Sent>,
    unacknowledged: VecDeque<u32>,
    /// The other side's ciphertexts that were opened here, and their numbers.
    opened: Vec<(u32, Vec<u8>)>,
    /// The number of the last ciphertext that was opened here; `None` once it is acknowledged.
    answer: Option<u32>,
}

enum Sent {
    Ciphertext { number: u32, secret: Secret, slot: Vec<u8> },
    Acknowledgement(u32),
}

fuzz_target!(|data: &[u8]| {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let directory = InMemoryDirectory::default();
    let mut input = Input::new(data);
    let (one_time, lean) = (input.below(2), input.below(2) == 1);
    let header_len = if lean { LEAN_HEADER_LEN } else { 0 };
    let mut ends = [0, 1].map(|_| {
        let (side, publication) = Side::new(lean, one_time, &mut rng);
        directory.publish(side.id(), publication.bundle, publication.one_time);
        End {
            side,
            number: 0,
            sent: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            opened: Vec::new(),
            answer: None,
        }
    });
    while !input.is_empty() {
        let action = input.byte();
        let (actor, action) = (usize::from(action & 1), action >> 1);
        let [one, two] = &mut ends;
        let (own, peer) = if actor == 0 { (one, two) } else { (two, one) };
        match action % 7 {
            0 => {
                own.number += 1;
                let secret = Secret::random(&mut rng);
                let slot = own.side.send(&peer.side.id(), own.number, &secret, &directory, &mut rng);
                assert_ne!(slot[header_len..], [0], "a ciphertext is left out");
                own.unacknowledged.push_back(own.number);
                own.sent.push_back(Sent::Ciphertext { number: own.number, secret, slot });
            }
            1 | 2 => deliver(own, peer, &directory),
            3 => {
                if let Some(number) = peer.answer.take() {
                    peer.sent.push_back(Sent::Acknowledgement(number));
                }
            }
            4 => {
                let Some(Sent::Ciphertext { number, slot, .. }) = own.sent.front() else { continue };
                let (mut number, mut damaged) = (*number, slot.clone());
                input.mutate(&mut damaged);
                if damaged == *slot {
                    number = number.wrapping_add(u32::from(input.byte()).max(1));
                }
                refuses(peer, &own.side, number, &damaged, &directory);
            }
            5 => {
                let which = input.below(peer.opened.len().max(1));
                // Without a one-time prekey, a first contact opens again. In the protocol, the numbers of messages
                // prevent that.
                let repeats = |slot: &[u8]| slot[0] == PREKEYS && slot[33..37] == [0; 4];
                let repeats = |carried: &[u8]| repeats(&carried[header_len..]);
                if let Some((number, slot)) = peer.opened.get(which).filter(|(_, slot)| !repeats(slot)).cloned() {
                    refuses(peer, &own.side, number, &slot, &directory);
                }
            }
            _ => {
                let state = own.side.encode();
                own.side = own.side.decode(&state).expect("a state reads what it wrote");
                assert!(own.side.encode() == state, "a state changes when it is written and read");
                let mut damaged = state;
                input.mutate(&mut damaged);
                let _ = own.side.decode(&damaged);
            }
        }
        for end in &ends {
            assert!(end.side.kept() <= end.unacknowledged.len() + 1, "old keys are kept");
        }
    }
    let [one, two] = &mut ends;
    while !one.sent.is_empty() || !two.sent.is_empty() {
        deliver(one, two, &directory);
        deliver(two, one, &directory);
    }
});

/// Brings the oldest message of `from` to the other side.
fn deliver(from: &mut End, to: &mut End, directory: &InMemoryDirectory) {
    match from.sent.pop_front() {
        Some(Sent::Ciphertext { number, secret, slot }) => {
            let opened = to.side.receive(&from.side, number, &slot, directory);
            assert!(opened == Some(secret), "a genuine ciphertext does not open in its turn");
            to.opened.push((number, slot));
            to.answer = Some(number);
        }
        Some(Sent::Acknowledgement(number)) => {
            to.side.acknowledged(number);
            to.unacknowledged.retain(|unacknowledged| *unacknowledged > number);
        }
        None => {}
    }
}

fn refuses(to: &mut End, from: &Side, number: u32, slot: &[u8], directory: &InMemoryDirectory) {
    let before = to.side.encode();
    assert!(to.side.receive(from, number, slot, directory).is_none(), "what was not sent opens");
    assert!(to.side.encode() == before, "what does not open changes the state");
}
