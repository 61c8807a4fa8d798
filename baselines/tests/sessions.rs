//! Channels and sender keys, seen from outside: sizes, order, losses, forgeries, prekeys.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use baselines::{DISTRIBUTION_LEN, MAX_SKIPPED, PREKEY_HEADER_LEN};
use common::{ALL, EAGER, HEADER, LAZY, PAIRWISE, PCS, World};
use protocol::error::Error;
use protocol::member::Received;
use protocol::wire::codec::Reader;
use protocol::x3dh::PrekeySecrets;

/// The place, among these, of the message for this user.
fn to(world: &World, places: &[usize], user: usize) -> usize {
    *places.iter().find(|place| world.sent[**place].to == [user].into()).unwrap()
}

fn has_prekey_header(world: &World, place: usize) -> bool {
    world.sent[place].bytes[1] & 0x80 != 0
}

fn len(world: &World, place: usize) -> usize {
    world.sent[place].bytes.len()
}

#[test]
fn a_channel_message_is_56_bytes_longer_than_its_content_and_72_more_until_it_is_answered() {
    assert_eq!(PREKEY_HEADER_LEN, 72);
    let mut world = World::with_group(PAIRWISE, 2, 2, 1);
    let first = world.say(0, "seven b")[0];
    assert_eq!(len(&world, first), HEADER + 72 + 56 + 7);
    world.settle();
    let answer = world.say(1, "five!")[0];
    assert_eq!(len(&world, answer), HEADER + 56 + 5);
    world.settle();
    let next = world.say(0, "")[0];
    assert_eq!(len(&world, next), HEADER + 56);
}

#[test]
fn a_message_under_a_sender_key_is_88_bytes_longer_and_a_key_is_72_bytes_in_a_channel_message() {
    assert_eq!(DISTRIBUTION_LEN, 72);
    let mut world = World::with_group(LAZY, 2, 2, 2);
    let cold = world.say(0, "seven b");
    assert_eq!(world.kinds(&cold), ["key", "message"]);
    assert_eq!(len(&world, cold[0]), HEADER + 72 + 56 + 72);
    assert_eq!(len(&world, cold[1]), HEADER + 88 + 7);
    world.settle();
    let warm = world.say(1, "");
    assert_eq!(world.kinds(&warm), ["key", "message"]);
    assert_eq!(len(&world, warm[0]), HEADER + 56 + 72);
    assert_eq!(len(&world, warm[1]), HEADER + 88);
    world.settle();
    let again = world.say(1, "again");
    assert_eq!(world.kinds(&again), ["message"]);
}

#[test]
fn both_sides_may_initiate_concurrently_in_any_order_of_delivery() {
    let mut orders = vec![Vec::new()];
    for item in 0..4 {
        let insert = |order: Vec<usize>| {
            (0..=order.len()).map(move |at| {
                let mut longer = order.clone();
                longer.insert(at, item);
                longer
            })
        };
        orders = orders.into_iter().flat_map(insert).collect();
    }
    assert_eq!(orders.len(), 24);
    for (seed, order) in orders.iter().enumerate() {
        // Several seeds, so that the ids of users 1 and 2 occur in either order.
        for seed in [seed as u64, seed as u64 + 100, seed as u64 + 200] {
            let mut world = World::with_group(PAIRWISE, 3, 3, seed);
            let mut sent = Vec::new();
            for round in 0..2 {
                for (from, other) in [(1, 2), (2, 1)] {
                    let said = world.say(from, &format!("{round} from {from}"));
                    sent.push((to(&world, &said, other), other));
                }
            }
            for (place, reader) in order.iter().map(|item| sent[*item]) {
                assert!(has_prekey_header(&world, place));
                world.deliver(place, reader);
            }
            world.settle();
            for (from, other) in [(1, 2), (2, 1)] {
                assert!((0..2).all(|round| world.has_read(other, from, &format!("{round} from {from}"))));
            }
            // One round of answers settles the session.
            world.check(&[0, 1, 2]);
            for (from, other) in [(2, 1), (1, 2), (2, 1)] {
                let said = world.say(from, &format!("settled {from}"));
                assert!(!has_prekey_header(&world, to(&world, &said, other)), "seed {seed}");
                world.settle();
            }
            world.check(&[0, 1, 2]);
        }
    }
}

#[test]
fn messages_are_read_in_any_order_once_each_even_if_others_are_lost() {
    for variant in ALL {
        let mut world = World::with_group(variant, 2, 2, 3);
        world.say(0, "before");
        world.settle();
        let places: Vec<_> = (0..6).map(|number| world.say(0, &format!("number {number}"))[0]).collect();
        for number in [4, 2, 5, 0] {
            world.deliver(places[number], 1);
        }
        world.restore(1);
        world.deliver(places[1], 1);
        let read = |number: usize, world: &World| world.has_read(1, 0, &format!("number {number}"));
        assert!([0, 1, 2, 4, 5].into_iter().all(|number| read(number, &world)) && !read(3, &world), "number 3 is lost");
        for place in &places[..2] {
            let bytes = world.sent[*place].bytes.clone();
            let (again, changed) = world.try_out(0, &bytes, 1);
            assert_eq!((again, changed), (Ok(Received::default()), false));
        }
        world.lose(&places, 1);
        world.check(&[0, 1]);
    }
}

#[test]
fn a_message_too_far_ahead_is_refused_and_skipped_keys_are_kept_within_the_limit() {
    for variant in [PAIRWISE, LAZY] {
        let mut world = World::with_group(variant, 2, 2, 4);
        world.say(0, "before");
        world.settle();
        let say = |world: &mut World, count: usize| -> Vec<usize> {
            (0..count).map(|_| world.say(0, "").into_iter().next_back().unwrap()).collect()
        };
        let places = say(&mut world, MAX_SKIPPED + 2);
        let far = world.sent[places[MAX_SKIPPED + 1]].bytes.clone();
        let (refused, changed) = world.try_out(0, &far, 1);
        assert_eq!((refused.unwrap_err(), changed), (Error::NotAuthentic, false));
        world.deliver(places[MAX_SKIPPED], 1);
        world.deliver(places[MAX_SKIPPED + 1], 1);
        let full = world.users[1].member.export().len();
        let more = say(&mut world, 101);
        world.deliver(more[100], 1);
        // Each number grows by one byte at most.
        assert!(world.users[1].member.export().len() <= full + MAX_SKIPPED + 10, "the skipped keys exceed their limit");
        // The oldest keys have been dropped.
        let read = |world: &World, place: usize| {
            let bytes = world.sent[place].bytes.clone();
            world.try_out(0, &bytes, 1).0.is_ok_and(|received| !received.events.is_empty())
        };
        assert!(!read(&world, places[99]) && read(&world, places[100]) && read(&world, more[0]));
    }
}

/// Damages each byte, and truncates the message at each length. Where `may_wait` says so, the damaged message may look
/// like one whose key has not arrived. With another number it may look like one that has been received.
#[track_caller]
fn check_damage(world: &World, place: usize, to: usize, may_wait: impl Fn(usize) -> bool) {
    let sent = world.sent[place].clone();
    for position in 0..sent.bytes.len() {
        for bit in [0x01, 0x80] {
            let mut damaged = sent.bytes.clone();
            damaged[position] ^= bit;
            match world.try_out(sent.author, &damaged, to) {
                (Ok(received), false) if position == HEADER - 1 => assert_eq!(received, Received::default()),
                (Err(_), changed) => assert!(!changed, "byte {position}"),
                (Ok(received), _) => {
                    assert!(may_wait(position) && received == Received::default(), "byte {position}: {received:?}");
                }
            }
        }
        let (refused, changed) = world.try_out(sent.author, &sent.bytes[..position], to);
        assert!(refused.is_err() && !changed, "cut at {position}");
    }
    let (genuine, changed) = world.try_out(sent.author, &sent.bytes, to);
    assert!(genuine.is_ok() && changed);
}

#[test]
fn a_damaged_message_changes_nothing() {
    for variant in ALL {
        let mut world = World::new(variant, 3, 5);
        let created = world.create(&[1, 2]);
        let founders = created[0];
        world.deliver(founders, 1);
        // A first message. A user outside the group cannot check a message of another kind.
        check_damage(&world, to(&world, &created, 1), 1, |position| position == 1);
        world.settle();
        world.say(0, "hello");
        world.say(1, "hello");
        world.settle();
        let said = world.say(0, "damaged");
        let message = said[0];
        if variant.description().name == "pairwise" {
            check_damage(&world, message, 1, |_| false);
        } else {
            // The key id is in the first four bytes of the body.
            check_damage(&world, message, 1, |position| (HEADER..HEADER + 4).contains(&position));
        }
        // A notice.
        let removal = world.remove(0, 2);
        check_damage(&world, to(&world, &removal, 1), 1, |position| position == 1);
        world.settle();
        world.check(&[0, 1]);
    }
}

#[test]
fn a_message_attributed_to_another_author_or_group_is_refused() {
    for variant in ALL {
        let mut world = World::with_group(variant, 3, 3, 6);
        world.check(&[0, 1, 2]);
        let said = world.say(0, "mine");
        let bytes = world.sent[said[0]].bytes.clone();
        assert_eq!(world.try_out(2, &bytes, 1).0.unwrap_err(), Error::WrongAuthor);
        assert_eq!(world.try_out(1, &bytes, 1).0.unwrap_err(), Error::WrongAuthor);
        world.group.0[0] ^= 1;
        assert_eq!(world.try_out(0, &bytes, 1).0.unwrap_err(), Error::WrongGroup);
    }
}

/// Position in an export of the private identity key for key agreement: after version, protocol, stage and signature
/// key.
const IDENTITY_AT: usize = 3 + 32;

#[test]
fn an_initiator_with_another_identity_key_is_refused() {
    for variant in ALL {
        let mut world = World::new(variant, 3, 7);
        let mut export = world.users[0].member.export();
        export[IDENTITY_AT + 5] ^= 1;
        world.users[0].member = variant.restore(&export).unwrap();
        let created = world.create(&[1, 2]);
        world.deliver(created[0], 1);
        let first = world.sent[to(&world, &created, 1)].bytes.clone();
        let (refused, changed) = world.try_out(0, &first, 1);
        assert_eq!((refused.unwrap_err(), changed), (Error::NotAuthentic, false));
    }
}

#[test]
fn somebody_elses_bundle_in_the_directory_is_refused_on_both_sides() {
    use protocol::directory::Directory as _;
    for variant in ALL {
        let mut world = World::new(variant, 4, 8);
        let created = world.create(&[1, 2]);
        let genuine = [0, 3].map(|user| world.directory.bundle(&world.id(user)).unwrap());
        let other = world.directory.bundle(&world.id(2)).unwrap();
        for user in [0, 3] {
            world.directory.publish(world.id(user), other.clone(), Vec::new());
        }
        assert_eq!(world.try_add(0, 3).unwrap_err(), Error::NoBundle);
        world.deliver(created[0], 1);
        let first = world.sent[to(&world, &created, 1)].bytes.clone();
        let (refused, changed) = world.try_out(0, &first, 1);
        assert_eq!((refused.unwrap_err(), changed), (Error::NoBundle, false));
        for (user, bundle) in [0, 3].into_iter().zip(genuine) {
            world.directory.publish(world.id(user), bundle, Vec::new());
        }
        world.settle();
        world.add(0, 3);
        world.settle();
        world.check(&[0, 1, 2, 3]);
    }
}

fn one_time_left(world: &World, user: usize) -> usize {
    let export = world.users[user].member.export();
    PrekeySecrets::decode(&mut Reader::new(&export[IDENTITY_AT..])).unwrap().one_time_left()
}

#[test]
fn a_one_time_prekey_is_deleted_after_use_and_sessions_start_without_one_when_none_is_left() {
    for variant in ALL {
        let mut world = World::with_prekeys(variant, 4, 1, 9);
        let created = world.create(&[1, 2]);
        world.deliver(created[0], 1);
        assert_eq!(one_time_left(&world, 1), 1);
        world.deliver(to(&world, &created, 1), 1);
        assert_eq!(one_time_left(&world, 1), 0);
        world.settle();
        // All members open channels with user 3. One of them gets its prekey.
        world.add(0, 3);
        world.settle();
        assert_eq!(one_time_left(&world, 3), 0);
        world.check(&[0, 1, 2, 3]);

        let mut world = World::with_prekeys(variant, 4, 0, 10);
        world.create(&[1, 2]);
        world.settle();
        world.add(1, 3);
        world.settle();
        world.check(&[0, 1, 2, 3]);
    }
}

#[test]
fn a_replayed_first_message_has_no_effect_with_and_without_a_one_time_prekey() {
    for (variant, one_time) in ALL.into_iter().flat_map(|variant| [(variant, 0), (variant, 4)]) {
        let mut world = World::with_prekeys(variant, 3, one_time, 11);
        let created = world.create(&[1, 2]);
        let first = world.sent[to(&world, &created, 1)].bytes.clone();
        world.settle();
        for _ in 0..2 {
            assert_eq!(world.try_out(0, &first, 1), (Ok(Received::default()), false));
            // Under a number that has not been received.
            let mut renumbered = first.clone();
            renumbered[HEADER - 1] = 0x7f;
            assert_eq!(world.try_out(0, &renumbered, 1), (Err(Error::NotAuthentic), false));
            world.check(&[0, 1, 2]);
        }
    }
}

#[test]
fn keys_of_one_sender_may_overtake_each_other_and_their_messages() {
    let mut world = World::with_group(EAGER, 5, 5, 12);
    world.check(&[0, 1, 2, 3, 4]);
    let mut later = Vec::new();
    for removed in [4, 3] {
        let key = world.remove(0, removed);
        later.push((to(&world, &key, 1), world.say(0, &format!("without {removed}"))[0]));
    }
    let [(first_key, first), (second_key, second)] = later[..] else { panic!() };
    for place in [first, second_key, second, first_key] {
        world.deliver(place, 1);
    }
    world.settle();
    assert!(world.has_read(1, 0, "without 4") && world.has_read(1, 0, "without 3"));
    world.check(&[0, 1, 2]);
}

#[test]
fn messages_sent_while_an_update_waits_for_turns_are_read_after_it() {
    let mut world = World::with_group(PCS, 3, 3, 13);
    // The second update follows immediately. User 0 has made the last ratchet key on all channels, so it requests
    // turns.
    world.update(0);
    let requests = world.update(0);
    assert_eq!(world.kinds(&requests), ["update-request"; 2]);
    world.say(0, "meanwhile");
    world.settle();
    assert!(world.has_read(1, 0, "meanwhile") && world.has_read(2, 0, "meanwhile"));
    world.check(&[0, 1, 2]);
}

#[test]
fn a_create_without_a_valid_bundle_changes_nothing_and_takes_no_prekeys() {
    use protocol::directory::Directory as _;
    for variant in ALL {
        let mut world = World::new(variant, 4, 13);
        let others = [1, 2, 3].map(|user| world.id(user));
        let untouched = world.directory.clone();
        let next = |world: &World| others.map(|id| world.directory.clone().one_time(&id));
        for user in others {
            let damaged = untouched.bundle(&user).map(|bundle| [&bundle[..64], &[0; 64]].concat()).unwrap();
            for published in [None, Some(damaged)] {
                world.directory = untouched.clone();
                let one_time = world.directory.clone().one_time(&user).unwrap();
                match &published {
                    Some(bundle) => world.directory.publish(user, bundle.clone(), vec![one_time]),
                    None => world.directory.withdraw(&user),
                }
                let before = next(&world);
                let refused = world.act(0, |member, context| member.create(&others, context));
                assert_eq!(refused, Err(Error::NoBundle));
                assert_eq!(next(&world), before);
            }
        }
        world.directory = untouched;
        world.create(&[1, 2, 3]);
        world.settle();
        world.check(&[0, 1, 2, 3]);
    }
}
