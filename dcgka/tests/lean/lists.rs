//! Signed messages that name many acknowledgements, from members that lie: what they take of a member's time and room, and what
//! is reported.

use protocol::causal_order::MAX_WAITING_BYTES;
use protocol::crypto::count::snapshot;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::MessageId;
use protocol::member::{Backend as _, Event};
use protocol::wire::envelope::{Draft, Kind, MAX_TAGGED, Subject};

use super::concurrency::common::{World, carry};
use super::concurrency::identity_key;
use super::tagged_acks::group;

/// A member's messages with full lists, the last one first, of which the first acknowledges what nobody has sent. What finds no
/// room is refused.
fn lists(world: &mut World, author: usize, seed: u64, count: u32) -> usize {
    let (id, key) = (world.id(author), identity_key(world, author, seed));
    let delivered = world.users[0].member.delivered().unwrap();
    let next = delivered.iter().find(|(user, _)| *user == id).unwrap().1;
    let named = MessageId { author: world.id(0), number: 1_000_000 };
    let history = [(named.author.handle(), named); MAX_TAGGED];
    let mut refused = 0;
    for index in (0..count).rev() {
        let number = next + (MAX_TAGGED as u32 + 1) * (index + 1);
        let draft = Draft { kind: Kind(9), sender: id, number, subject: Subject::None, new_key: None, body: b"" };
        let (bytes, _) = draft.sign_after(&world.group, (id.handle(), None), &history, &key);
        match world.receive(author, &bytes, 0) {
            Ok(received) => assert!(received.events.is_empty()),
            Err(error) => {
                assert_eq!(error, Error::QueueFull);
                refused += 1;
            }
        }
    }
    refused
}

#[test]
fn lists_of_acknowledgements_take_no_more_room_than_may_wait() {
    let mut world = group(6, 6, 7003);
    let before = world.users[0].member.export().len();
    let refused: usize = (1..5).map(|author| lists(&mut world, author, 7003, 1024)).sum();
    let kept = world.users[0].member.export().len() - before;
    assert!(refused > 0 && kept > MAX_WAITING_BYTES / 8 && kept <= MAX_WAITING_BYTES, "{kept} bytes are kept");
    // The group goes on.
    let said = world.say(5, "all the same");
    carry(&mut world, &[&said], &[0]);
    assert!(world.has_read(0, 5, "all the same"));
    let state = world.users[0].member.export();
    assert_eq!(crate::VARIANT.restore(&state).unwrap().export(), state);
}

#[test]
fn a_waiting_message_is_decoded_twice_at_most() {
    let mut world = World::with_group(2, 34, 7005);
    world.say(0, "hello");
    world.say(1, "hello");
    world.settle();
    let sender = world.id(1);
    let next = world.users[0].member.delivered().unwrap().iter().find(|(user, _)| *user == sender).unwrap().1;
    let history: Vec<_> =
        (2..34).map(|user| (world.id(user).handle(), MessageId { author: world.id(user), number: 1 })).collect();
    let nobody = SigningKey::from_secret(&Secret::new([7; 32]));
    let messages = 500_u32;
    let before = snapshot();
    for index in 0..messages {
        let (number, body) = (next + 33, &index.to_be_bytes()[..]);
        let draft = Draft { kind: Kind(9), sender, number, subject: Subject::None, new_key: None, body };
        let bytes = draft.sign_after(&world.group, (sender.handle(), None), &history, &nobody).0;
        world.receive(1, &bytes, 0).unwrap();
    }
    for user in 2..34 {
        world.add(0, user);
    }
    let decoded = (snapshot() - before).envelopes;
    assert!(decoded <= 2 * u64::from(messages), "{decoded} envelopes are decoded, and {messages} have arrived");
}

#[test]
fn what_a_new_user_contradicts_is_reported_after_a_restore() {
    for restores in [false, true] {
        let mut world = group(3, 4, 7002);
        let (id, key) = (world.id(3), identity_key(&world, 3, 7002));
        let named = MessageId { author: world.id(0), number: 1 };
        let draft =
            |number, body| Draft { kind: Kind(9), sender: id, number, subject: Subject::None, new_key: None, body };
        let one = draft(1, &b"one"[..]).sign(&world.group, id.handle(), None, &key).0;
        let history = [(named.author.handle(), named); 2];
        let two = draft(3, &b"two"[..]).sign_after(&world.group, (id.handle(), None), &history, &key).0;
        for bytes in [&one, &two] {
            assert_eq!(world.receive(3, bytes, 0).unwrap().events, []);
        }
        world.add(0, 3);
        if restores {
            let state = world.users[0].member.export();
            world.users[0].member = crate::VARIANT.restore(&state).unwrap();
        }
        let said = world.say(1, "anything");
        carry(&mut world, &[&said], &[0]);
        assert!(world.users[0].events.contains(&Event::Equivocation { by: id }), "restores: {restores}");
    }
}
