//! Messages that a member signs and should not.

use protocol::crypto::aead::OneTimeKey;
use protocol::crypto::dh::{PrivateKey, PublicKey};
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::kdf;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Event, Received, Rule};
use protocol::wire::envelope::{Draft, Envelope, Subject};
use protocol::x3dh;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use crate::common::{World, carry, says_none};
use crate::malicious::{ADD, CREATE, MESSAGE, Malicious, Payload, REMOVE, UPDATE, slots};
use crate::{BAD_VERIFICATION_KEYS, SMALL_ORDER_KEYS, all_but, fork, readings, refused, rejected};

/// Which of these users say `none` to a message.
fn nones(world: &mut World, place: usize, users: &[usize]) -> Vec<usize> {
    let says_none = |user: &&usize| {
        let answers = carry(world, &[&[place]], &[**user]);
        assert_eq!(answers.len(), 1);
        says_none(world, answers[0])
    };
    users.iter().filter(says_none).copied().collect()
}

/// Checks that what members know of each sender is the same.
fn nobody_is_split(world: &World, users: &[usize]) {
    let known = |user: &usize| world.users[*user].member.fingerprints().unwrap();
    let all: Vec<_> = users.iter().flat_map(known).collect();
    for (sender, print) in &all {
        assert!(all.iter().all(|(other, theirs)| other != sender || theirs == print), "what is known of {sender}");
    }
}

#[test]
fn unequal_seeds_from_a_malicious_sender() {
    let users = [0, 2, 3];
    // The users that get the seed to which the message commits. The others get another one.
    for holders in [&[0, 2][..], &[0], &[]] {
        let mut world = World::with_group(4, 5, 440);
        let mut mallory = Malicious::turn(&mut world, 1);
        let (one, other, committed) = (mallory.secret(), mallory.secret(), mallory.secret());
        let committed = if holders.is_empty() { &committed } else { &one };
        let seed_of = |user| if user == 3 || !holders.contains(&user) { &other } else { &one };
        let slots = users.map(|user| (user, mallory.honest_slot(&world, user, seed_of(user))));
        let body = mallory.seeded(&world, committed, &slots);
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        // The others notice, and say `none`.
        let others: Vec<_> = users.into_iter().filter(|user| !holders.contains(user)).collect();
        assert_eq!(nones(&mut world, place, &users), others);
        world.settle();
        nobody_is_split(&world, &users);
        // They lose the members that have taken the seed, and nobody else. Everybody reads them.
        let lost: Vec<_> = holders.iter().flat_map(|one| others.iter().map(|other| (*one, *other))).collect();
        assert_eq!(readings(&mut world, &users), all_but(&users, &lost));
        // Their ciphertexts have opened, so the channel has advanced: the author's next one opens too.
        let body = mallory.update_body(&world, &users);
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        assert!(nones(&mut world, place, &users).is_empty());
        world.settle();
        nobody_is_split(&world, &users);
        world.remove(0, 1);
        world.settle();
        assert_eq!(readings(&mut world, &users), all_but(&users, &lost));
        nobody_is_split(&world, &users);
        if lost.is_empty() {
            world.check(&users);
        }
    }
}

#[test]
fn a_new_verification_key_in_a_refused_message() {
    let mut world = World::with_group(4, 6, 441);
    world.remove(0, 3);
    world.settle();
    let mut mallory = Malicious::turn(&mut world, 1);
    let (me, two, three) = (mallory.id, world.id(2), world.id(3));
    let one_too_few = Malicious::rob(&world, 1).update_body(&world, &[0]);
    let refusals: [(_, _, Vec<u8>, _); 5] = [
        (ADD, Subject::None, mallory.add_body(&two), Rule::AlreadyAMember),
        (REMOVE, Subject::Member(me), Vec::new(), Rule::RemovesItself),
        (REMOVE, Subject::Member(three), Vec::new(), Rule::TargetNotAMember),
        (REMOVE, Subject::Member(two), Vec::new(), Rule::Form),
        (UPDATE, Subject::None, one_too_few, Rule::Form),
    ];
    for (kind, subject, body, rule) in refusals {
        let old = mallory.key.clone();
        let place = mallory.post(&mut world, kind, subject, &body);
        for user in [0, 2] {
            rejected(&mut world, place, user, rule);
            assert_eq!(world.members(user), [0, 1, 2]);
        }
        // The number is consumed, under the old key.
        let again = Draft { number: mallory.number, ..mallory.draft(MESSAGE, b"again") };
        let (again, _) = again.sign(&world.group, me.handle(), None, &old);
        // Nothing after it is valid under the old key.
        let stale = mallory.draft(MESSAGE, b"stale").sign(&world.group, me.handle(), None, &old).0;
        for user in [0, 2] {
            assert_eq!(world.receive(1, &again, user).unwrap().events, [Event::Equivocation { by: me }]);
            assert_eq!(refused(&mut world, 1, &stale, user), Error::NotAuthentic);
        }
    }
    let body = mallory.update_body(&world, &[0, 2]);
    let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
    assert!(nones(&mut world, place, &[0, 2]).is_empty());
    world.settle();
    assert!([0, 2].into_iter().all(|user| world.users[user].events.contains(&Event::Updated { by: me })));
    // A joiner learns the key that is valid then.
    world.add(0, 4);
    world.settle();
    let body = mallory.update_body(&world, &[0, 2]);
    let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
    assert!(nones(&mut world, place, &[0, 2, 4]).is_empty());
    world.settle();
    assert_eq!(readings(&mut world, &[0, 2, 4]), all_but(&[0, 2, 4], &[]));
    world.remove(0, 1);
    world.settle();
    world.check(&[0, 2, 4]);
}

#[test]
fn two_bodies_under_one_number() {
    let users = [0, 2, 3];
    let report =
        |world: &World| Received { outgoing: Vec::new(), events: vec![Event::Equivocation { by: world.id(1) }] };
    // Two copies of one device: the second update is reported, and the first one is valid, however often the second
    // arrives.
    let mut world = World::with_group(4, 5, 442);
    let mut copy = world.users[1].member.duplicate();
    let first = world.update(1)[0];
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let second = copy.update(&mut context).unwrap().remove(0).bytes;
    world.carry(first, 0);
    for _ in 0..2 {
        let report = report(&world);
        assert_eq!(world.receive(1, &second, 0), Ok(report));
    }
    world.settle();
    assert_eq!(world.receive(1, &second, 3), Ok(report(&world)));
    world.check(&[0, 1, 2, 3]);
    // Messages: the second one is not read.
    let mut copy = world.users[1].member.duplicate();
    world.say(1, "one");
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let second = copy.send(b"other", &mut context).unwrap().remove(0).bytes;
    world.settle();
    for user in users {
        let report = report(&world);
        assert_eq!(world.receive(1, &second, user), Ok(report));
        assert!(world.has_read(user, 1, "one"));
    }
    world.check(&[0, 1, 2, 3]);
    // A message far back counts as a duplicate: nobody keeps the hashes of all messages.
    for _ in 0..8 {
        world.say(1, "on");
    }
    world.settle();
    assert_eq!(world.receive(1, &second, 0), Ok(Received::default()));

    // Each of two sides gets a different one first. Every member sees both and reports it, and the sides lose each
    // other.
    let mut mallory = Malicious::turn(&mut world, 1);
    let mut other_hand = Malicious::rob(&world, 1);
    other_hand.rng = rng;
    let bodies = [mallory.update_body(&world, &users), other_hand.update_body(&world, &users)];
    let twin = mallory.draft(UPDATE, &bodies[1]);
    let twin = mallory.sign(&world, &Draft { new_key: Some(mallory.key.verification_key()), ..twin });
    let one = mallory.post(&mut world, UPDATE, Subject::None, &bodies[0]);
    world.sent.push(crate::common::Sent { bytes: twin, ..world.sent[one].clone() });
    let other = one + 1;
    for (user, order) in [(0, [one, other]), (2, [one, other]), (3, [other, one])] {
        world.carry(order[0], user);
        let (received, _) = world.try_carry(order[1], user);
        assert_eq!(received, Ok(report(&world)));
    }
    world.settle();
    assert_eq!(readings(&mut world, &users), all_but(&users, &[(0, 3), (2, 3), (3, 0), (3, 2)]));
    world.remove(0, 1);
    world.remove(0, 3);
    world.settle();
    world.add(0, 4);
    world.settle();
    world.check(&[0, 2, 4]);
}

/// A ciphertext to prekeys with an ephemeral key of small order, whose secrets are all known to the sender: it opens
/// unless such keys are refused.
fn slot_with_small_order(
    mallory: &mut Malicious,
    world: &World,
    to: usize,
    point: [u8; 32],
    secret: &Secret,
) -> Vec<u8> {
    let mut own = Vec::new();
    mallory.prekeys.encode(&mut own);
    let own = PrivateKey::from_secret(Secret::new(own[..32].try_into().unwrap()));
    let bundle = x3dh::peer_bundle(&world.id(to), &world.directory).unwrap();
    let agreed = [&[0xff; 32][..], own.agree(&bundle.signed).unwrap().expose(), &[0; 64]].concat();
    let header = [&point[..], &[0; 4]].concat();
    let (info, associated) = mallory.binding(world, to);
    let key = OneTimeKey::new(kdf::derive(label::X3DH, &[0; 32], &agreed, &[]));
    let sealed = key.seal(&mallory.payload(secret).encode(), &[&header[..], &info, &associated].concat()).unwrap();
    [&[1][..], &header, &sealed].concat()
}

#[test]
fn low_order_and_non_canonical_points() {
    let users = [0, 2, 3];
    let mut world = World::with_group(4, 6, 443);

    // In ids: nobody creates a group with them or adds them, and nobody accepts them from others.
    for bad in BAD_VERIFICATION_KEYS {
        let (id, one) = (MemberId(bad), world.id(1));
        let before = world.users[5].member.export();
        assert_eq!(world.act(5, |member, context| member.create(&[id, one], context)), Err(Error::NoBundle));
        assert!(world.users[5].member.export() == before);
        let before = world.users[0].member.export();
        assert_eq!(world.act(0, |member, context| member.add(&id, context)), Err(Error::NoBundle));
        assert!(world.users[0].member.export() == before);

        let mut elsewhere = World::new(6, 443);
        let creator = Malicious::rob(&elsewhere, 5);
        elsewhere.group = GroupId::new(&creator.id, &Digest([7; 32]));
        for (other, result) in [(id, Some(Error::Malformed)), (elsewhere.id(4), None)] {
            let mut others = [other, one];
            others.sort_unstable();
            let body = [&[7; 32][..], &[8; 32], &[2], &others[0].0, &others[1].0, &[0, 0]].concat();
            let bytes = creator.sign(&elsewhere, &creator.draft(CREATE, &body));
            assert_eq!(elsewhere.receive(5, &bytes, 1).err(), result);
        }
        assert!(elsewhere.is_inside(1));

        let mut world = fork(&world);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = mallory.add_body(&id);
        let place = mallory.post(&mut world, ADD, Subject::None, &body);
        for user in users {
            rejected(&mut world, place, user, Rule::Form);
        }
        assert_eq!(readings(&mut world, &users), all_but(&users, &[]));
    }

    // In new verification keys: the message is invalid, and its number is free for the genuine one.
    let update = world.update(1)[0];
    let genuine = world.sent[update].bytes.clone();
    let at = Envelope::decode(&genuine).unwrap().header.len();
    for bad in BAD_VERIFICATION_KEYS {
        let mut damaged = genuine.clone();
        damaged[at..at + 32].copy_from_slice(&bad);
        assert_eq!(refused(&mut world, 1, &damaged, 2), Error::Malformed);
    }
    world.settle();
    world.check(&[0, 1, 2, 3]);

    // In bundles that their users have signed themselves.
    let clean = fork(&world);
    for (identity, signed) in [(true, false), (false, true), (true, true)] {
        for weak in SMALL_ORDER_KEYS {
            let mut world = fork(&clean);
            let key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(6));
            let id = MemberId(*key.verification_key().as_bytes());
            let fair = PrivateKey::random(&mut ChaCha20Rng::seed_from_u64(7)).public_key().0;
            let (identity, signed) = (if identity { weak } else { fair }, if signed { weak } else { fair });
            let signature = key.sign(&hash::hash(label::BUNDLE, &[&id.0, &identity, &signed]).0);
            world.directory.publish(id, [&identity[..], &signed, &signature.0].concat(), Vec::new());
            assert_eq!(world.act(2, |member, context| member.add(&id, context)), Err(Error::NoBundle));
        }
    }

    // In ciphertexts: the ephemeral key of first contact, whether or not the author knows the result, and the
    // encapsulated key afterwards.
    for weak in SMALL_ORDER_KEYS {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        for round in 0..2 {
            let seed = mallory.secret();
            let mut slots = users.map(|user| (user, mallory.honest_slot(&world, user, &seed)));
            if round == 0 {
                slots[2].1 = slot_with_small_order(&mut mallory, &world, 3, weak, &seed);
            } else {
                slots[0].1[1..33].copy_from_slice(&weak);
            }
            slots[1].1[1..33].copy_from_slice(&weak);
            let body = mallory.seeded(&world, &seed, &slots);
            let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
            // The ciphertext after a refused one is for a key in the refused one.
            let expected: &[usize] = if round == 0 { &[2, 3] } else { &users };
            assert_eq!(nones(&mut world, place, &users), expected);
            world.settle();
        }
        assert_eq!(readings(&mut world, &users), all_but(&users, &[(0, 2), (0, 3)]));
    }

    // In what is encrypted: a key for the answer, and its index. The answer is empty, or the payload is invalid.
    let altered = |world: &World, mallory: &mut Malicious, change: &dyn Fn(&mut Payload)| {
        let seed = mallory.secret();
        let slots = users.map(|user| {
            let mut payload = mallory.payload(&seed);
            if user == 2 {
                change(&mut payload);
            }
            (user, mallory.slot(world, user, &payload))
        });
        mallory.seeded(world, &seed, &slots)
    };
    for weak in SMALL_ORDER_KEYS {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = altered(&world, &mut mallory, &|payload| payload.mine = PublicKey(weak));
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        assert!(nones(&mut world, place, &users).is_empty());
        world.settle();
        let update = world.update(2)[0];
        let lens: Vec<_> = slots(&world.sent[update].bytes).into_iter().map(|slot| slot.len()).collect();
        assert_eq!(lens.iter().filter(|len| **len == 1).count(), 1, "the author's alone is empty");
        world.settle();
        assert_eq!(readings(&mut world, &users), all_but(&users, &[]));
        world.remove(2, 1);
        world.settle();
        world.check(&users);
    }
    for (index, opens) in [(0, false), (u32::MAX, false), (u32::MAX - 1, false), (u32::MAX - 2, true)] {
        let mut world = fork(&clean);
        let mut mallory = Malicious::turn(&mut world, 1);
        let body = altered(&world, &mut mallory, &|payload| payload.index = index);
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        let expected: &[usize] = if opens { &[] } else { &[2] };
        assert_eq!(nones(&mut world, place, &users), expected, "index {index}");
        world.settle();
        world.update(2);
        world.settle();
        let lost: &[_] = if opens { &[] } else { &[(0, 2), (3, 2)] };
        assert_eq!(readings(&mut world, &users), all_but(&users, lost), "index {index}");
    }
}

#[test]
fn what_a_member_must_not_do_is_refused_and_changes_nothing() {
    let mut world = World::with_group(4, 5, 444);
    let ids: Vec<_> = (0..5).map(|user| world.id(user)).collect();
    let before = world.users[0].member.export();
    assert_eq!(world.act(0, |member, context| member.remove(&ids[0], context)), Err(Error::RemovesItself));
    assert_eq!(world.act(0, |member, context| member.remove(&ids[4], context)), Err(Error::NotAMember));
    assert_eq!(world.act(0, |member, context| member.add(&ids[1], context)), Err(Error::AlreadyAMember));
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
fn an_add_that_fails_undoes_its_repair() {
    let mut world = World::with_group(6, 7, 445);
    world.remove(0, 4);
    world.remove(1, 5);
    world.settle();
    let user = world.id(6);
    world.directory.publish(user, Vec::new(), Vec::new());
    let before = world.users[2].member.export();
    assert_eq!(world.act(2, |member, context| member.add(&user, context)), Err(Error::NoBundle));
    assert!(world.users[2].member.export() == before);
    let said = world.say(2, "nothing happened");
    assert_eq!(world.kinds(&said), ["update", "message"]);
    world.settle();
    assert!([0, 1, 3].into_iter().all(|reader| world.has_read(reader, 2, "nothing happened")));
    world.check(&[0, 1, 2, 3]);
}
