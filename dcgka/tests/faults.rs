//! Messages that are damaged, forged, withheld or against the rules, and what a member must bear.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{COLD, COMMITMENT, Sent, World, deliver, rejections, says_none};
use dcgka::MAX_UNACKNOWLEDGED;
use protocol::crypto::dh::PublicKey;
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::label;
use protocol::crypto::signature::SigningKey;
use protocol::directory::Directory as _;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Incoming, Received};
use protocol::wire::codec::put_varint;
use protocol::wire::envelope::{Draft, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[test]
fn a_member_without_a_bundle_gets_an_empty_slot_and_says_none() {
    let mut world = World::new(4, 420);
    let id = world.id(3);
    let bundle = world.directory.bundle(&id).unwrap();
    world.directory.publish(id, vec![1, 2, 3], Vec::new());
    let create = world.create(0, &[1, 2, 3]);
    assert_eq!(world.body(create[0]).len(), 32 + COMMITMENT + 1 + 3 * 32 + 2 * COLD + 1);
    let answers = deliver(&mut world, &[&create], &[1, 2, 3]);
    assert_eq!(answers.iter().map(|place| says_none(&world, *place)).collect::<Vec<_>>(), [false, false, true]);
    world.settle();
    world.directory.publish(id, bundle, Vec::new());
    // Its own secrets begin with its first update; those of others it never learns.
    let said = world.say(3, "hello");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.say(0, "hello too");
    world.settle();
    assert!([0, 1, 2].into_iter().all(|user| world.has_read(user, 3, "hello")));
    assert!([1, 2].into_iter().all(|user| world.has_read(user, 0, "hello too")));
    assert!(!world.has_read(3, 0, "hello too"));
    assert_eq!(rejections(&world), 0);
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn a_ciphertext_that_does_not_open_stops_nobody_else() {
    let mut world = World::with_group(4, 5, 421);
    let id = world.id(1);
    let bundle = world.directory.bundle(&id).unwrap();
    let update = world.update(1);
    world.directory.publish(id, Vec::new(), Vec::new());
    let answer = deliver(&mut world, &[&update], &[3]);
    assert!(says_none(&world, answer[0]));
    world.directory.publish(id, bundle, Vec::new());
    world.settle();
    for user in [0, 1, 2, 3] {
        world.say(user, "on and on");
    }
    world.settle();
    for (sender, reader) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)] {
        assert!(world.has_read(reader, sender, "on and on"), "user {reader} reads {sender}");
    }
    assert!(!world.has_read(3, 1, "on and on"));
    // Somebody who joins knows everybody, that one too; and it goes on answering.
    world.add(3, 4);
    world.update(0);
    world.settle();
    for user in [0, 1, 2, 3] {
        world.say(user, "with a newcomer");
    }
    world.settle();
    assert!([0, 1, 2, 3].into_iter().all(|sender| world.has_read(4, sender, "with a newcomer")));
    assert_eq!(rejections(&world), 0);
    world.remove(0, 3);
    world.settle();
    world.check(&[0, 1, 2, 4]);
}

#[test]
fn what_a_member_must_not_do_is_refused_and_changes_nothing() {
    let mut world = World::with_group(4, 5, 430);
    let ids: Vec<_> = (0..5).map(|user| world.id(user)).collect();
    let before = world.users[0].member.export();
    assert_eq!(world.act(0, |member, context| member.remove(&ids[0], context)), Err(Error::RemovesItself));
    assert_eq!(world.act(0, |member, context| member.remove(&ids[4], context)), Err(Error::NotAMember));
    assert_eq!(world.act(0, |member, context| member.add(&ids[1], context)), Err(Error::AlreadyAMember));
    let long = vec![0; dcgka::MAX_PLAINTEXT_LEN + 1];
    assert_eq!(world.act(0, |member, context| member.send(&long, context)), Err(Error::PlaintextTooLong));
    assert!(world.users[0].member.export() == before);
    assert_eq!(world.act(4, |member, context| member.update(context)), Err(Error::NotInGroup));
    world.remove(0, 3);
    world.settle();
    for user in [0, 1, 2] {
        assert_eq!(world.act(user, |member, context| member.add(&ids[3], context)), Err(Error::AlreadyAMember));
        assert_eq!(world.act(user, |member, context| member.remove(&ids[3], context)), Err(Error::NotAMember));
    }
    assert_eq!(world.act(3, |member, context| member.update(context)), Err(Error::NotInGroup));
    world.check(&[0, 1, 2]);
}

#[test]
fn a_damaged_message_does_nothing_and_the_genuine_one_still_counts() {
    let mut world = World::with_group(3, 4, 440);
    let update = world.update(1)[0];
    let ack = deliver(&mut world, &[&[update]], &[0])[0];
    let message = world.say(1, "genuine")[0];
    for place in [update, ack, message] {
        let Sent { author, bytes, .. } = world.sent[place].clone();
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << (position % 8);
            let before = world.users[2].member.export();
            match world.receive(author, &damaged, 2) {
                // It waits for a turn or a name that never comes.
                Ok(received) => assert_eq!(received, Received::default(), "message {place} damaged at {position}"),
                Err(_) => assert!(world.users[2].member.export() == before, "message {place} damaged at {position}"),
            }
        }
        let before = world.users[2].member.export();
        for len in 0..bytes.len() {
            assert!(world.receive(author, &bytes[..len], 2).is_err());
        }
        assert!(world.users[2].member.export() == before);
        // In another's name.
        assert_eq!(world.receive(1 - author, &bytes, 2), Err(Error::WrongAuthor));
        assert!(!world.receive(author, &bytes, 2).unwrap().events.is_empty(), "message {place}");
        world.users[2].received.insert(place);
    }
    world.add(0, 3);
    world.settle();
    // The answers to the update that were taken out of the network here are lost: it counts as unanswered.
    assert_eq!(world.members(2), [0, 1, 2, 3]);
}

#[test]
fn a_second_message_under_one_number_is_reported() {
    let mut world = World::with_group(3, 3, 441);
    let mut copy = world.users[1].member.duplicate();
    let first = world.update(1)[0];
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut context =
        protocol::member::Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let second = copy.update(&mut context).unwrap().remove(0).bytes;
    world.deliver(first, 0);
    let received = world.receive(1, &second, 0).unwrap();
    assert_eq!(received.events, [Event::Equivocation { by: world.id(1) }]);
    assert!(received.outgoing.is_empty());
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn forged_messages_cannot_fill_up_a_member() {
    let mut world = World::with_group(3, 3, 442);
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(2));
    let sender = world.id(1);
    // As much as fits, in ever smaller pieces.
    let sizes = [(1 << 20) - 200, 1000, 100, 1].into_iter().flat_map(|size| [size; 20]);
    for (number, size) in sizes.enumerate() {
        let (number, body) = (u32::MAX - u32::try_from(number).unwrap(), vec![0; size]);
        let draft = Draft { kind: Kind(9), sender, number, subject: Subject::None, new_key: None, body: &body };
        let (bytes, _) = draft.sign(&world.group, sender.handle(), None, &key);
        let result = world.receive(1, &bytes, 2);
        assert!(matches!(result, Ok(_) | Err(Error::QueueFull)));
    }
    world.update(1);
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn a_forged_create_makes_no_group() {
    for number in [1, 2, u32::MAX] {
        let mut world = World::new(3, 443);
        world.users[2].online = true;
        let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(3));
        let (creator, user) = (world.id(0), world.id(1));
        let nonce = Digest([7; 32]);
        let body = [&nonce.0[..], &[8; 32], &[1], &user.0, &[0]].concat();
        let group = GroupId::new(&creator, &nonce);
        let draft =
            Draft { kind: Kind(1), sender: creator, number, subject: Subject::None, new_key: None, body: &body };
        let (bytes, _) = draft.sign(&group, creator.handle(), None, &key);
        world.group = group;
        assert!(world.receive(0, &bytes, 1).is_err());
        assert_eq!(world.users[1].member.group(), None);
        world.create(0, &[1, 2]);
        world.settle();
        world.check(&[0, 1, 2]);
    }
}

#[test]
fn a_welcome_that_knows_the_newcomer_is_refused() {
    let mut world = World::new(2, 444);
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(4));
    let new_key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(5)).verification_key();
    let inviter = MemberId(*key.verification_key().as_bytes());
    let (creator, user) = (world.id(0), world.id(1));
    let group = GroupId([9; 32]);
    world.group = group;
    let body = [&user.0[..], &[1], &[0; COLD - 1]].concat();
    let add = Draft {
        kind: Kind(2),
        sender: inviter,
        number: 1,
        subject: Subject::None,
        new_key: Some(new_key),
        body: &body,
    };
    let (add_bytes, digest) = add.sign(&group, inviter.handle(), None, &key);
    // Three are known, the newcomer the second of them; the creator has added the third, the inviter.
    let membership = [&[3][..], &creator.0, &user.0, &inviter.0, &[1, 2, 3, 1, 0, 2, 4, 1, 0, 0]].concat();
    let mut clock = Vec::new();
    for handled in [2, 0] {
        put_varint(&mut clock, handled);
        clock.push(0);
    }
    let body = [&digest.0[..], &membership, &clock].concat();
    let welcome =
        Draft { kind: Kind(8), sender: inviter, number: 1, subject: Subject::None, new_key: None, body: &body };
    let (welcome_bytes, _) = welcome.sign(&group, inviter.handle(), None, &key);
    let mut receive = |bytes: &[u8]| {
        let incoming = Incoming { group, author: inviter, bytes };
        world.act(1, |member, context| member.receive_one(&incoming, context).map(|received| received.outgoing))
    };
    assert_eq!(receive(&add_bytes), Ok(Vec::new()));
    assert_eq!(receive(&welcome_bytes), Err(Error::Malformed));
    assert_eq!(world.users[1].member.group(), None);
}

#[test]
fn an_add_that_fails_undoes_its_repair() {
    let mut world = World::with_group(6, 6, 445);
    world.remove(0, 4);
    world.remove(1, 5);
    world.settle();
    // A user whose own signature covers keys of small order.
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(6));
    let user = MemberId(*key.verification_key().as_bytes());
    let weak = PublicKey([0; 32]);
    let signature = key.sign(&hash::hash(label::BUNDLE, &[&user.0, &weak.0, &weak.0]).0);
    world.directory.publish(user, [&weak.0[..], &weak.0, &signature.0].concat(), Vec::new());
    assert_eq!(world.act(2, |member, context| member.add(&user, context)), Err(Error::NoBundle));
    let said = world.say(2, "nothing happened");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    assert!([0, 1, 3].into_iter().all(|reader| world.has_read(reader, 2, "nothing happened")));
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn keys_for_a_silent_member_are_bounded_and_its_answers_free_them() {
    let mut world = World::with_group(2, 2, 446);
    let mut updates = 0;
    while world.act(0, |member, context| member.update(context)).is_ok() {
        updates += 1;
    }
    assert!(updates <= MAX_UNACKNOWLEDGED && updates + 2 > MAX_UNACKNOWLEDGED);
    world.say(0, "still speaking");
    world.settle();
    assert!(world.has_read(1, 0, "still speaking"));
    world.update(0);
    world.settle();
    world.check(&[0, 1]);
}
