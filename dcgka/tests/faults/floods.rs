//! Messages that wait until the queues are full, and what is refused then.

use std::collections::BTreeMap;

use protocol::causal_order::{MAX_STRANGERS, MAX_WAITING_PER_AUTHOR};
use protocol::crypto::count::{Counts, snapshot};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Incoming, Received};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::common::{User, World};
use super::malicious::{ADD, Invitation, MESSAGE, Malicious, WELCOME};
use super::{fork, live, refused};

/// A message of any author in any group, under a key that is not the author's.
fn forged(group: GroupId, author: MemberId, number: u32, renews: bool) -> Vec<u8> {
    let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(2));
    let new_key = renews.then(|| key.verification_key());
    let draft = Draft { kind: MESSAGE, sender: author, number, subject: Subject::None, new_key, body: b"forged" };
    draft.sign(&group, author.handle(), None, &key).0
}

/// Fills all of a user's queues: those for each of these authors, for unknown authors, and for other groups.
fn flood(world: &mut World, user: usize, authors: &[MemberId]) {
    let stranger = |number: u16| MemberId([&number.to_be_bytes()[..], &[9; 30]].concat().try_into().unwrap());
    let numbers = 1000..=1000 + MAX_WAITING_PER_AUTHOR as u32;
    let mut names: Vec<_> = authors.iter().flat_map(|author| numbers.clone().map(|number| (*author, number))).collect();
    names.extend((0..=MAX_STRANGERS as u16).map(|number| (stranger(number), 2)));
    let group = world.group;
    for (author, number) in names {
        let bytes = forged(group, author, number, number % 2 == 0);
        let _ = receive(world, group, author, &bytes, user);
    }
    for group in (1..10).map(|group| GroupId([group; 32])) {
        let bytes = forged(group, stranger(0), 1, false);
        let _ = receive(world, group, stranger(0), &bytes, user);
    }
}

fn receive(world: &mut World, group: GroupId, author: MemberId, bytes: &[u8], to: usize) -> Result<Received, Error> {
    let User { member, rng, .. } = &mut world.users[to];
    // Some inviters are not confirmed.
    let confirm = |inviter: &MemberId| !inviter.0[0].is_multiple_of(4);
    let mut context = Context { rng, directory: &world.directory, confirm_inviter: &confirm };
    member.receive_one(&Incoming { group, author, bytes }, &mut context)
}

/// Damages a message in a way that draws decide.
fn vary(bytes: &mut Vec<u8>, draw: &mut dyn FnMut(usize) -> usize) {
    match draw(6) {
        0 => bytes.truncate(draw(bytes.len())),
        1 => bytes[1] = draw(256) as u8,
        2 => bytes[10] = draw(128) as u8,
        3 => bytes.extend_from_slice(&[0; 7][..draw(8)]),
        4 => {
            let at = draw(bytes.len());
            bytes[at] ^= 1 << draw(8);
        }
        _ => {}
    }
}

#[test]
fn a_refused_message_changes_nothing_whatever_it_is_and_however_full_the_queues_are() {
    let mut errors = BTreeMap::<String, usize>::new();
    for seed in 0..4 {
        let mut world = World::new(5, 471 + seed);
        live(&mut world, &mut |_, _, _| {});
        let group = world.group;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut draw = |below: usize| rng.next_u32() as usize % below;
        let ids: Vec<_> = (0..5).map(|user| world.id(user)).collect();
        let pool = world.sent.clone();
        // A member and a user outside, and both with full queues.
        let mut outside = World::new(5, 471 + seed);
        outside.group = group;
        let mut full = [fork(&world), fork(&outside)];
        flood(&mut full[0], 2, &[ids[0], ids[1], ids[4]]);
        flood(&mut full[1], 4, &[ids[0], ids[1]]);
        let [full_inside, full_outside] = full;
        let cases = [
            ("inside", world, 2),
            ("outside", outside, 4),
            ("inside, full", full_inside, 2),
            ("outside, full", full_outside, 4),
        ];
        for (name, mut world, user) in cases {
            for round in 0..250 {
                let sent = &pool[draw(pool.len())];
                let mut bytes = sent.bytes.clone();
                vary(&mut bytes, &mut draw);
                let author = if draw(8) == 0 { ids[draw(5)] } else { ids[sent.author] };
                let group = if draw(16) == 0 { GroupId([draw(12) as u8; 32]) } else { group };
                let before = world.users[user].member.export();
                let result = receive(&mut world, group, author, &bytes, user);
                let Err(error) = result else { continue };
                assert!(
                    world.users[user].member.export() == before,
                    "{name}, seed {seed}, round {round}: {error} has changed something"
                );
                *errors.entry(format!("{name}: {error:?}")).or_default() += 1;
            }
        }
    }
    for name in ["inside", "outside", "inside, full", "outside, full"] {
        for error in ["Malformed", "WrongAuthor", "NotAuthentic"] {
            assert!(errors.contains_key(&format!("{name}: {error}")), "{name}: {error} is missing in {errors:?}");
        }
    }
    for expected in ["inside, full: QueueFull", "outside, full: QueueFull", "outside: InviterNotConfirmed"] {
        assert!(errors.contains_key(expected), "{expected} is missing in {errors:?}");
    }
}

#[test]
fn a_user_outside_takes_no_message_in_its_own_name() {
    let mut world = World::with_group(3, 4, 472);
    let own = Malicious::rob(&world, 3);
    let message = own.sign(&world, &own.draft(MESSAGE, b"by a copy of the device"));
    assert_eq!(refused(&mut world, 3, &message, 3), Error::WrongAuthor);
    // Another user keeps it.
    let mut world = World::with_group(3, 5, 472);
    assert_eq!(world.receive(3, &message, 4), Ok(Received::default()));
}

#[test]
fn a_full_queue_of_the_creator_reaches_a_founder_whole() {
    let mut world = World::new(3, 473);
    let create = world.create(0, &[1, 2]);
    let said: Vec<_> = (0..MAX_WAITING_PER_AUTHOR).map(|number| world.say(0, &number.to_string())[0]).collect();
    for place in said.into_iter().rev().chain(create) {
        world.carry(place, 1);
    }
    assert!((0..MAX_WAITING_PER_AUTHOR).all(|number| world.has_read(1, 0, &number.to_string())));
}

#[test]
fn a_copy_of_an_add_or_welcome_that_waits_costs_nothing_again() {
    let mut world = World::with_group(3, 4, 474);
    let mallory = Malicious::rob(&world, 0);
    let added = world.add(0, 3);
    let genuine = Invitation::of(&world, added[0], added[1]);
    let welcome = world.sent[added[1]].bytes.clone();
    // Its signature is wrong, and nothing else.
    let mut copy = world.sent[added[0]].bytes.clone();
    *copy.last_mut().unwrap() ^= 1;
    assert_eq!(Envelope::decode(&copy).unwrap().kind, Kind(ADD.0 | Kind::NEW_KEY));
    let cost = |world: &mut World, bytes: &[u8]| {
        let before = snapshot();
        assert_eq!(world.receive(0, bytes, 3), Ok(Received::default()));
        snapshot() - before
    };
    for welcome_first in [true, false] {
        let mut world = fork(&world);
        let [first, second] = if welcome_first { [&welcome, &copy] } else { [&copy, &welcome] };
        cost(&mut world, first);
        let tried = cost(&mut world, second);
        assert!(tried.verify > 0 && tried.points > 0, "{tried:?}");
        let again = [cost(&mut world, &copy), cost(&mut world, &welcome)];
        assert_eq!((again[0].verify, again[0].points), (0, 0));
        // The welcome is checked, and the copy is not tried again.
        assert_eq!((again[1].verify, again[1].points), (1, 1));
        assert!(!world.is_inside(3));
        world.settle();
        world.check(&[0, 1, 2, 3]);
    }
    // Another welcome with the same number is tried.
    let (_, other) = Invitation { state: [&genuine.state[..], &[0]].concat(), ..genuine }.sign(&world, &mallory);
    world.receive(0, &copy, 3).unwrap();
    world.receive(0, &welcome, 3).unwrap();
    let before = snapshot();
    let _ = world.receive(0, &other, 3);
    assert_ne!(snapshot() - before, Counts::default());
}

#[test]
fn an_inviter_that_fills_all_places_keeps_no_other_inviter_out() {
    // Places for groups, and places for invitations to one group.
    for groups in [true, false] {
        let mut world = World::with_group(3, 5, 475);
        let liar = Malicious::rob(&world, 2);
        let added = world.add(0, 4);
        let invite = |world: &mut World, number: u8| {
            let group = if groups { GroupId([number; 32]) } else { world.group };
            let draft = Draft { number: number.into(), ..liar.draft(WELCOME, &[7; 32]) };
            let bytes = draft.sign(&group, liar.id.handle(), None, &liar.identity).0;
            let incoming = Incoming { group, author: liar.id, bytes: &bytes };
            let received = world.act(4, |member, context| Ok(member.receive_one(&incoming, context)?.outgoing));
            assert_eq!(received, Ok(Vec::new()));
            world.users[4].member.export().len()
        };
        let sizes: Vec<_> = (1..=40).map(|number| invite(&mut world, number)).collect();
        assert_eq!(sizes[20], sizes[39], "it replaces its own");
        world.carry(added[1], 4);
        for number in 41..=80 {
            invite(&mut world, number);
        }
        world.carry(added[0], 4);
        world.settle();
        world.check(&[0, 1, 2, 4]);
    }
}
