//! Acknowledgements under tags: what a tag lets a member take early, and that the author's signed messages decide.

use protocol::causal_order::{CausalOrder, MAX_WAITING_PER_AUTHOR, Receipt};
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::wire::codec::{MAX_MESSAGE_LEN, put_varint};
use protocol::wire::envelope::{Draft, Envelope, Kind, MAX_TAGGED, Subject, tagged_digest};

use crate::{Author, GROUP, KIND, delivered, encode, receive};

type Named = (MemberId, u32);

const RIGHT: u8 = 7;
const WRONG: u8 = 8;
const LIMIT: u32 = MAX_TAGGED as u32;

/// An author's acknowledgement of a message under a tag.
fn tag(by: &Author, number: u32, (other, acknowledged): Named, secret: u8) -> Vec<u8> {
    let subject = Subject::Acknowledged(other, acknowledged);
    let draft = Draft { kind: Kind::TAGGED, sender: by.id, number, subject, new_key: None, body: &[] };
    draft.tag(&GROUP, (by.id.handle(), Some(other.handle())), &Secret::new([secret; 32])).0
}

/// A signed message after acknowledgements of these.
fn sign_with(by: &Author, number: u32, history: &[Named], next: Option<&SigningKey>) -> Vec<u8> {
    let new_key = next.map(SigningKey::verification_key);
    let draft = Draft { kind: KIND, sender: by.id, number, subject: Subject::None, new_key, body: b"" };
    let message = |&(author, number): &Named| (author.handle(), MessageId { author, number });
    let history: Vec<_> = history.iter().map(message).collect();
    draft.sign_after(&GROUP, (by.id.handle(), None), &history, &by.key).0
}

fn sign(by: &Author, number: u32, history: &[Named]) -> Vec<u8> {
    sign_with(by, number, history, None)
}

/// Receives at a member that has the right secret of every acknowledgement.
fn receive_and_check(order: &mut CausalOrder, by: &Author, bytes: &[u8]) -> Result<Receipt, Error> {
    let envelope = Envelope::decode(bytes).unwrap();
    let Some(tagged) = order.arrives(&by.id, &GROUP, &envelope) else { return receive(order, by.id, bytes) };
    if !tagged.is_authentic(&Secret::new([RIGHT; 32])) {
        return Err(Error::NotAuthentic);
    }
    order.taken(&by.id);
    Ok(Receipt::Verified)
}

/// Checks what has waited and can be checked. Returns how many were authentic.
fn settle(order: &mut CausalOrder) -> usize {
    let mut taken = 0;
    while let Some((id, candidates)) = order.due(&GROUP) {
        if candidates.iter().any(|it| it.is_authentic(&Secret::new([RIGHT; 32]))) {
            order.taken(&id);
            taken += 1;
        }
    }
    taken
}

/// An order that knows these authors, and has delivered messages of them up to these numbers.
fn order_of(authors: &[(&Author, u32)]) -> CausalOrder {
    let mut order = CausalOrder::with_tags();
    for (author, number) in authors {
        order.introduce(author.id, author.key.verification_key(), *number, &GROUP);
    }
    order
}

/// Numbers of one author.
fn numbers(of: &Author, messages: &[(MemberId, u32)]) -> Vec<u32> {
    messages.iter().filter(|(id, _)| *id == of.id).map(|(_, number)| *number).collect()
}

#[test]
fn a_signed_message_brings_the_acknowledgements_before_it() {
    let [alice, mut bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    let signed = sign(&alice, 3, &[(bob.id, 1), (bob.id, 2)]);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified));
    // In causal order, as if they had arrived.
    assert_eq!(delivered(&mut order), []);
    receive(&mut order, bob.id, &bob.send(b"one")).unwrap();
    assert_eq!(delivered(&mut order), [(bob.id, 1), (alice.id, 1)]);
    receive(&mut order, bob.id, &bob.send(b"two")).unwrap();
    assert_eq!(delivered(&mut order), [(bob.id, 2), (alice.id, 2), (alice.id, 3)]);
    // They are no news any more.
    let late = tag(&alice, 1, (bob.id, 1), RIGHT);
    assert_eq!(receive_and_check(&mut order, &alice, &late), Ok(Receipt::Duplicate));
    assert!(order.is_idle() && order.take_contradicting().is_empty());
}

#[test]
fn what_is_taken_by_its_tag_is_delivered_with_the_next_signed_message() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
    let history = [(bob.id, 4), (bob.id, 5)];
    for (number, named) in (1..).zip(history) {
        let genuine = tag(&alice, number, named, RIGHT);
        let forged = tag(&alice, number, named, WRONG);
        assert_eq!(receive_and_check(&mut order, &alice, &forged), Err(Error::NotAuthentic));
        assert_eq!(receive_and_check(&mut order, &alice, &genuine), Ok(Receipt::Verified));
        assert_eq!((order.latest(&alice.id), delivered(&mut order).len()), (Some(number), 0));
        assert_eq!(receive_and_check(&mut order, &alice, &genuine), Ok(Receipt::Duplicate));
    }
    receive(&mut order, alice.id, &sign(&alice, 3, &history)).unwrap();
    assert_eq!(numbers(&alice, &delivered(&mut order)), [1, 2, 3]);
    assert_eq!(order.latest(&alice.id), Some(3));
}

/// Somebody who knows the secrets sends acknowledgements in the author's name. Each case: what it sends, from number 1 on, and
/// what the author's signed message after the last number says.
#[test]
fn what_a_signed_message_says_is_delivered_whatever_was_taken_by_tags() {
    let [alice, bob] = [1, 2].map(Author::new);
    let [one, two, three] = [1, 2, 3].map(|number| (bob.id, number));
    let cases: [(&[Named], &[Named]); 7] = [
        (&[one, two], &[one, two]),
        (&[one, three], &[one, two]),
        (&[two, one], &[one, two]),
        (&[one, two, three], &[one, two]),
        (&[one], &[]),
        (&[one, two], &[]),
        (&[one], &[two, one, three]),
    ];
    for (forged, said) in cases {
        let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
        for (number, named) in (1..).zip(forged) {
            let bytes = tag(&alice, number, *named, RIGHT);
            assert_eq!(receive_and_check(&mut order, &alice, &bytes), Ok(Receipt::Verified));
        }
        let next = Author::new(50).key;
        let number = said.len() as u32 + 1;
        let signed = sign_with(&alice, number, said, Some(&next));
        assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified), "{said:?}");
        let messages: Vec<_> = core::iter::from_fn(|| order.deliver(|_, _, _| true)).collect();
        let named = messages.iter().filter_map(|(_, message)| message.subject.acknowledged());
        assert!(named.eq(said.iter().map(|(author, number)| MessageId { author: *author, number: *number })));
        assert_eq!(messages.len(), said.len() + 1);
        // And the author is followed on, under its new key.
        let next = Author { key: next, ..alice };
        assert_eq!(receive(&mut order, alice.id, &sign(&next, number + 1, &[])), Ok(Receipt::Verified));
        assert_eq!(delivered(&mut order), [(alice.id, number + 1)]);
        assert!(order.take_contradicting().is_empty() && order.is_idle());
    }
}

/// A tag has taken the number of a message that another acknowledges.
#[test]
fn nothing_is_delivered_because_of_a_tag() {
    let [mut alice, mut bob, carol] = [1, 2, 5].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0), (&carol, 9)]);
    let forged = tag(&alice, 1, (carol.id, 1), RIGHT);
    assert_eq!(receive_and_check(&mut order, &alice, &forged), Ok(Receipt::Verified));
    let answer = bob.acknowledge(&alice, 1);
    receive(&mut order, bob.id, &answer).unwrap();
    let tagged = tag(&carol, 10, (alice.id, 1), RIGHT);
    assert_eq!(receive_and_check(&mut order, &carol, &tagged), Ok(Receipt::Waits));
    assert!(!order.has_delivered(&alice.id, 1));
    assert_eq!((settle(&mut order), delivered(&mut order)), (0, vec![]));
    receive(&mut order, alice.id, &alice.send(b"genuine")).unwrap();
    assert_eq!(delivered(&mut order), [(alice.id, 1), (bob.id, 1)]);
    assert_eq!(settle(&mut order), 1);
}

#[test]
fn an_author_that_calls_a_signed_message_an_acknowledgement_is_noticed() {
    for lies in [false, true] {
        let [alice, bob] = [1, 2].map(Author::new);
        let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
        receive(&mut order, alice.id, &sign(&alice, 1, &[])).unwrap();
        let history: &[Named] = if lies { &[(bob.id, 1), (bob.id, 2)] } else { &[(bob.id, 2)] };
        assert_eq!(receive(&mut order, alice.id, &sign(&alice, 3, history)), Ok(Receipt::Verified));
        assert_eq!(delivered(&mut order).len(), 3);
        assert_eq!(!order.take_contradicting().is_empty(), lies);
    }
}

/// A member that has learnt of an author after some of its acknowledgements cannot compare them.
#[test]
fn a_joiner_takes_a_history_that_begins_before_it_joined() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 2), (&bob, 9)]);
    let signed = sign(&alice, 4, &[(bob.id, 1), (bob.id, 2), (bob.id, 3)]);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified));
    assert_eq!(delivered(&mut order), [(alice.id, 3), (alice.id, 4)]);
    assert!(order.take_contradicting().is_empty());
}

#[test]
fn signed_messages_are_verified_in_their_order_whatever_is_taken_by_tags() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
    let next = Author::new(50).key;
    let first = sign_with(&alice, 2, &[(bob.id, 1)], Some(&next));
    let rotated = Author { key: next, ..alice };
    let second = sign(&rotated, 4, &[(bob.id, 2)]);
    assert_eq!(receive(&mut order, alice.id, &second), Ok(Receipt::Waits));
    // A member forges up to the number before it.
    for (number, named) in [(1, 1), (2, 3), (3, 2)] {
        let forged = tag(&alice, number, (bob.id, named), RIGHT);
        assert_eq!(receive_and_check(&mut order, &alice, &forged), Ok(Receipt::Verified));
    }
    assert_eq!(delivered(&mut order), []);
    assert_eq!(receive(&mut order, alice.id, &first), Ok(Receipt::Verified));
    assert_eq!(numbers(&alice, &delivered(&mut order)), [1, 2, 3, 4]);
}

#[test]
fn an_acknowledgement_that_overtakes_waits_for_its_turn() {
    let [alice, mut bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    for (number, named) in [(2, 2), (1, 1), (3, 3)] {
        let bytes = tag(&alice, number, (bob.id, named), RIGHT);
        assert_eq!(receive_and_check(&mut order, &alice, &bytes), Ok(Receipt::Waits));
        assert_eq!(receive_and_check(&mut order, &alice, &bytes), Ok(Receipt::Duplicate));
        assert_eq!(settle(&mut order), 0);
    }
    for count in 1..=3 {
        receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
        assert_eq!(delivered(&mut order), [(bob.id, count)]);
        assert_eq!(settle(&mut order), 1);
        assert_eq!(order.latest(&alice.id), Some(count));
    }
    assert!(order.is_idle());
}

/// Wrong tags wait beside the right one, of the same message and of others.
#[test]
fn forgeries_that_wait_do_not_displace_the_genuine_acknowledgement() {
    let [alice, mut bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0)]);
    for bytes in [
        tag(&alice, 1, (bob.id, 1), WRONG),
        tag(&alice, 1, (bob.id, 2), RIGHT),
        tag(&alice, 1, (bob.id, 1), RIGHT),
        tag(&alice, 1, (bob.id, 1), WRONG + 1),
    ] {
        assert_eq!(receive_and_check(&mut order, &alice, &bytes), Ok(Receipt::Waits));
    }
    receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
    assert_eq!(delivered(&mut order), [(bob.id, 1)]);
    assert_eq!(settle(&mut order), 1);
    assert_eq!(order.latest(&alice.id), Some(1));
    assert!(order.is_idle(), "the turn of the others is over");
}

/// An outsider fills the room for tags, and that for signed messages.
#[test]
fn floods_keep_nothing_that_is_signed_from_being_taken() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 5000)]);
    let size = encode(&order).len();
    for index in 0..LIMIT {
        let forged = tag(&alice, 1 + index % 2, (bob.id, 1_000_000 + index), WRONG);
        assert_eq!(receive_and_check(&mut order, &alice, &forged), Ok(Receipt::Waits));
    }
    for index in 0..MAX_WAITING_PER_AUTHOR as u32 {
        let forged = sign(&alice.forger(), 1000 + index, &[]);
        assert_eq!(receive(&mut order, alice.id, &forged), Ok(Receipt::Waits));
    }
    for index in 0..1000 {
        let forged = tag(&alice, 2, (bob.id, 2_000_000 + index), WRONG);
        assert_eq!(receive_and_check(&mut order, &alice, &forged), Err(Error::QueueFull));
    }
    // What can be checked needs no room.
    let genuine = tag(&alice, 1, (bob.id, 4000), RIGHT);
    assert_eq!(receive_and_check(&mut order, &alice, &genuine), Ok(Receipt::Verified));
    let signed = sign(&alice, 3, &[(bob.id, 4000), (bob.id, 4001)]);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified));
    assert_eq!(delivered(&mut order).len(), 3);
    receive(&mut order, alice.id, &sign(&alice, 5000, &[])).unwrap_err();
    let waiting = MAX_WAITING_PER_AUTHOR * (sign(&alice, 1000, &[]).len() + 1);
    assert!(encode(&order).len() < size + waiting + 500, "nothing of the tags is left");
}

#[test]
fn an_altered_history_is_refused() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 9)]);
    let genuine = sign(&alice, 2, &[(bob.id, 1)]);
    for at in genuine.len() - 64 - 9..genuine.len() - 64 {
        let mut altered = genuine.clone();
        altered[at] ^= 2;
        // Another handle is that of nobody.
        assert_ne!(receive(&mut order, alice.id, &altered), Ok(Receipt::Verified), "{at}");
    }
    let mut altered = genuine.clone();
    altered[genuine.len() - 65] = 2;
    assert_eq!(receive(&mut order, alice.id, &altered), Err(Error::NotAuthentic));
    assert_eq!(receive(&mut order, alice.id, &genuine), Ok(Receipt::Verified));
}

/// The signed message before it waits for what it acknowledges.
#[test]
fn an_acknowledgement_is_found_when_the_signed_message_before_it_is_delivered() {
    let [mut alice, mut bob, carol] = [1, 2, 5].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 0), (&carol, 9)]);
    let signed = alice.acknowledge(&bob, 1);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified));
    let tagged = tag(&alice, 2, (carol.id, 1), RIGHT);
    assert_eq!(receive_and_check(&mut order, &alice, &tagged), Ok(Receipt::Waits));
    assert_eq!(settle(&mut order), 0);
    receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
    assert_eq!(delivered(&mut order), [(bob.id, 1), (alice.id, 1)]);
    assert_eq!((settle(&mut order), order.latest(&alice.id)), (1, Some(2)));
}

/// Two users of the history are not known yet.
#[test]
fn a_history_waits_until_everybody_in_it_is_known() {
    let [alice, bob, carol] = [1, 2, 5].map(Author::new);
    let mut order = order_of(&[(&alice, 0)]);
    let signed = sign(&alice, 3, &[(bob.id, 1), (carol.id, 1)]);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Waits));
    let forged = sign(&alice.forger(), 2, &[(carol.id, 1)]);
    assert_eq!(receive(&mut order, alice.id, &forged), Ok(Receipt::Waits));
    for user in [&carol, &bob] {
        assert_eq!(delivered(&mut order), []);
        order.introduce(user.id, user.key.verification_key(), 1, &GROUP);
    }
    assert_eq!(delivered(&mut order).len(), 3);
    assert!(order.is_idle());
}

#[test]
fn no_more_than_the_limit_are_taken_by_tags_without_a_signed_message() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 9000)]);
    let named = |number| (bob.id, number);
    for number in 1..=LIMIT {
        let genuine = tag(&alice, number, named(number), RIGHT);
        assert_eq!(receive_and_check(&mut order, &alice, &genuine), Ok(Receipt::Verified));
    }
    let next = tag(&alice, LIMIT + 1, named(LIMIT + 1), RIGHT);
    assert_eq!(receive_and_check(&mut order, &alice, &next), Ok(Receipt::Waits));
    assert_eq!(settle(&mut order), 0);
    let history: Vec<Named> = (1..=LIMIT).map(named).collect();
    receive(&mut order, alice.id, &sign(&alice, LIMIT + 1, &history)).unwrap();
    assert_eq!(delivered(&mut order).len(), MAX_TAGGED + 1);
    assert!(order.take_contradicting().is_empty() && order.is_idle());
}

#[test]
fn an_author_signs_when_it_has_sent_the_limit_and_says_all_of_them() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = order_of(&[(&alice, 0), (&bob, 9000)]);
    let key = alice.key.verification_key();
    for number in 1..=LIMIT {
        assert!(!order.must_sign(&bob.id));
        let acknowledged = MessageId { author: bob.id, number };
        let envelope = tag(&alice, number, (bob.id, number), RIGHT);
        let envelope = Envelope::decode(&envelope).unwrap();
        let digest = envelope.digest(&GROUP, &alice.id, &Subject::Acknowledged(bob.id, number));
        order.sent_tagged(&alice.id, number, digest, &key, acknowledged);
        assert_eq!(order.history().last(), Some(&(bob.id.handle(), acknowledged)));
    }
    assert!(order.must_sign(&bob.id) && order.history().len() == MAX_TAGGED);
    let (_, digest) =
        Draft { kind: KIND, sender: alice.id, number: LIMIT + 1, subject: Subject::None, new_key: None, body: b"" }
            .sign_after(&GROUP, (alice.id.handle(), None), &order.history(), &alice.key);
    order.sent(&alice.id, LIMIT + 1, digest, &key, None);
    assert!(!order.must_sign(&bob.id) && order.history().is_empty());
    assert_eq!(order.frontier(&alice.id).map(|(number, _)| number), Some(LIMIT + 1));
}

/// A history has from 1 to 64 messages, each with a number, and begins after number 0.
#[test]
fn a_history_has_one_form() {
    let [alice, bob] = [1, 2].map(Author::new);
    let encoded = |number: u32, count: u32, messages: &[u32]| {
        let mut bytes = sign(&alice, number, &[(bob.id, 1)]);
        let start = bytes.len() - 64 - (1 + 8 + 1);
        bytes.truncate(start);
        put_varint(&mut bytes, count);
        for message in messages {
            bytes.extend_from_slice(&bob.id.handle().0);
            put_varint(&mut bytes, *message);
        }
        bytes.extend_from_slice(&[0; 64]);
        bytes
    };
    let decode = |bytes: &[u8]| Envelope::decode(bytes).map(|envelope| (envelope.follows(), envelope.history.len()));
    let most = vec![5; MAX_TAGGED];
    assert_eq!(decode(&encoded(2, 1, &[1])), Ok((0, 1)));
    assert_eq!(decode(&encoded(65, LIMIT, &most)), Ok((0, LIMIT)));
    for (number, count, messages) in [
        (2, 0, &[][..]),
        (2, 2, &[1, 1]),
        (1, 1, &[1]),
        (64, LIMIT, &most),
        (99, LIMIT + 1, &[&most[..], &[1]].concat()),
        (9, 1, &[0]),
        (9, 2, &[1]),
    ] {
        assert_eq!(decode(&encoded(number, count, messages)), Err(Error::Malformed), "{number} {count}");
    }
    // Only a tag makes a message an acknowledgement with a tag.
    let mut other = sign(&alice, 2, &[(bob.id, 1)]);
    assert!(Envelope::decode(&other).is_ok());
    other[1] |= 0x8f;
    assert_eq!(decode(&other), Err(Error::Malformed));
    // Without tags, there is none.
    let mut order = CausalOrder::default();
    order.introduce(alice.id, alice.key.verification_key(), 0, &GROUP);
    assert_eq!(receive(&mut order, alice.id, &sign(&alice, 2, &[(alice.id, 1)])), Err(Error::Malformed));
}

#[test]
fn a_message_with_the_last_number_is_judged_where_there_is_no_room() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = CausalOrder::with_tags();
    order.introduce(alice.id, alice.key.verification_key(), u32::MAX - 1, &GROUP);
    order.introduce(bob.id, bob.key.verification_key(), 0, &GROUP);
    let sign = |by: MemberId, number, body: &[u8]| {
        let draft = Draft { kind: KIND, sender: by, number, subject: Subject::None, new_key: None, body };
        draft.sign(&GROUP, by.handle(), None, &bob.key).0
    };
    // Version, kind, sender, number of two bytes, signature.
    let body = vec![0; MAX_MESSAGE_LEN - 1 - 1 - 8 - 2 - 64];
    for number in 1000..1016 {
        assert_eq!(receive(&mut order, bob.id, &sign(bob.id, number, &body)), Ok(Receipt::Waits));
    }
    assert_eq!(receive(&mut order, bob.id, &sign(bob.id, 1016, &body)), Err(Error::QueueFull));
    // It has nothing to wait for, so it needs no room.
    assert_eq!(receive(&mut order, alice.id, &sign(alice.id, u32::MAX, b"")), Err(Error::NotAuthentic));
}

#[test]
fn a_tag_under_the_number_of_something_else_is_not_authentic() {
    let [alice, bob] = [1, 2].map(Author::new);
    let mut order = CausalOrder::with_tags();
    order.introduce(alice.id, alice.key.verification_key(), 0, &GROUP);
    order.introduce(bob.id, bob.key.verification_key(), 9, &GROUP);
    let signed = sign_with(&alice, 1, &[], None);
    assert_eq!(receive(&mut order, alice.id, &signed), Ok(Receipt::Verified));
    let (mine, other) = ((bob.id, 5), (bob.id, 6));
    assert_eq!(receive(&mut order, alice.id, &tag(&alice, 1, mine, RIGHT)), Err(Error::NotAuthentic));
    // What a member has sent itself is its own, and another message under its number is not.
    let mut order = CausalOrder::with_tags();
    order.introduce(alice.id, alice.key.verification_key(), 0, &GROUP);
    order.introduce(bob.id, bob.key.verification_key(), 9, &GROUP);
    let own = tag(&alice, 1, mine, RIGHT);
    let acknowledged = MessageId { author: mine.0, number: mine.1 };
    let digest = tagged_digest(&GROUP, &alice.id, 1, acknowledged);
    order.sent_tagged(&alice.id, 1, digest, &alice.key.verification_key(), acknowledged);
    assert_eq!(receive(&mut order, alice.id, &own), Ok(Receipt::Duplicate));
    assert_eq!(receive(&mut order, alice.id, &tag(&alice, 1, other, RIGHT)), Err(Error::NotAuthentic));
}
