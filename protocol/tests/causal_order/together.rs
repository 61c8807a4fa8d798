//! Messages that arrive together: their signatures are checked together, and each has the fate that it has alone.

use protocol::causal_order::{CausalOrder, Receipt};
use protocol::crypto::count::{Counts, snapshot};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::envelope::{Envelope, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{Author, GROUP, delivered, encode, order_of, receive};

type Message = (MemberId, Vec<u8>);

/// Lets messages arrive together. Returns their fates, and how many signatures were checked one by one and together.
fn receive_together(order: &mut CausalOrder, messages: &[Message]) -> (Vec<Result<Receipt, Error>>, (u64, u64, u64)) {
    let before = snapshot();
    let decoded: Vec<_> = messages.iter().map(|(id, bytes)| Some((*id, Envelope::decode(bytes).ok()?))).collect();
    let checked = order.check_together(&GROUP, &decoded);
    let fates = decoded.iter().zip(checked).map(|(decoded, checked)| {
        let (id, envelope) = decoded.as_ref().ok_or(Error::Malformed)?;
        order.receive_decoded(id, &GROUP, envelope, checked)
    });
    let fates = fates.collect();
    let Counts { verify, verify_batched, verify_batches, .. } = snapshot() - before;
    (fates, (verify, verify_batched, verify_batches))
}

#[test]
fn messages_of_several_authors_are_checked_together() {
    let mut authors: Vec<Author> = (10..30).map(Author::new).collect();
    let mut order = order_of(&authors.iter().collect::<Vec<_>>());
    let messages: Vec<Message> = authors.iter_mut().map(|author| (author.id, author.send(b"at once"))).collect();
    assert_eq!(receive_together(&mut order, &messages), (vec![Ok(Receipt::Verified); 20], (0, 20, 1)));
    assert_eq!(delivered(&mut order).len(), 20);
    // The same again is a duplicate, which no signature needs to show.
    assert_eq!(receive_together(&mut order, &messages), (vec![Ok(Receipt::Duplicate); 20], (0, 0, 0)));
}

#[test]
fn the_key_of_each_message_is_the_one_that_the_message_before_it_names() {
    let mut alice = Author::new(1);
    let mut order = order_of(&[&alice]);
    let mut messages = alice.rotate(3);
    messages.push(alice.send(b"under the last key"));
    let messages: Vec<Message> = messages.into_iter().map(|bytes| (alice.id, bytes)).collect();
    assert_eq!(receive_together(&mut order, &messages), (vec![Ok(Receipt::Verified); 4], (0, 4, 1)));
    assert_eq!(delivered(&mut order).len(), 4);
}

#[test]
fn a_forgery_among_them_is_refused_alone() {
    let mut authors: Vec<Author> = (10..20).map(Author::new).collect();
    let mut order = order_of(&authors.iter().collect::<Vec<_>>());
    let mut messages: Vec<Message> = authors.iter_mut().map(|author| (author.id, author.send(b"genuine"))).collect();
    let genuine = messages[4].1.clone();
    messages[4].1 = authors[4].forger().sign(1, Subject::None, None, b"forged");
    let (fates, counted) = receive_together(&mut order, &messages);
    assert_eq!(counted, (10, 10, 1));
    for (place, fate) in fates.into_iter().enumerate() {
        assert_eq!(fate, if place == 4 { Err(Error::NotAuthentic) } else { Ok(Receipt::Verified) });
    }
    assert_eq!(receive(&mut order, authors[4].id, &genuine), Ok(Receipt::Verified));
    assert_eq!(delivered(&mut order).len(), 10);
}

#[test]
fn what_a_forgery_says_of_the_next_key_is_not_believed() {
    let (mut alice, mut bob, mallory) = (Author::new(1), Author::new(2), Author::new(4));
    let mut order = order_of(&[&alice, &bob]);
    // Mallory names its own key, and signs the next message with it.
    let takes_over = alice.forger().sign(1, Subject::None, Some(&mallory.key), b"");
    let speaks = Author { id: alice.id, key: mallory.key.clone(), number: 1 }.sign(2, Subject::None, None, b"");
    let messages = [(alice.id, takes_over), (alice.id, speaks), (bob.id, bob.send(b"genuine"))];
    let (fates, _) = receive_together(&mut order, &messages);
    assert_eq!(fates, [Err(Error::NotAuthentic), Ok(Receipt::Waits), Ok(Receipt::Verified)]);
    assert_eq!(receive(&mut order, alice.id, &alice.send(b"genuine")), Ok(Receipt::Verified));
    assert_eq!(delivered(&mut order).len(), 2);
    assert!(order.is_idle(), "the other one was dropped at its turn");
}

#[test]
fn a_message_that_was_checked_under_another_key_is_verified_again() {
    let mut alice = Author::new(1);
    let mut order = order_of(&[&alice]);
    // Alice signs two messages under one number, with a new key each.
    let another = alice.sign(1, Subject::None, Some(&Author::new(5).key), b"another");
    let first = (alice.id, alice.rotate(1).remove(0));
    let second = (alice.id, alice.send(b"under the key of the first"));
    let decoded: Vec<_> = [&first, &second].map(|(id, bytes)| Some((*id, Envelope::decode(bytes).unwrap()))).into();
    let [_, checked] = order.check_together(&GROUP, &decoded).try_into().ok().unwrap();
    assert!(checked.is_some());
    assert_eq!(receive(&mut order, alice.id, &another), Ok(Receipt::Verified));
    let fate = order.receive_decoded(&alice.id, &GROUP, &decoded[1].unwrap().1, checked);
    assert_eq!(fate, Err(Error::NotAuthentic));
}

/// Genuine and forged messages of three authors, in any order and in batches of any size.
#[test]
fn a_batch_ends_as_its_messages_do_one_by_one() {
    for seed in 0..300 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut below = |bound: u64| usize::try_from(rng.next_u64() % bound).unwrap();
        let mut authors = [1, 2, 4].map(Author::new);
        let mut together = order_of(&authors.iter().collect::<Vec<_>>());
        let mut alone = together.clone();
        let mut messages = Vec::<Message>::new();
        for _ in 0..30 {
            let at = below(3);
            let number = u32::try_from(below(12)).unwrap() + 1;
            let other = MemberId(authors[(at + 1) % 3].id.0);
            let author = &mut authors[at];
            let bytes = match below(8) {
                0 => author.rotate(1).remove(0),
                1 => author.forger().sign(number, Subject::None, Some(&author.key), b"forged"),
                2 => author.sign(number, Subject::Acknowledged(other, 2), None, b"of any number"),
                3 if !messages.is_empty() => messages[below(messages.len() as u64)].1.clone(),
                _ => author.send(b"genuine"),
            };
            messages.push((author.id, bytes));
            let (one, other) = (below(messages.len() as u64), messages.len() - 1);
            if below(3) == 0 {
                messages.swap(one, other);
            }
        }
        let mut rest = &messages[..];
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(rest.len().min(1 + below(10)));
            let fates: Vec<_> = batch.iter().map(|(id, bytes)| receive(&mut alone, *id, bytes)).collect();
            assert_eq!(receive_together(&mut together, batch).0, fates, "seed {seed}");
            assert_eq!(delivered(&mut together), delivered(&mut alone), "seed {seed}");
            assert!(encode(&together) == encode(&alone), "seed {seed}");
            rest = later;
        }
    }
}
