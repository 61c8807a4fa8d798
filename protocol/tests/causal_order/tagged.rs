//! Acknowledgements under tags that nobody here can check, and forgeries among them.

use protocol::causal_order::{CausalOrder, MAX_WAITING_PER_AUTHOR, Receipt};
use protocol::crypto::hash::Digest;
use protocol::crypto::secret::Secret;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::wire::envelope::{Draft, History, Kind, NO_LINK, Subject, next_link, short};

use crate::{Author, GROUP, delivered, encode, receive};

const FULL: u32 = MAX_WAITING_PER_AUTHOR as u32;

/// An author's acknowledgement of a message under a tag, and its digest.
fn tag(by: &Author, number: u32, (other, acknowledged): (MemberId, u32), secret: u8) -> (Vec<u8>, Digest) {
    let subject = Subject::Acknowledged(other, acknowledged);
    let draft = Draft { kind: Kind::TAGGED, sender: by.id, number, subject, new_key: None, body: &[] };
    draft.tag(&GROUP, (by.id.handle(), Some(other.handle())), &Secret::new([secret; 32]))
}

/// A signed message after these, of which it says the digests, or one hash.
fn sign(by: &Author, number: u32, subject: Subject<MemberId>, before: &[Digest], each: bool) -> Vec<u8> {
    let link = before.iter().fold(NO_LINK, |link, digest| next_link(&link, digest));
    let digests: Vec<_> = before.iter().map(short).collect();
    let history = History { link, digests: if each { &digests } else { &[] } };
    let draft = Draft { kind: Kind(1), sender: by.id, number, subject, new_key: None, body: b"" };
    let handles = (by.id.handle(), subject.name().map(|id| id.handle()));
    draft.sign_after(&GROUP, handles, Some(&history), &by.key).0
}

/// Settles what can be settled, at a member that finds the tags of these authors wrong, and cannot check those of others.
fn settle(order: &mut CausalOrder, refused: &[MemberId]) {
    while let Some((id, candidates)) = order.due(&GROUP) {
        for tagged in candidates.iter().filter(|_| refused.contains(&id)) {
            order.refuse(&id, tagged);
        }
        let _ = order.reach(&id, &GROUP).unwrap();
    }
}

/// An order that knows these authors, and has delivered messages of them up to these numbers.
fn order_of(authors: &[(&Author, u32)]) -> CausalOrder {
    let mut order = CausalOrder::with_tags();
    for (author, number) in authors {
        order.introduce(author.id, author.key.verification_key(), *number, &GROUP);
    }
    order
}

/// A forged acknowledgement was the only one under the next number, and is gone when a user becomes known whom a later one
/// names.
#[test]
fn what_names_a_new_user_is_looked_at_again_although_nothing_waits_before_it() {
    let [alice, mut bob, mut carol] = [1, 2, 5].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    let (first, second) = (tag(&alice, 1, (bob.id, 1), 7), tag(&alice, 2, (carol.id, 1), 7));
    let signed = sign(&alice, 3, Subject::None, &[first.1, second.1], false);
    let forged = tag(&alice, 1, (bob.id, 1), 8).0;
    for bytes in [&second.0, &signed, &forged] {
        assert_eq!(receive(&mut order, alice.id, bytes), Ok(Receipt::Waits));
        settle(&mut order, &[]);
    }
    receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
    assert_eq!(delivered(&mut order).len(), 1);
    settle(&mut order, &[alice.id]);
    order.introduce(carol.id, carol.key.verification_key(), 0, &GROUP);
    receive(&mut order, carol.id, &carol.send(b"acknowledged too")).unwrap();
    assert_eq!(delivered(&mut order).len(), 1);
    settle(&mut order, &[]);
    assert_eq!(receive(&mut order, alice.id, &first.0), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(delivered(&mut order).len(), 3);
}

/// A user becomes known and a forged acknowledgement is refused before what waits is looked at.
#[test]
fn a_refused_forgery_does_not_hide_what_waits_behind_it() {
    let [alice, mut bob, mut carol] = [1, 2, 5].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    let genuine = tag(&alice, 1, (bob.id, 1), 7);
    let signed = sign(&alice, 2, Subject::Acknowledged(carol.id, 1), &[genuine.1], false);
    let forged = tag(&alice, 1, (bob.id, 1), 8).0;
    for bytes in [&signed, &forged] {
        assert_eq!(receive(&mut order, alice.id, bytes), Ok(Receipt::Waits));
        settle(&mut order, &[]);
    }
    order.introduce(carol.id, carol.key.verification_key(), 0, &GROUP);
    receive(&mut order, carol.id, &carol.send(b"acknowledged too")).unwrap();
    receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
    assert_eq!(delivered(&mut order).len(), 2);
    settle(&mut order, &[alice.id]);
    assert_eq!(receive(&mut order, alice.id, &genuine.0), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(delivered(&mut order).len(), 2);
}

/// The queue is full of forgeries under far numbers.
#[test]
fn forgeries_under_far_numbers_do_not_keep_out_what_a_signed_message_names() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 5000)]);
    let genuine = tag(&alice, 1, (bob.id, 4000), 7);
    for index in 1..=FULL {
        let forged = tag(&alice, 1000 + index, (bob.id, 1), 8).0;
        assert_eq!(receive(&mut order, alice.id, &forged), Ok(Receipt::Waits));
        settle(&mut order, &[]);
    }
    let signed = sign(&alice, 2, Subject::None, &[genuine.1], true);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(receive(&mut order, alice.id, &genuine.0), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(delivered(&mut order).len(), 2);
}

/// The queue is full under the next number, and the next signed message but one comes first, or not.
#[test]
fn a_nearer_signed_message_takes_the_place_of_a_later_one() {
    for first in [false, true] {
        let [alice, bob] = [1, 2].map(Author::new);
        let mut order = order_of(&[(&alice, 0), (&bob, 5000)]);
        let (one, three) = (tag(&alice, 1, (bob.id, 4000), 7), tag(&alice, 3, (bob.id, 4001), 7));
        let two = sign(&alice, 2, Subject::None, &[one.1], true);
        let four = sign(&alice, 4, Subject::None, &[three.1], true);
        // Of messages that nobody has sent.
        for index in 1..=FULL {
            receive(&mut order, alice.id, &tag(&alice, 1, (bob.id, 10_000 + index), 8).0).unwrap();
            settle(&mut order, &[]);
        }
        let mut all = vec![four, two, one.0, three.0];
        if first {
            all.swap(0, 1);
        }
        let mut count = 0;
        for _ in 0..5 {
            for bytes in &all {
                let _ = receive(&mut order, alice.id, bytes);
                settle(&mut order, &[]);
                count += delivered(&mut order).len();
            }
        }
        assert_eq!(count, 4, "in order: {first}");
    }
}

/// One forged acknowledgement stands under the number of a signed message, so that the signed message after it is looked
/// at first.
#[test]
fn a_forgery_under_the_number_of_a_signed_message_does_not_hide_it() {
    for forged in [false, true] {
        let [alice, bob] = [1, 2].map(Author::new);
        let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
        let (one, three) = (tag(&alice, 1, (bob.id, 1), 7), tag(&alice, 3, (bob.id, 2), 7));
        let two = sign(&alice, 2, Subject::None, &[one.1], true);
        let four = sign(&alice, 4, Subject::None, &[three.1], true);
        if forged {
            receive(&mut order, alice.id, &tag(&alice, 2, (bob.id, 3), 8).0).unwrap();
        }
        for bytes in [&one.0, &three.0, &four, &two] {
            assert_eq!(receive(&mut order, alice.id, bytes), Ok(Receipt::Waits));
            settle(&mut order, &[]);
        }
        assert_eq!(delivered(&mut order).len(), 4, "with a forgery: {forged}");
    }
}

/// Forgeries that arrive after the signed message that does not name them. With one before them that names an unknown
/// user, or without.
#[test]
fn forgeries_after_the_signed_message_do_not_keep_the_genuine_one_out() {
    for unknown in [false, true] {
        let [alice, bob, carol] = [1, 2, 5].map(Author::new);
        let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
        let genuine = tag(&alice, 1, (bob.id, 9), 7);
        receive(&mut order, alice.id, &sign(&alice, 2, Subject::None, &[genuine.1], true)).unwrap();
        if unknown {
            receive(&mut order, alice.id, &tag(&alice, 1, (carol.id, 1), 8).0).unwrap();
            settle(&mut order, &[]);
        }
        let mut refused = 0;
        for index in 0..FULL {
            let forged = tag(&alice, 1, (bob.id, 1_000_000 + index), 8).0;
            refused += u32::from(receive(&mut order, alice.id, &forged) == Err(Error::NotAuthentic));
            settle(&mut order, &[]);
        }
        // The first one shows that there is a gap.
        assert!(refused >= FULL - 1, "unknown: {unknown}");
        let receipt = receive(&mut order, alice.id, &genuine.0);
        settle(&mut order, &[]);
        assert_eq!((receipt, delivered(&mut order).len()), (Ok(Receipt::Waits), 2), "unknown: {unknown}");
    }
}

/// Copies of the acknowledgement that the signed message names, under other tags, while the queue is full.
#[test]
fn copies_of_what_a_signed_message_names_do_not_exceed_the_limit() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    for index in 1..=FULL {
        let forged = tag(&alice, 1000 + index, (bob.id, 1), 8).0;
        assert_eq!(receive(&mut order, alice.id, &forged), Ok(Receipt::Waits));
    }
    let named = tag(&alice, 1, (bob.id, 9), 7);
    let signed = sign(&alice, 2, Subject::None, &[named.1], true);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(receive(&mut order, alice.id, &named.0), Ok(Receipt::Waits));
    let size = encode(&order).len();
    for secret in 8..200 {
        let copy = tag(&alice, 1, (bob.id, 9), secret).0;
        assert_eq!(receive(&mut order, alice.id, &copy), Err(Error::QueueFull));
        settle(&mut order, &[]);
    }
    assert_eq!(encode(&order).len(), size);
}
