//! The state as bytes: what waits goes with it, nothing is kept of what is gone, and each state has one form.

use protocol::causal_order::{CausalOrder, MAX_STRANGERS, MAX_WAITING_PER_AUTHOR, Receipt};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{Draft, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{Author, GROUP, KIND, delivered, encode, order_of, receive};

fn restore(state: &[u8]) -> Result<CausalOrder, Error> {
    let mut reader = Reader::new(state);
    let order = CausalOrder::decode(&mut reader)?;
    reader.finish().map(|()| order)
}

/// With messages of all kinds, verified and waiting.
fn varied() -> CausalOrder {
    let [mut alice, mut bob, mut carol, dave] = [1, 2, 4, 5].map(Author::new);
    let mut order = order_of(&[&alice, &bob, &carol]);
    let messages = [
        (alice.id, alice.send(b"first")),
        (alice.id, alice.sign(3, Subject::Member(dave.id), None, b"later")),
        (alice.id, alice.forger().sign(3, Subject::None, Some(&dave.key), b"forged")),
        (bob.id, bob.acknowledge(&carol, 2)),
        (bob.id, bob.sign(2, Subject::Member(alice.id), Some(&dave.key), b"")),
        (carol.id, carol.acknowledge(&dave, 1)),
        (dave.id, dave.sign(2, Subject::None, None, b"from a stranger")),
        (dave.id, dave.sign(1, Subject::Acknowledged(alice.id, 1), None, b"from a stranger")),
    ];
    messages.iter().for_each(|(id, bytes)| assert!(receive(&mut order, *id, bytes).is_ok()));
    assert_eq!(delivered(&mut order), [(alice.id, 1)]);
    order
}

#[test]
fn waiting_messages_survive_an_export() {
    let (mut alice, mut bob) = (Author::new(1), Author::new(2));
    let first = alice.send(b"first");
    let mut order = order_of(&[&alice]);
    receive(&mut order, alice.id, &alice.send(b"second")).unwrap();
    receive(&mut order, bob.id, &bob.send(b"from a stranger")).unwrap();
    let mut restored = restore(&encode(&order)).unwrap();
    restored.introduce(bob.id, bob.key.verification_key(), 0, &GROUP);
    receive(&mut restored, alice.id, &first).unwrap();
    assert_eq!(delivered(&mut restored).len(), 3);
}

#[test]
fn every_export_that_is_read_is_written_again_byte_for_byte() {
    let state = encode(&varied());
    assert!(encode(&restore(&state).unwrap()) == state);
    let mut read = 0;
    for at in 0..state.len() {
        assert!(restore(&state[..at]).is_err());
        for bit in 0..8 {
            let mut damaged = state.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(order) = restore(&damaged) {
                assert!(encode(&order) == damaged, "byte {at} bit {bit}");
                read += 1;
            }
        }
    }
    // Keys, hashes and bodies can be anything.
    assert!(read > 1000, "{read}");
}

#[test]
fn an_export_with_a_message_that_cannot_wait_is_refused() {
    let [mut alice, bob, dave] = [1, 2, 5].map(Author::new);
    let first = alice.send(b"first");
    let order = |names: Subject<MemberId>, number: u32| {
        let mut order = order_of(&[&alice, &bob]);
        receive(&mut order, alice.id, &first).unwrap();
        let (other, waits) = (Author::new(6), alice.sign(number, names, None, b""));
        // It is replaced in the export: handles have one length.
        let placeholder = alice.sign(9, Subject::Member(other.id), None, b"");
        assert_eq!(receive(&mut order, alice.id, &placeholder), Ok(Receipt::Waits));
        let state = encode(&order);
        let at = state.windows(placeholder.len()).position(|part| part == placeholder).unwrap();
        restore(&[&state[..at], &waits, &state[at + placeholder.len()..]].concat())
    };
    // It waits for a number, or for a user.
    assert!(order(Subject::Member(bob.id), 3).is_ok());
    assert!(order(Subject::Member(dave.id), 2).is_ok());
    // It would have been verified, or dropped.
    assert_eq!(order(Subject::Member(bob.id), 2).err(), Some(Error::Malformed));
    assert_eq!(order(Subject::Member(dave.id), 1).err(), Some(Error::Malformed));
}

#[test]
fn nothing_is_kept_of_a_flood_that_is_gone() {
    let [mut alice, mut bob, carol] = [1, 2, 4].map(Author::new);
    let genuine: Vec<_> = (0..40).map(|index| alice.send(&[index])).collect();
    let (hello, named) = (bob.send(b"hello"), alice.acknowledge(&bob, 1));
    let states = [false, true].map(|flooded| {
        let mut order = order_of(&[&alice, &carol]);
        let (forger, other) = (alice.forger(), bob.forger());
        for index in 0..if flooded { MAX_WAITING_PER_AUTHOR as u32 } else { 0 } {
            let subject = if index % 3 == 0 { Subject::Member(bob.id) } else { Subject::None };
            let number = 2 + index % 39;
            receive(&mut order, alice.id, &forger.sign(number, subject, None, &index.to_be_bytes())).unwrap();
            receive(&mut order, bob.id, &other.sign(1, Subject::None, None, &index.to_be_bytes())).unwrap();
        }
        if flooded {
            let beyond = [(alice.id, genuine[1].clone()), (bob.id, hello.clone())];
            let before = encode(&order);
            for (id, message) in beyond {
                assert_eq!(receive(&mut order, id, &message), Err(Error::QueueFull));
            }
            assert!(encode(&order) == before);
        }
        genuine.iter().for_each(|message| assert!(receive(&mut order, alice.id, message).is_ok()));
        receive(&mut order, alice.id, &named).unwrap();
        order.introduce(bob.id, bob.key.verification_key(), 0, &GROUP);
        receive(&mut order, bob.id, &hello).unwrap();
        assert_eq!(delivered(&mut order).len(), 42);
        assert!(order.is_idle());
        encode(&order)
    });
    assert!(states[0] == states[1]);
}

#[test]
fn a_refused_stranger_leaves_nothing_behind() {
    let mut order = order_of(&[]);
    let draft = |sender: MemberId| Draft {
        kind: KIND,
        sender,
        number: 1,
        subject: Subject::None,
        new_key: None,
        body: &[0; 2000],
    };
    let stranger = |name: u16| {
        let sender = MemberId([[9; 30].as_slice(), &name.to_be_bytes()].concat().try_into().unwrap());
        (sender, draft(sender).sign(&GROUP, sender.handle(), None, &Author::new(1).key).0)
    };
    // First the bytes are used up, by one stranger after the other with messages of the greatest length.
    let long = vec![7; (1 << 20) - 200];
    for name in 1..=16 {
        let author = Author::new(name);
        receive(&mut order, author.id, &author.sign(1, Subject::None, None, &long)).unwrap();
    }
    let before = encode(&order);
    for name in 0..MAX_STRANGERS as u16 + 100 {
        let (id, message) = stranger(name);
        assert_eq!(receive(&mut order, id, &message), Err(Error::QueueFull));
    }
    assert!(encode(&order) == before);
    // The entries of the refused would have locked out this one.
    let short = Author::new(99).sign(1, Subject::None, None, b"");
    assert_eq!(receive(&mut order, Author::new(99).id, &short), Ok(Receipt::Waits));
}

/// A random history of authors that acknowledge and name each other, with forgeries, damage, repetitions and users that
/// become known late.
#[test]
fn after_an_error_nothing_has_changed_and_a_restored_order_continues_as_the_original() {
    for seed in 0..60 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut draw = |below: usize| rng.next_u32() as usize % below;
        let mut authors: Vec<_> = (0..5).map(|index| Author::new(10 + index)).collect();
        let mut messages = Vec::new();
        for index in 0..60 {
            let by = draw(5);
            let (other, number) = (draw(5), authors[by].number + 1);
            let subject = match draw(3) {
                0 if authors[other].number > 0 => Subject::Acknowledged(authors[other].id, authors[other].number),
                1 => Subject::Member(authors[other].id),
                _ => Subject::None,
            };
            let next = (draw(2) == 0).then(|| Author::new(100 + index).key);
            let genuine = authors[by].sign(number, subject, next.as_ref(), &[7; 9][..draw(9)]);
            let forged = authors[by].forger().sign(number, subject, next.as_ref(), b"forged");
            let mut damaged = genuine.clone();
            damaged[draw(genuine.len())] ^= 1 << draw(8);
            let author = &mut authors[by];
            author.number = number;
            author.key = next.unwrap_or_else(|| author.key.clone());
            messages.extend([genuine.clone(), genuine, forged, damaged].map(|bytes| (author.id, bytes)));
        }
        for place in (1..messages.len()).rev() {
            messages.swap(place, draw(place + 1));
        }
        let first_key = |index: usize| Author::new(10 + index as u64).key.verification_key();
        let mut order = CausalOrder::default();
        let (mut introduced, mut count) = (0, 0);
        for (place, (id, bytes)) in messages.iter().enumerate() {
            if introduced < 5 && place * 5 / messages.len() >= introduced {
                order.introduce(authors[introduced].id, first_key(introduced), 0, &GROUP);
                introduced += 1;
            }
            let before = encode(&order);
            let mut restored = restore(&before).unwrap();
            let receipt = receive(&mut order, *id, bytes);
            if receipt.is_err() {
                assert!(encode(&order) == before, "seed {seed}, message {place}: {receipt:?}");
            }
            assert_eq!(receive(&mut restored, *id, bytes), receipt, "seed {seed}, message {place}");
            let ready = delivered(&mut order);
            assert_eq!(delivered(&mut restored), ready, "seed {seed}, message {place}");
            assert!(encode(&restored) == encode(&order), "seed {seed}, message {place}");
            count += ready.len();
        }
        assert_eq!(count, 60, "seed {seed}: every genuine message is delivered once");
    }
}
