//! Envelopes and causal order: when messages are verified and delivered, what waits, and what a forger can and cannot
//! do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod exports;
mod schedules;
mod tagged;
mod together;
mod waiting;

use proptest::prelude::*;
use protocol::causal_order::{CausalOrder, MAX_WAITING_PER_AUTHOR, Receipt};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const GROUP: GroupId = GroupId([9; 32]);
const KIND: Kind = Kind(1);

struct Author {
    id: MemberId,
    key: SigningKey,
    number: u32,
}

impl Author {
    fn new(seed: u64) -> Self {
        let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(seed));
        Self { id: MemberId(*key.verification_key().as_bytes()), key, number: 0 }
    }

    fn sign(&self, number: u32, subject: Subject<MemberId>, next: Option<&SigningKey>, body: &[u8]) -> Vec<u8> {
        let new_key = next.map(SigningKey::verification_key);
        let draft = Draft { kind: KIND, sender: self.id, number, subject, new_key, body };
        draft.sign(&GROUP, self.id.handle(), subject.name().map(|id| id.handle()), &self.key).0
    }

    /// Somebody that signs in the author's name with a key of its own.
    fn forger(&self) -> Self {
        Self { key: Self::new(3).key, ..*self }
    }

    /// The author's next messages, each with a new key.
    fn rotate(&mut self, count: u32) -> Vec<Vec<u8>> {
        let rotate = |_| {
            self.number += 1;
            let next = Self::new(1000 + u64::from(self.number)).key;
            let message = self.sign(self.number, Subject::None, Some(&next), b"");
            self.key = next;
            message
        };
        (0..count).map(rotate).collect()
    }

    fn send(&mut self, body: &[u8]) -> Vec<u8> {
        self.number += 1;
        self.sign(self.number, Subject::None, None, body)
    }

    fn acknowledge(&mut self, other: &Author, number: u32) -> Vec<u8> {
        self.number += 1;
        self.sign(self.number, Subject::Acknowledged(other.id, number), None, &[])
    }
}

fn order_of(authors: &[&Author]) -> CausalOrder {
    let mut order = CausalOrder::default();
    authors.iter().for_each(|author| order.introduce(author.id, author.key.verification_key(), 0, &GROUP));
    order
}

fn encode(order: &CausalOrder) -> Vec<u8> {
    let mut state = Vec::new();
    order.encode(&mut state);
    state
}

fn receive(order: &mut CausalOrder, id: MemberId, bytes: &[u8]) -> Result<Receipt, Error> {
    order.receive(&id, &GROUP, bytes)
}

/// Delivers everything that is ready. Returns authors and numbers.
fn delivered(order: &mut CausalOrder) -> Vec<(MemberId, u32)> {
    core::iter::from_fn(|| order.deliver(|_, _, _| true)).map(|(id, message)| (id, message.number)).collect()
}

#[test]
fn messages_are_delivered_in_the_order_of_their_numbers_however_they_arrive() {
    let mut alice = Author::new(1);
    let messages: Vec<_> = (0..4).map(|index| alice.send(&[index])).collect();
    let mut order = order_of(&[&alice]);
    for index in [2, 3, 1] {
        assert_eq!(receive(&mut order, alice.id, &messages[index]), Ok(Receipt::Waits));
        assert_eq!(delivered(&mut order), []);
    }
    assert_eq!(receive(&mut order, alice.id, &messages[2]), Ok(Receipt::Duplicate), "it waits already");
    assert_eq!(receive(&mut order, alice.id, &messages[0]), Ok(Receipt::Verified));
    assert_eq!(delivered(&mut order), (1..=4).map(|number| (alice.id, number)).collect::<Vec<_>>());
    assert!(order.is_idle());
    assert_eq!(receive(&mut order, alice.id, &messages[3]), Ok(Receipt::Duplicate));
}

#[test]
fn an_acknowledgement_waits_for_what_it_acknowledges() {
    let (mut alice, mut bob) = (Author::new(1), Author::new(2));
    let change = alice.send(b"change");
    let answers = [bob.acknowledge(&alice, 1), bob.send(b"after it")];
    let mut order = order_of(&[&alice, &bob]);
    for answer in &answers {
        assert_eq!(receive(&mut order, bob.id, answer), Ok(Receipt::Verified), "verified immediately");
    }
    assert_eq!(delivered(&mut order), []);
    receive(&mut order, alice.id, &change).unwrap();
    assert_eq!(delivered(&mut order), [(alice.id, 1), (bob.id, 1), (bob.id, 2)]);
}

#[test]
fn a_forged_message_takes_no_number_and_displaces_nothing() {
    let (mut alice, mallory) = (Author::new(1), Author::new(4));
    let genuine: Vec<_> = (0..3).map(|index| alice.send(&[index])).collect();
    let forger = alice.forger();
    let mut order = order_of(&[&alice, &mallory]);
    assert_eq!(receive(&mut order, alice.id, &forger.sign(1, Subject::None, None, b"")), Err(Error::NotAuthentic));
    assert_eq!(receive(&mut order, mallory.id, &genuine[0]), Err(Error::WrongAuthor));
    // Later numbers cannot be verified yet: forged messages wait next to genuine ones.
    for number in [2, 3] {
        let forged = forger.sign(number, Subject::None, None, b"forged");
        assert_eq!(receive(&mut order, alice.id, &forged), Ok(Receipt::Waits));
    }
    for message in genuine.iter().rev() {
        receive(&mut order, alice.id, message).unwrap();
    }
    assert_eq!(delivered(&mut order).len(), 3);
    assert!(order.is_idle());
}

#[test]
fn forged_messages_that_fill_the_queue_do_not_keep_the_next_one_out() {
    let mut alice = Author::new(1);
    let forger = alice.forger();
    let mut order = order_of(&[&alice]);
    for number in 0..MAX_WAITING_PER_AUTHOR as u32 {
        receive(&mut order, alice.id, &forger.sign(number + 2, Subject::None, None, b"")).unwrap();
    }
    let full = receive(&mut order, alice.id, &forger.sign(9_999, Subject::None, None, b""));
    assert_eq!(full, Err(Error::QueueFull));
    for number in 1..10 {
        assert_eq!(receive(&mut order, alice.id, &alice.send(b"genuine")), Ok(Receipt::Verified));
        assert_eq!(delivered(&mut order), [(alice.id, number)]);
    }
}

#[test]
fn a_second_message_under_one_number_is_noticed_only_if_its_author_signed_it() {
    let alice = Author::new(1);
    let mut order = order_of(&[&alice]);
    receive(&mut order, alice.id, &alice.sign(1, Subject::None, None, b"one")).unwrap();
    let second = alice.sign(1, Subject::None, None, b"another");
    assert_eq!(receive(&mut order, alice.id, &second), Ok(Receipt::Equivocation));
    let forger = alice.forger();
    let forged = forger.sign(1, Subject::None, None, b"a third");
    assert_eq!(receive(&mut order, alice.id, &forged), Err(Error::NotAuthentic));
}

#[test]
fn a_new_key_holds_from_the_next_message_on() {
    let mut alice = Author::new(1);
    let next = Author::new(4).key;
    let mut order = order_of(&[&alice]);
    let rotation = alice.sign(1, Subject::None, Some(&next), b"");
    assert_eq!(receive(&mut order, alice.id, &rotation), Ok(Receipt::Verified));
    let with_old = alice.sign(2, Subject::None, None, b"");
    assert_eq!(receive(&mut order, alice.id, &with_old), Err(Error::NotAuthentic));
    alice.key = next;
    assert_eq!(receive(&mut order, alice.id, &alice.sign(2, Subject::None, None, b"")), Ok(Receipt::Verified));
}

#[test]
fn messages_of_an_unknown_author_wait_until_it_is_introduced() {
    let (mut alice, mut bob) = (Author::new(1), Author::new(2));
    let mut order = order_of(&[&alice]);
    assert_eq!(receive(&mut order, bob.id, &bob.send(b"hello")), Ok(Receipt::Waits));
    // So does a message that names an unknown user.
    assert_eq!(receive(&mut order, alice.id, &alice.acknowledge(&bob, 1)), Ok(Receipt::Waits));
    order.introduce(bob.id, bob.key.verification_key(), 0, &GROUP);
    assert_eq!(delivered(&mut order).len(), 2);
    assert!(order.is_idle());
}

#[test]
fn every_changed_byte_and_every_truncation_is_refused_and_harms_nothing() {
    let (alice, mut bob) = (Author::new(1), Author::new(2));
    let order = order_of(&[&alice, &bob]);
    let message = bob.acknowledge(&alice, 1);
    for position in 0..message.len() {
        for bit in 0..8 {
            let mut damaged = message.clone();
            damaged[position] ^= 1 << bit;
            // A message with a later number, or a name that nobody has, waits; it is never verified.
            let receipt = order.clone().receive(&bob.id, &GROUP, &damaged);
            assert!(matches!(receipt, Err(_) | Ok(Receipt::Waits)), "byte {position} bit {bit}: {receipt:?}");
        }
        assert!(order.clone().receive(&bob.id, &GROUP, &message[..position]).is_err());
    }
    assert_eq!(order.clone().receive(&bob.id, &GroupId([8; 32]), &message), Err(Error::NotAuthentic));
    assert_eq!(order.clone().receive(&bob.id, &GROUP, &message), Ok(Receipt::Verified));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes_decode_or_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::decode(&bytes);
        if let Some(version) = bytes.first_mut() {
            *version = 1;
        }
        let _ = Envelope::decode(&bytes);
    }
}
