//! Messages that a member signs and should not.

use protocol::error::Error;
use protocol::id::GroupId;
use protocol::member::{Context, Event, Incoming, Received, Rule};
use protocol::wire::envelope::{Draft, Envelope, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::World;
use super::malicious::{ACK, ADD, MESSAGE, Malicious, REMOVE, UPDATE};
use super::{all_but, nones, readings, refused, rejected};

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
        let inconsistent = Event::Inconsistent { by: world.id(1) };
        let report: Vec<_> =
            users.into_iter().filter(|user| world.users[*user].events.contains(&inconsistent)).collect();
        assert_eq!(report, others);
        world.settle();
        nobody_is_split(&world, &users);
        // They lose the members that have taken the seed, and nobody else. Everybody reads them.
        let lost: Vec<_> = holders.iter().flat_map(|one| others.iter().map(|other| (*one, *other))).collect();
        assert_eq!(readings(&mut world, &users), all_but(&users, &lost));
        // Their ciphertexts have opened, so the channel has advanced: the author's next one opens too, whichever of the
        // two keys it uses.
        let body = mallory.update_body(&world, &users);
        let place = mallory.post(&mut world, UPDATE, Subject::None, &body);
        assert!(nones(&mut world, place, &users).is_empty());
        world.settle();
        nobody_is_split(&world, &users);
        world.remove(0, 1);
        world.settle();
        // With it user 0 has returned its ratchet to those that have asked.
        let lost: Vec<_> = lost.into_iter().filter(|(author, _)| *author != 0).collect();
        assert_eq!(readings(&mut world, &users), all_but(&users, &lost));
        nobody_is_split(&world, &users);
        world.update(2);
        world.settle();
        world.check(&users);
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
    world.sent.push(super::common::Sent { bytes: twin, ..world.sent[one].clone() });
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
fn a_member_that_hears_itself_learns_only_that_somebody_else_signs_in_its_name() {
    let mut world = World::with_group(3, 4, 447);
    let add = world.add(1, 3);
    world.settle();
    let said = world.say(1, "hello");
    world.settle();
    let before = world.users[1].member.export();
    // The network echoes: its broadcast, its welcome to another user, and its ADD, which is not its last message.
    for place in [said[0], add[0], add[1]] {
        let bytes = world.sent[place].bytes.clone();
        assert_eq!(world.receive(1, &bytes, 1), Ok(Received::default()));
    }
    // Nobody joins by a welcome at a member, so nobody is asked whether to confirm its author.
    let (author, group) = (world.id(1), world.group);
    let welcome = Incoming { group, author, bytes: &world.sent[add[1]].bytes };
    for user in [1, 3] {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| false };
        assert_eq!(world.users[user].member.receive_one(&welcome, &mut context), Ok(Received::default()));
    }
    let thief = Malicious::rob(&world, 1);
    let (me, body) = (world.id(1), [0; 40]);
    let next = thief.sign(&world, &thief.draft(MESSAGE, &body));
    assert_eq!(refused(&mut world, 1, &next, 1), Error::WrongAuthor, "it has not sent that number yet");
    let last = Draft { number: thief.number, ..thief.draft(MESSAGE, &body) };
    let second = thief.sign(&world, &last);
    let events = vec![Event::Equivocation { by: me }];
    assert_eq!(world.receive(1, &second, 1), Ok(Received { events, ..Received::default() }));
    let mut forged = second.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&mut world, 1, &forged, 1), Error::NotAuthentic);
    let genuine = world.sent[said[0]].bytes.clone();
    let group = std::mem::replace(&mut world.group, GroupId([7; 32]));
    assert_eq!(refused(&mut world, 1, &genuine, 1), Error::WrongGroup);
    assert!(world.users[1].member.export() == before);
    // A user in no group has sent nothing.
    let mut outside = World::new(4, 447);
    outside.group = group;
    assert_eq!(refused(&mut outside, 1, &genuine, 1), Error::WrongAuthor);
    // The twin: the others take the thief's message under the next number.
    world.group = group;
    assert!(world.receive(1, &next, 0).unwrap().events.len() == 1);
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

#[test]
fn an_acknowledgement_counts_once() {
    let mut world = World::with_group(4, 5, 446);
    let update = world.update(0)[0];
    let number = Envelope::decode(&world.sent[update].bytes).unwrap().number;
    // User 3 does not have it yet, so the others still wait.
    world.carry(update, 1);
    world.settle_among(&[0, 1, 2]);
    let mut mallory = Malicious::turn(&mut world, 1);
    let mut again = |world: &mut World, number, users: &[usize]| {
        let place = mallory.post(world, ACK, Subject::Acknowledged(world.id(0), number), &[]);
        users.iter().for_each(|user| rejected(world, place, *user, Rule::NothingToAcknowledge));
    };
    again(&mut world, number, &[0, 2]);
    world.settle();
    again(&mut world, number, &[0, 2, 3]);
    world.settle();
    nobody_is_split(&world, &[0, 2, 3]);
    assert_eq!(readings(&mut world, &[0, 2, 3]), all_but(&[0, 2, 3], &[]));
}
