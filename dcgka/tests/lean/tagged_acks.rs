//! Acknowledgements with tags, which any member can forge that has the seed, and nobody else.

use protocol::crypto::secret::Secret;
use protocol::directory::Directory as _;
use protocol::error::Error;
use protocol::id::{MemberId, MessageId};
use protocol::member::{Backend as _, Event};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};

use super::concurrency::common::{World, carry, says_none};
use super::concurrency::identity_key;

pub(super) fn group(members: usize, users: usize, seed: u64) -> World {
    let mut world = World::with_group(members, users, seed);
    // Everybody has spoken, so nobody's messages under tags are unsaid.
    for user in 0..members {
        world.say(user, "hello");
        world.settle();
    }
    world
}

fn export(world: &World, user: usize) -> Vec<u8> {
    world.users[user].member.export()
}

pub(super) fn number(world: &World, place: usize) -> u32 {
    Envelope::decode(&world.sent[place].bytes).unwrap().number
}

pub(super) fn is_tagged(world: &World, place: usize) -> bool {
    Envelope::decode(&world.sent[place].bytes).unwrap().is_tagged()
}

fn equivocations(world: &World, user: usize, by: usize) -> usize {
    let event = Event::Equivocation { by: world.id(by) };
    world.users[user].events.iter().filter(|other| **other == event).count()
}

/// The acknowledgement of a message of `author` in the name of `from` under its number, with a tag under this secret.
pub(super) fn forge(
    world: &World,
    from: MemberId,
    number: u32,
    (author, acknowledged): (usize, u32),
    secret: &Secret,
) -> Vec<u8> {
    let author = world.id(author);
    let subject = Subject::Acknowledged(author, acknowledged);
    let draft = Draft { kind: Kind::TAGGED, sender: from, number, subject, new_key: None, body: &[] };
    draft.tag(&world.group, (from.handle(), Some(author.handle())), secret).0
}

/// The secret under which an acknowledgement has its tag, as a member finds it in its own state.
pub(super) fn secret_of(world: &World, user: usize, genuine: &[u8]) -> Option<Secret> {
    let envelope = Envelope::decode(genuine).unwrap();
    let Subject::Acknowledged(handle, number) = envelope.subject else { panic!("no acknowledgement") };
    let id = |handle| world.users.iter().map(|user| user.id).find(|id| id.handle() == handle).unwrap();
    let subject = Subject::Acknowledged(id(handle), number);
    let digest = envelope.digest(&world.group, &id(envelope.sender), &subject);
    let state = export(world, user);
    let secrets = state.windows(32).map(|window| Secret::new(window.try_into().unwrap()));
    secrets.into_iter().find(|secret| envelope.has_tag_of(&digest, secret))
}

#[test]
fn forged_acknowledgements_by_an_outsider() {
    let mut world = group(4, 4, 900);
    let update = world.update(0);
    let ack = carry(&mut world, &[&update], &[1])[0];
    assert!(is_tagged(&world, ack));
    let genuine = world.sent[ack].bytes.clone();
    carry(&mut world, &[&update], &[2]);
    // Each byte altered, and tags under secrets that an outsider can think of.
    let mut forged: Vec<Vec<u8>> = (0..genuine.len())
        .map(|at| {
            let mut bytes = genuine.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    let name = (0, number(&world, update[0]));
    for secret in [[0; 32], [1; 32], world.id(1).0] {
        forged.push(forge(&world, world.id(1), number(&world, ack), name, &Secret::new(secret)));
    }
    let before = export(&world, 2);
    for bytes in &forged {
        // What is under another number or acknowledges what nobody knows waits.
        let received = world.receive(1, bytes, 2);
        if received.is_err() {
            assert_eq!(export(&world, 2), before);
        } else {
            assert!(received.is_ok_and(|received| received.events.is_empty()));
            world.users[2].member = crate::VARIANT.restore(&before).unwrap();
        }
    }
    let last = genuine.len() - 1;
    let mut bytes = genuine.clone();
    bytes[last] ^= 1;
    assert_eq!(world.receive(1, &bytes, 2).unwrap_err(), Error::NotAuthentic);
    // The genuine one goes through.
    assert_eq!(world.receive(1, &genuine, 2).unwrap().events, [Event::Acked { by: world.id(1) }]);
    world.users[2].received.insert(ack);
    world.settle();
    world.check(&[0, 1, 2, 3]);
    assert!((0..4).all(|user| equivocations(&world, user, 1) == 0));
}

/// User 1 has sent something before it has the update of user 0, and user 3 says that it has acknowledged the update instead.
/// Returns what user 1 has sent.
fn taken_by_a_forgery(world: &mut World, send: impl FnOnce(&mut World) -> Vec<usize>) -> Vec<usize> {
    let update = world.update(0);
    let sent = send(world);
    carry(world, &[&update], &[2, 3]);
    let ack = carry(world, &[&update], &[1])[0];
    let secret = secret_of(world, 3, &world.sent[ack].bytes).unwrap();
    let name = (0, number(world, update[0]));
    let forged = forge(world, world.id(1), number(world, sent[0]), name, &secret);
    assert_eq!(world.receive(1, &forged, 2).unwrap().events, [Event::Acked { by: world.id(1) }]);
    sent
}

/// Users 0 and 3 have noticed nothing, and user 2 that user 1 has signed something else. All have read everything.
fn nothing_is_lost(mut world: World) {
    world.settle();
    assert_eq!([0, 2, 3].map(|user| equivocations(&world, user, 1)), [0, 1, 0]);
    for round in ["hello again", "and again"] {
        world.say(1, round);
        world.settle();
        assert!([0, 2, 3].iter().all(|user| world.has_read(*user, 1, round)));
        world.update(1);
        world.settle();
    }
    world.check(&[0, 1, 2, 3]);
    let rejected = |event: &Event| matches!(event, Event::Rejected { .. } | Event::Inconsistent { .. });
    assert!(world.users.iter().all(|user| !user.events.iter().any(rejected)));
    let delivered = |user: usize| world.users[user].member.delivered().unwrap();
    assert!((0..4).all(|user| delivered(user) == delivered(0)));
}

#[test]
fn an_acknowledgement_forged_by_a_member_in_the_place_of_a_message() {
    let mut world = group(4, 4, 901);
    taken_by_a_forgery(&mut world, |world| world.say(1, "not knowing"));
    world.settle();
    assert!([0, 2, 3].iter().all(|user| world.has_read(*user, 1, "not knowing")));
    nothing_is_lost(world);
}

/// The message announces a key, and the victim follows user 1 under it.
#[test]
fn an_acknowledgement_forged_by_a_member_in_the_place_of_an_update() {
    let mut world = group(4, 4, 902);
    let update = taken_by_a_forgery(&mut world, |world| world.update(1));
    let received = world.try_carry(update[0], 2).0.unwrap();
    assert_eq!(received.events[0], Event::Equivocation { by: world.id(1) });
    assert!(received.events.contains(&Event::Updated { by: world.id(1) }));
    world.users[2].events.extend(received.events);
    nothing_is_lost(world);
}

/// Both are genuine, and only their order is not.
#[test]
fn two_acknowledgements_that_a_member_has_swapped() {
    let mut world = group(4, 4, 907);
    let updates = [world.update(0), world.update(3)];
    let all: Vec<&[usize]> = updates.iter().map(Vec::as_slice).collect();
    carry(&mut world, &all, &[2]);
    carry(&mut world, &all, &[3]);
    let acks = carry(&mut world, &all, &[1]);
    assert!(acks.len() == 2 && acks.iter().all(|ack| is_tagged(&world, *ack)));
    let name = |index: usize| ([0, 3][index], number(&world, updates[index][0]));
    let forged: Vec<_> = [(0, 1), (1, 0)]
        .map(|(place, other)| {
            let secret = secret_of(&world, 2, &world.sent[acks[other]].bytes).unwrap();
            forge(&world, world.id(1), number(&world, acks[place]), name(other), &secret)
        })
        .into();
    for bytes in &forged {
        assert_eq!(world.receive(1, bytes, 2).unwrap().events, [Event::Acked { by: world.id(1) }]);
    }
    // The genuine ones come too late.
    assert_eq!(carry(&mut world, &[&acks], &[2]), []);
    world.say(1, "signed");
    nothing_is_lost(world);
}

/// The same acknowledgement under the next number, with a tag that is right.
#[test]
fn a_secret_serves_one_tag() {
    let mut world = group(4, 4, 909);
    let update = world.update(0);
    let others = carry(&mut world, &[&update], &[2, 3]);
    let ack = carry(&mut world, &[&update], &[1])[0];
    let secret = secret_of(&world, 3, &world.sent[ack].bytes).unwrap();
    carry(&mut world, &[&[ack]], &[2]);
    let before = export(&world, 2);
    let name = (0, number(&world, update[0]));
    let again = forge(&world, world.id(1), number(&world, ack) + 1, name, &secret);
    assert_eq!(world.receive(1, &again, 2).unwrap().events, []);
    assert!(export(&world, 2) == before);
    // Once its author has signed that, nobody has the secret any more, and no other one stands in for it.
    let said = world.say(1, "what I have acknowledged");
    carry(&mut world, &[&said], &[2]);
    let before = export(&world, 2);
    let of_user_3 = secret_of(&world, 2, &world.sent[others[1]].bytes).unwrap();
    let forged = forge(&world, world.id(1), number(&world, said[0]) + 1, name, &of_user_3);
    assert_eq!(world.receive(1, &forged, 2).unwrap().events, []);
    assert!(export(&world, 2) == before);
}

/// It says again and again that what it has signed was an acknowledgement. Each time that is reported, and nobody sends anything.
#[test]
fn a_member_that_contradicts_itself_is_reported() {
    let mut world = group(4, 4, 908);
    let (id, key) = (world.id(1), identity_key(&world, 1, 908));
    let signed = *world.users[1].member.delivered().unwrap().iter().find(|(user, _)| *user == id).unwrap();
    let named = MessageId { author: world.id(0), number: 1 };
    for lie in 1..=3 {
        let (number, subject, body) = (signed.1 + 2 * lie, Subject::None, &[]);
        let draft = Draft { kind: Kind(9), sender: id, number, subject, new_key: None, body };
        let history = [(named.author.handle(), named); 2];
        let (bytes, _) = draft.sign_after(&world.group, (id.handle(), None), &history, &key);
        let received = world.receive(1, &bytes, 2).unwrap();
        assert_eq!(received.events[0], Event::Equivocation { by: id });
        assert!(received.outgoing.is_empty());
    }
}

/// 1,024 acknowledgements under the number of the genuine one, at a member that can check tags, and at a joiner that cannot.
#[test]
fn floods_of_acknowledgements_under_one_number() {
    let mut world = group(4, 5, 903);
    let update = world.update(0);
    let acks = carry(&mut world, &[&update], &[1, 2, 3]);
    let name = (0, number(&world, update[0]));
    let flood: Vec<Vec<u8>> = (0..1024_u32)
        .map(|index| {
            let mut secret = [0; 32];
            secret[..4].copy_from_slice(&index.to_be_bytes());
            forge(&world, world.id(1), number(&world, acks[0]), name, &Secret::new(secret))
        })
        .collect();
    for bytes in &flood {
        assert_eq!(world.receive(1, bytes, 2).unwrap_err(), Error::NotAuthentic);
    }
    // The joiner cannot tell, and keeps nothing.
    let add = world.add(2, 4);
    carry(&mut world, &[&add], &[4]);
    let before = export(&world, 4);
    for bytes in &flood {
        assert!(world.receive(1, bytes, 4).is_ok());
    }
    assert!(export(&world, 4) == before);
    // Of acknowledgements of messages that nobody knows it keeps 64.
    let mut refused = 0;
    for index in 0..1100 {
        let name = (0, 1_000_000 + index);
        let bytes = forge(&world, world.id(1), number(&world, acks[0]), name, &Secret::new([0; 32]));
        refused += usize::from(world.receive(1, &bytes, 4) == Err(Error::QueueFull));
    }
    assert_eq!(refused, 1100 - 64);
    // What user 1 signs next says what is genuine.
    world.settle();
    world.check(&[0, 1, 2, 3, 4]);
    assert!((0..5).all(|user| equivocations(&world, user, 1) == 0), "nothing but the genuine one was taken");
}

/// A member whose ciphertext of a seed does not open cannot check the tags of those who acknowledge the seed. It takes what
/// their next signed messages say that they have sent.
#[test]
fn who_has_no_seed_takes_acknowledgements_by_what_their_authors_sign() {
    let mut world = group(4, 4, 904);
    let (id, bundle) = (world.id(1), world.directory.bundle(&world.id(1)).unwrap());
    let (first, second) = (world.update(1), world.update(1));
    let acks = carry(&mut world, &[&first, &second], &[2]);
    assert!(acks.len() == 2 && acks.iter().all(|ack| is_tagged(&world, *ack)));
    // Without the bundle of user 1 its first ciphertext does not open at user 3, nor does what follows.
    world.directory.publish(id, Vec::new(), Vec::new());
    let answers = carry(&mut world, &[&first, &second], &[3]);
    assert!(answers.iter().all(|answer| says_none(&world, *answer)));
    world.directory.publish(id, bundle, Vec::new());
    // Of each of the two acknowledgements there are forged ones, which acknowledge something else that user 3 knows.
    let forged = |world: &World, index: usize| {
        let number = number(world, acks[index]);
        let others = (1..=3).map(|other| forge(world, world.id(2), number, (0, other), &Secret::new([0; 32])));
        others.collect::<Vec<_>>()
    };
    let flood = [forged(&world, 0), forged(&world, 1)].concat();
    for bytes in &flood {
        world.receive(2, bytes, 3).unwrap();
    }
    let acked = |world: &World| {
        let event = Event::Acked { by: world.id(2) };
        world.users[3].events.iter().filter(|other| **other == event).count()
    };
    let before = acked(&world);
    carry(&mut world, &[&acks], &[3]);
    assert_eq!(acked(&world), before, "nobody can tell yet");
    let said = world.say(2, "signed");
    carry(&mut world, &[&said], &[3]);
    assert_eq!(acked(&world), before + 2);
    world.settle();
    // It has asked for what it has lost.
    (0..3).for_each(|user| drop(world.update(user)));
    world.settle();
    world.check(&[0, 1, 2, 3]);
    let [delivered, same] = [2, 3].map(|user| world.users[user].member.delivered().unwrap());
    assert_eq!(delivered, same);
    assert!((0..4).all(|user| (0..4).all(|by| equivocations(&world, user, by) == 0)));
}

/// A joiner gets acknowledgements of an update whose author it does not know yet, and the ADD-ACK that brings them.
#[test]
fn acknowledgements_of_an_unknown_user_are_kept() {
    let mut world = World::with_group(4, 6, 906);
    let add = world.add(0, 4);
    let joins = carry(&mut world, &[&add], &[4]);
    let earlier = carry(&mut world, &[&add, &joins], &[1]);
    let update = world.update(4);
    let ack = carry(&mut world, &[&update], &[1]);
    assert!(is_tagged(&world, ack[0]));
    // User 2 knows neither user 4 nor its update.
    let other = world.add(2, 5);
    let answer = carry(&mut world, &[&other], &[1]);
    assert_eq!(world.kinds(&answer), ["add-ack"]);
    // User 5 has all messages of user 1, and lacks those that they acknowledge.
    carry(&mut world, &[&other, &earlier, &ack, &answer], &[5]);
    world.settle();
    let delivered = |user: usize| world.users[user].member.delivered().unwrap();
    assert_eq!(delivered(5), delivered(1));
    world.check(&[0, 1, 2, 3, 4, 5]);
}

#[test]
fn one_of_many_acknowledgements_is_signed() {
    let mut world = group(2, 2, 905);
    let mut tagged = 0;
    let mut longest = 0;
    for _ in 0..200 {
        let update = world.update(0);
        let ack = carry(&mut world, &[&update], &[1])[0];
        tagged = if is_tagged(&world, ack) { tagged + 1 } else { 0 };
        longest = longest.max(tagged);
        world.settle();
    }
    assert_eq!(longest, protocol::wire::envelope::MAX_TAGGED);
    world.check(&[0, 1]);
}
