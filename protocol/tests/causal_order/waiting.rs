//! What waits is found at its turn, looked at once, and displaced by nothing: work grows with what arrives, not with
//! what waits.

use protocol::causal_order::{CausalOrder, MAX_WAITING_PER_AUTHOR, Receipt};
use protocol::crypto::count::{Counts, snapshot};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{Author, GROUP, KIND, delivered, order_of, receive};

fn counted<T>(call: impl FnOnce() -> T) -> (T, Counts) {
    let before = snapshot();
    let result = call();
    (result, snapshot() - before)
}

/// Orders of arrival, with forgeries or without. Half the messages fit into what may wait.
fn arrivals(name: &str, seed: u64, count: u32) -> (Author, Vec<Vec<u8>>) {
    let mut alice = Author::new(1);
    let genuine = alice.rotate(count);
    let (first, forger) = (Author::new(1), alice.forger());
    let far = |index: u32| forger.sign(1_000_000 + index, Subject::None, Some(&first.key), b"");
    // Its kind puts it before the genuine one, so that it is verified first.
    let (sender, subject, new_key) = (alice.id, Subject::None, Some(first.key.verification_key()));
    let same = |index: u32| {
        let draft = Draft { kind: Kind(0), sender, number: 2 + index, subject, new_key, body: b"" };
        draft.sign(&GROUP, sender.handle(), None, &forger.key).0
    };
    let mut messages: Vec<_> = match name {
        "far numbers" => (0..count).map(far).chain(genuine).collect(),
        "every number" => (0..count).map(same).chain(genuine.into_iter().rev()).collect(),
        "one number" => {
            let candidate = |index: u32| forger.sign(2, Subject::None, Some(&first.key), &index.to_be_bytes());
            (0..count).map(candidate).chain(genuine).collect()
        }
        "between" => {
            genuine.into_iter().zip(0..).flat_map(|(message, index)| [far(index), message, same(index)]).collect()
        }
        _ => genuine,
    };
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    match name {
        "reverse" => messages.reverse(),
        "random" => {
            for place in (1..messages.len()).rev() {
                messages.swap(place, rng.next_u32() as usize % (place + 1));
            }
        }
        _ => {}
    }
    (first, messages)
}

#[test]
fn work_is_linear_in_what_arrives_whatever_the_order() {
    let orders = ["in order", "reverse", "far numbers", "every number", "one number", "between"];
    for (name, seed) in orders.into_iter().map(|name| (name, 0)).chain((1..6).map(|seed| ("random", seed))) {
        let work = |count: u32| {
            let (alice, messages) = arrivals(name, seed, count);
            let mut order = order_of(&[&alice]);
            let (ready, work) = counted(|| {
                messages.iter().for_each(|message| {
                    let _ = receive(&mut order, alice.id, message);
                });
                delivered(&mut order).len()
            });
            assert_eq!(ready, count as usize, "{name}, seed {seed}");
            let most = messages.len() as u64;
            assert!(work.envelopes <= 2 * most && work.verify <= most && work.points <= most, "{name}: {work:?}");
            work
        };
        for count in [64, 128, 256] {
            let (once, twice) = (work(count), work(2 * count));
            let fields = |it: Counts| [it.envelopes, it.points, it.verify, it.hash_blocks];
            let pairs = fields(once).into_iter().zip(fields(twice));
            assert!(
                pairs.into_iter().all(|(once, twice)| twice <= 2 * once + 32),
                "{name}, {seed}: {once:?} {twice:?}"
            );
        }
    }
}

#[test]
fn a_flood_under_far_numbers_costs_the_genuine_messages_nothing() {
    let cost = |flood: u32| {
        let (mut alice, mallory) = (Author::new(1), Author::new(3));
        let mut order = order_of(&[&alice]);
        let forger = alice.forger();
        let (_, flooding) = counted(|| {
            for number in 0..flood {
                let far = forger.sign(1_000_000 + number, Subject::None, Some(&mallory.key), b"");
                assert_eq!(receive(&mut order, alice.id, &far), Ok(Receipt::Waits));
            }
        });
        assert_eq!((flooding.points, flooding.verify), (0, 0), "nothing is checked before its turn");
        let messages = alice.rotate(20);
        let (_, honest) =
            counted(|| messages.iter().for_each(|message| assert!(receive(&mut order, alice.id, message).is_ok())));
        assert_eq!(delivered(&mut order).len(), 20);
        honest
    };
    assert_eq!(cost(0), cost(MAX_WAITING_PER_AUTHOR as u32));
}

#[test]
fn no_candidate_under_a_number_displaces_another_and_each_is_verified_at_most_once() {
    for (flood, genuine_at) in [(1, 0), (1, 1), (20, 7), (1023, 0), (1023, 500), (1023, 1023)] {
        let mut alice = Author::new(1);
        let (forger, other) = (alice.forger(), Author::new(4));
        let genuine = alice.rotate(3);
        let alice = Author::new(1);
        let mut order = order_of(&[&alice]);
        // Before and after the genuine one in any order of bytes.
        let candidate = |index: u32| {
            let next = index.is_multiple_of(2).then_some(&other.key);
            forger.sign(2, Subject::None, next, &index.to_le_bytes())
        };
        let mut under: Vec<_> = (0..flood).map(candidate).collect();
        under.insert(genuine_at, genuine[1].clone());
        for message in under.iter().chain([&genuine[2]]).take(MAX_WAITING_PER_AUTHOR) {
            assert_eq!(receive(&mut order, alice.id, message), Ok(Receipt::Waits));
        }
        assert_eq!(receive(&mut order, alice.id, &under[0]), Ok(Receipt::Duplicate));
        let (_, work) = counted(|| receive(&mut order, alice.id, &genuine[0]).unwrap());
        assert!(work.verify <= u64::from(flood) + 3 && work.envelopes <= work.verify, "{work:?}");
        // What did not fit is received again.
        let _ = receive(&mut order, alice.id, &genuine[2]);
        assert_eq!(delivered(&mut order).len(), 3, "{flood} {genuine_at}");
        assert!(order.is_idle());
    }
}

#[test]
fn forged_candidates_are_dropped_when_the_genuine_one_is_still_missing() {
    let mut alice = Author::new(1);
    let mut order = order_of(&[&alice]);
    let forger = alice.forger();
    for index in 0..MAX_WAITING_PER_AUTHOR as u32 {
        receive(&mut order, alice.id, &forger.sign(2, Subject::None, None, &index.to_be_bytes())).unwrap();
    }
    let (first, second, third) = (alice.send(b"1"), alice.send(b"2"), alice.send(b"3"));
    assert_eq!(receive(&mut order, alice.id, &third), Err(Error::QueueFull));
    let (_, work) = counted(|| receive(&mut order, alice.id, &first).unwrap());
    assert_eq!(work.verify, 1 + MAX_WAITING_PER_AUTHOR as u64);
    assert!(order.unverified(&alice.id, 2).next().is_none());
    assert_eq!(receive(&mut order, alice.id, &third), Ok(Receipt::Waits), "there is room again");
    let (_, work) = counted(|| receive(&mut order, alice.id, &second).unwrap());
    assert_eq!(work.verify, 2);
    assert_eq!(delivered(&mut order).len(), 3);
}

/// A message by the author with any bytes as its new key.
fn with_new_key(author: &Author, number: u32, new_key: [u8; 32]) -> Vec<u8> {
    let mut bytes = author.sign(number, Subject::None, Some(&author.key), b"");
    let end = bytes.len() - 64;
    bytes[end - 32..end].copy_from_slice(&new_key);
    let digest = Envelope::decode(&bytes).unwrap().digest(&GROUP, &author.id, &Subject::None);
    let signature = author.key.sign(digest.as_bytes());
    bytes[end..].copy_from_slice(&signature.0);
    bytes
}

#[test]
fn an_invalid_new_key_is_refused_if_its_message_is_the_next_and_dropped_if_it_has_waited() {
    let (mut small, mut not_canonical, mut off_curve) = ([0; 32], [0xff; 32], [0; 32]);
    small[0] = 1;
    not_canonical[0] = 0xf0;
    not_canonical[31] = 0x7f;
    off_curve[0] = 2;
    let valid = *Author::new(7).key.verification_key().as_bytes();
    for (key, fits) in [(small, false), (not_canonical, false), (off_curve, false), (valid, true)] {
        let mut alice = Author::new(1);
        let (first, bad) = (alice.send(b""), with_new_key(&alice, 2, key));
        let genuine = alice.send(b"genuine");
        let mut order = order_of(&[&alice]);
        receive(&mut order, alice.id, &first).unwrap();
        let expected = if fits { Ok(Receipt::Verified) } else { Err(Error::Malformed) };
        assert_eq!(receive(&mut order.clone(), alice.id, &bad), expected);
        // Its number is free for another message.
        let expected = if fits { Receipt::Equivocation } else { Receipt::Verified };
        let _ = receive(&mut order, alice.id, &bad);
        assert_eq!(receive(&mut order, alice.id, &genuine), Ok(expected));

        let mut order = order_of(&[&alice]);
        assert_eq!(receive(&mut order, alice.id, &bad), Ok(Receipt::Waits), "nobody has looked at the key");
        receive(&mut order, alice.id, &first).unwrap();
        assert_eq!(delivered(&mut order).len(), if fits { 2 } else { 1 });
        assert!(order.is_idle());
        assert_eq!(receive(&mut order, alice.id, &genuine), Ok(expected));
        // Under an old number it is no equivocation: nobody could have accepted it.
        if !fits {
            assert_eq!(receive(&mut order, alice.id, &bad), Err(Error::Malformed));
        }
    }
}

/// Messages by an author, the first of which names a user.
fn naming(author: &mut Author, user: MemberId) -> [Vec<u8>; 2] {
    author.number = 2;
    [author.sign(1, Subject::Member(user), None, b""), author.sign(2, Subject::None, None, b"")]
}

#[test]
fn a_message_that_names_an_unknown_user_is_found_when_that_user_is_introduced() {
    let mut authors: Vec<_> = (0..8).map(|seed| Author::new(10 + seed)).collect();
    let [dave, erin, nobody] = [40, 41, 42].map(Author::new);
    let mut order = order_of(&authors.iter().collect::<Vec<_>>());
    for (index, author) in authors.iter_mut().enumerate() {
        let user = if index % 2 == 0 { dave.id } else { erin.id };
        for message in naming(author, user).iter().rev() {
            assert_eq!(receive(&mut order, author.id, message), Ok(Receipt::Waits));
        }
        // Forged, and for users that never become known: they are in nobody's way.
        for forged in 0..50 {
            let name = Subject::Member(Author::new(100 + forged).id);
            receive(&mut order, author.id, &author.forger().sign(1 + forged as u32 % 4, name, None, b"")).unwrap();
        }
    }
    let introduce = |order: &mut CausalOrder, user: &Author| {
        let (_, work) = counted(|| order.introduce(user.id, user.key.verification_key(), 0, &GROUP));
        (work.envelopes, work.verify, delivered(order).len())
    };
    assert_eq!(introduce(&mut order, &nobody), (0, 0, 0));
    assert_eq!(introduce(&mut order, &dave), (8, 8, 8), "four authors, and what follows");
    assert_eq!(introduce(&mut order, &erin), (8, 8, 8));
}

#[test]
fn a_message_that_names_an_unknown_user_is_found_whichever_it_waits_for_last() {
    for user_first in [true, false] {
        let (mut alice, bob, dave) = (Author::new(1), Author::new(2), Author::new(5));
        let first = alice.send(b"");
        let second = alice.sign(2, Subject::Member(dave.id), None, b"");
        let forged = alice.forger().sign(2, Subject::Member(dave.id), None, b"");
        let mut order = order_of(&[&alice, &bob]);
        for waits in [&second, &forged] {
            assert_eq!(receive(&mut order, alice.id, waits), Ok(Receipt::Waits));
        }
        let introduce = |order: &mut CausalOrder| order.introduce(dave.id, dave.key.verification_key(), 0, &GROUP);
        if user_first {
            introduce(&mut order);
            receive(&mut order, alice.id, &first).unwrap();
        } else {
            receive(&mut order, alice.id, &first).unwrap();
            introduce(&mut order);
        }
        assert_eq!(delivered(&mut order), [(alice.id, 1), (alice.id, 2)]);
        assert!(order.is_idle());
    }
}

#[test]
fn what_waits_for_an_acknowledged_message_is_found_when_that_is_sent_or_delivered() {
    let (mut alice, mut bob, mut carol) = (Author::new(1), Author::new(2), Author::new(4));
    let mut order = order_of(&[&alice, &bob, &carol]);
    let change = alice.send(b"");
    for (id, message) in [(bob.id, bob.acknowledge(&alice, 1)), (carol.id, carol.acknowledge(&alice, 1))] {
        assert_eq!(receive(&mut order, id, &message), Ok(Receipt::Verified));
    }
    let message = protocol::id::MessageId { author: alice.id, number: 1 };
    assert_eq!(order.awaiting(message).count(), 2);
    assert_eq!(order.awaiting(protocol::id::MessageId { number: 2, ..message }).count(), 0);
    let mut sender = order.clone();
    receive(&mut order, alice.id, &change).unwrap();
    assert_eq!(delivered(&mut order).len(), 3);
    assert_eq!(order.awaiting(message).count(), 0);
    let draft = Draft { kind: KIND, sender: alice.id, number: 1, subject: Subject::None, new_key: None, body: b"" };
    let (_, digest) = draft.sign(&GROUP, alice.id.handle(), None, &alice.key);
    sender.sent(&alice.id, 1, digest, &alice.key.verification_key(), None);
    assert_eq!(delivered(&mut sender).len(), 2);
}
