//! Limits, and that no member can block another by anything that it does or leaves undone.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{COLD, COMMITMENT, World, carry, rejections};
use dcgka::{MAX_KNOWN, MAX_MEMBERS, MAX_UNACKNOWLEDGED};
use protocol::crypto::hash::Digest;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Incoming, Received, Rule};
use protocol::wire::codec::put_varint;
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

const ADD: Kind = Kind(2);
const CREATE: Kind = Kind(1);
const WELCOME: Kind = Kind(8);
const MESSAGE: Kind = Kind(9);

/// The key with which a user signs its first messages: it is in its export after two bytes.
fn identity(world: &World, user: usize) -> SigningKey {
    let state = world.users[user].member.export();
    SigningKey::from_secret(&Secret::new(*state[2..].first_chunk().unwrap()))
}

/// Posts a message that a user's own implementation would not send, signed with its first key.
fn forge(world: &mut World, user: usize, kind: Kind, number: u32, body: &[u8]) -> usize {
    let (sender, key) = (world.id(user), identity(world, user));
    let random = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(number.into()));
    let new_key = (kind == ADD).then(|| random.verification_key());
    let draft = Draft { kind, sender, number, subject: Subject::None, new_key, body };
    let (bytes, _) = draft.sign(&world.group, sender.handle(), None, &key);
    world.sent.push(common::Sent { author: user, to: None, kind: "forged", bytes });
    world.sent.len() - 1
}

fn rejected(world: &World, user: usize, by: usize) -> Vec<Rule> {
    let from = world.id(by);
    let rule = |event: &Event| match event {
        Event::Rejected { from: author, rule } if *author == from => Some(*rule),
        _ => None,
    };
    world.users[user].events.iter().filter_map(rule).collect()
}

#[test]
fn a_member_added_again_needs_no_second_welcome() {
    for withheld in [true, false] {
        let mut world = World::with_group(4, 5, 600);
        let (one, other) = (world.add(0, 4), world.add(1, 4));
        carry(&mut world, &[&one], &[4]);
        if withheld {
            world.users[4].received.insert(other[1]);
        } else {
            // It has no effect before its add, nor after it.
            let before = world.users[4].member.export();
            assert_eq!(carry(&mut world, &[&other[1..]], &[4]), []);
            assert!(world.users[4].member.export() == before);
        }
        let (answer, update) = (carry(&mut world, &[&other[..1]], &[4]), world.update(1));
        assert_eq!(world.kinds(&answer), ["ack"]);
        carry(&mut world, &[&update], &[4]);
        world.settle();
        assert_eq!(rejections(&world), 0);
        world.check(&[0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_welcome_to_a_member_is_checked_and_dropped() {
    let mut world = World::with_group(3, 4, 601);
    let (one, other) = (world.add(0, 3), world.add(1, 3));
    carry(&mut world, &[&one], &[3]);
    let mut bytes = world.sent[other[1]].bytes.clone();
    assert_eq!(world.receive(1, &bytes, 3), Ok(Received::default()));
    assert_eq!(world.receive(2, &bytes, 3), Err(Error::WrongAuthor));
    bytes[50] ^= 1;
    assert_eq!(world.receive(1, &bytes, 3), Err(Error::NotAuthentic));
    world.settle();
    world.check(&[0, 1, 2, 3]);
}

#[test]
fn an_add_without_a_ciphertext_is_refused_by_everybody() {
    for slot in [&[][..], &[0], &[0, 0], &[1]] {
        let mut world = World::with_group(3, 4, 602);
        let body = [&world.id(3).0[..], slot].concat();
        let add = forge(&mut world, 1, ADD, 2, &body);
        assert_eq!(carry(&mut world, &[&[add]], &[0, 2]), []);
        for user in [0, 2] {
            assert_eq!(rejected(&world, user, 1), [Rule::Form]);
            assert_eq!(world.members(user), [0, 1, 2]);
        }
    }
}

#[test]
fn a_member_that_is_not_answered_can_still_remove_silent_members_and_speak() {
    let mut world = World::with_group(5, 6, 610);
    // Two are silent: whichever is removed first, the other leaves that removal unacknowledged too.
    let active = [0, 1, 2];
    for _ in 0..MAX_UNACKNOWLEDGED {
        let update = world.update(0);
        let answers = carry(&mut world, &[&update], &[1, 2]);
        carry(&mut world, &[&answers], &active);
    }
    let (before, joiner) = (world.users[0].member.export(), world.id(5));
    assert_eq!(world.act(0, |member, context| member.update(context)), Err(Error::TooManyUnacknowledged));
    let added = world.act(0, |member, context| member.add(&joiner, context));
    assert_eq!(added, Err(Error::TooManyUnacknowledged));
    assert!(world.users[0].member.export() == before);
    let said = world.say(0, "still speaking");
    carry(&mut world, &[&said], &[1]);
    assert!(world.has_read(1, 0, "still speaking"));
    world.remove(0, 3);
    world.settle_among(&active);
    assert_eq!(world.act(0, |member, context| member.update(context)), Err(Error::TooManyUnacknowledged));
    world.remove(0, 4);
    world.settle_among(&active);
    world.add(0, 5);
    world.update(0);
    world.settle();
    assert_eq!(rejections(&world), 0);
    world.check(&[0, 1, 2, 5]);
}

#[test]
fn concurrent_adds_may_exceed_the_size_and_further_ones_are_refused_by_all() {
    let mut world = World::new(MAX_MEMBERS + 2, 620);
    let (one, other, outsider) = (MAX_MEMBERS - 1, MAX_MEMBERS, MAX_MEMBERS + 1);
    let create = world.create(0, &(1..one).collect::<Vec<_>>());
    carry(&mut world, &[&create], &[1, 2]);
    world.add(0, one);
    world.add(1, other);
    world.catch_up(2);
    assert_eq!(world.members(2).len(), MAX_MEMBERS + 1);
    let (id, before) = (world.id(outsider), world.users[2].member.export());
    assert_eq!(world.act(2, |member, context| member.add(&id, context)), Err(Error::GroupSize));
    assert!(world.users[2].member.export() == before);
    // An add by an implementation that ignores the limit, with number 4 after three acknowledgements.
    let body = [&id.0[..], &[0; COMMITMENT], &[1], &[0; COLD - 1]].concat();
    let add = forge(&mut world, 2, ADD, 4, &body);
    world.catch_up(1);
    assert!(world.users[1].received.contains(&add));
    assert_eq!(rejected(&world, 1, 2), [Rule::GroupSize]);
    assert_eq!(world.members(1).len(), MAX_MEMBERS + 1);
}

#[test]
fn a_group_is_not_founded_beyond_its_size() {
    let mut world = World::new(2, 621);
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let id = |_| MemberId(*SigningKey::random(&mut rng).verification_key().as_bytes());
    let ids: Vec<_> = (0..MAX_MEMBERS).map(id).collect();
    assert_eq!(world.act(0, |member, context| member.create(&ids, context)), Err(Error::GroupSize));
    // By an implementation that ignores the limit.
    let mut others = [&ids[1..], &[world.id(1)]].concat();
    others.sort_unstable();
    let mut body = [&[7; 32][..], &[8; 32]].concat();
    put_varint(&mut body, MAX_MEMBERS as u32);
    others.iter().for_each(|id| body.extend_from_slice(&id.0));
    body.extend(others.iter().map(|_| 0));
    world.group = GroupId::new(&world.id(0), &Digest([7; 32]));
    let create = forge(&mut world, 0, Kind(1), 1, &body);
    assert_eq!(world.try_carry(create, 1).0, Err(Error::Malformed));
    assert_eq!(world.users[1].member.group(), None);
}

/// Whether these users read each other while they receive nothing from other users.
fn read_each_other(world: &mut World, users: &[usize]) -> bool {
    world.settle_among(users);
    users.iter().all(|sender| {
        let text = format!("from {sender} after {}", world.sent.len());
        world.say(*sender, &text);
        world.settle_among(users);
        users.iter().all(|reader| reader == sender || world.has_read(*reader, *sender, &text))
    })
}

#[test]
fn a_user_outside_keeps_what_it_cannot_use_until_it_joins() {
    // A CREATE that did not create this group, under a number that the members will deliver.
    for body in [Vec::new(), vec![0; 31], vec![7; 200]] {
        let mut world = World::with_group(3, 4, 641);
        let create = forge(&mut world, 1, CREATE, 2, &body);
        assert_eq!(world.try_carry(create, 3).0, Ok(Received::default()));
        world.add(0, 3);
        for user in [0, 2] {
            world.carry(create, user);
        }
        // The adder has not delivered it, so no welcome covers it: the joiner needs it before it can deliver what
        // follows.
        let update = forge(&mut world, 1, MESSAGE, 3, &[0; 16]);
        for user in [0, 2, 3] {
            world.carry(update, user);
        }
        assert!(read_each_other(&mut world, &[0, 2, 3]), "{} bytes", body.len());
        assert_eq!(rejected(&world, 3, 1), [Rule::GroupExists]);
    }
    // An add with an invalid welcome.
    let mut world = World::with_group(3, 4, 642);
    let body = [&world.id(3).0[..], &[1], &[0; COLD - 1]].concat();
    let add = forge(&mut world, 1, ADD, 2, &body);
    let envelope = Envelope::decode(&world.sent[add].bytes).unwrap();
    let digest = envelope.digest(&world.group, &world.id(1), &Subject::None);
    let welcome = forge(&mut world, 1, WELCOME, 2, &[&digest.0[..], &[1, 2, 3]].concat());
    let bytes = world.sent[welcome].bytes.clone();
    world.sent.pop();
    assert_eq!(world.receive(1, &bytes, 3), Ok(Received::default()));
    assert_eq!(world.try_carry(add, 3).0, Ok(Received::default()));
    world.add(0, 3);
    for user in [0, 2] {
        world.carry(add, user);
    }
    assert!(read_each_other(&mut world, &[0, 2, 3]));
}

#[test]
fn strangers_can_neither_exhaust_a_user_nor_keep_an_invitation_out() {
    let mut world = World::new(3, 640);
    // Messages of groups that the user does not know, up to the limit and beyond it.
    for number in 1..=16 {
        world.group = GroupId([number; 32]);
        let place = forge(&mut world, 0, MESSAGE, 2, &[0; 100]);
        let waits = world.try_carry(place, 1).0;
        assert_eq!(waits, if number <= 8 { Ok(Received::default()) } else { Err(Error::QueueFull) });
    }
    // Messages under more author names than there is room for.
    world.group = GroupId([1; 32]);
    let key = identity(&world, 0);
    for name in 0..1100_u16 {
        let mut sender = MemberId([9; 32]);
        sender.0[..2].copy_from_slice(&name.to_be_bytes());
        let draft = Draft { kind: MESSAGE, sender, number: 2, subject: Subject::None, new_key: None, body: &[] };
        let (bytes, _) = draft.sign(&world.group, sender.handle(), None, &key);
        let incoming = Incoming { group: world.group, author: sender, bytes: &bytes };
        let result = world.act(1, |member, context| member.receive_one(&incoming, context).map(|it| it.outgoing));
        assert_eq!(result, if name < 1023 { Ok(Vec::new()) } else { Err(Error::QueueFull) }, "name {name}");
    }
    assert_eq!(world.users[1].member.group(), None);
    let before = world.sent.len();
    world.create(2, &[0]);
    world.settle_among(&[0, 2]);
    let add = world.add(2, 1);
    // The add can be received again later. The invitation by a confirmed inviter is kept, and makes room for it.
    assert_eq!(world.try_carry(add[0], 1).0, Err(Error::QueueFull));
    assert_eq!(world.try_carry(add[1], 1).0, Ok(Received::default()));
    assert!(!world.try_carry(add[0], 1).0.unwrap().events.is_empty());
    world.users[1].received.extend(0..before);
    world.settle();
    world.check(&[0, 1, 2]);
}

/// What a hostile inviter claims of a group: the numbers of founders, of adds by the second founder, and of removes of
/// that founder by others that did not know any of these adds.
#[derive(Clone, Copy, Debug)]
struct Claim {
    founders: u32,
    adds: u32,
    removes: u32,
}

impl Claim {
    /// The state in a welcome from `inviter`, the creator, which says that nobody has sent anything.
    fn encode(self, inviter: MemberId) -> Vec<u8> {
        let Self { founders, adds, removes } = self;
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        let mut out = Vec::new();
        put_varint(&mut out, founders + adds);
        out.extend_from_slice(&inviter.0);
        for _ in 1..founders + adds {
            out.extend_from_slice(SigningKey::random(&mut rng).verification_key().as_bytes());
        }
        // The number of founders, the number of records, and that everybody has acknowledged the first one and those
        // that follow.
        [founders, 1 + adds + removes, 1].into_iter().for_each(|number| put_varint(&mut out, number));
        for add in 0..adds {
            let record = [1, 2 + add, (founders + add) << 1, 1, 0, 0];
            record.into_iter().for_each(|number| put_varint(&mut out, number));
        }
        let authors = founders - 2;
        for remove in 0..removes {
            // An author knows its own removes, and everything before them.
            let unknown = if remove < authors { adds + remove } else { authors - 1 };
            let record = [2 + remove % authors, 2 + remove, 1 << 1 | 1, 1, unknown, 0];
            record.into_iter().for_each(|number| put_varint(&mut out, number));
        }
        (0..founders + adds).for_each(|_| out.extend_from_slice(&[0, 0]));
        out
    }

    /// What an invitation with it results in.
    fn join(self) -> Result<Received, Error> {
        let mut world = World::new(2, 630);
        world.group = GroupId([9; 32]);
        let number = 1 << 20;
        let body = [&world.id(1).0[..], &[0; COMMITMENT], &[1], &[0; COLD - 1]].concat();
        let add = forge(&mut world, 0, ADD, number, &body);
        let envelope = Envelope::decode(&world.sent[add].bytes).unwrap();
        let digest = envelope.digest(&world.group, &world.id(0), &Subject::None);
        let body = [&digest.0[..], &self.encode(world.id(0))].concat();
        let welcome = forge(&mut world, 0, WELCOME, number, &body);
        assert_eq!(world.try_carry(add, 1).0, Ok(Received::default()));
        world.try_carry(welcome, 1).0
    }
}

#[test]
fn a_welcome_that_claims_too_much_is_refused() {
    let known = u32::try_from(MAX_KNOWN).unwrap();
    let founded = |founders, adds, removes| Claim { founders, adds, removes };
    for within in [
        founded(100, 100, 1500),
        founded(known / 2, known / 2, 2),
        founded(known, 0, 8000),
        founded(known - 100, 100, 60),
        founded(500, 500, 60),
        founded(1000, 10, 15000),
    ] {
        let joined = within.join().unwrap();
        assert!(matches!(joined.events[..], [Event::Joined { .. }, ..]), "{within:?}");
    }
    for beyond in [
        founded(known, 1, 0),
        founded(known / 2 + 1, known / 2, 0),
        founded(100, 0, 4 * known),
        founded(known, 0, 8200),
        founded(1000, 1000, 20),
    ] {
        assert_eq!(beyond.join(), Err(Error::Malformed), "{beyond:?}");
    }
}
