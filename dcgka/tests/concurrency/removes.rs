//! Removals concurrent with each other and with updates, and what removed members do afterwards.

use super::Change::{Added, Removed, Updated};
use super::attacker::{Attacker, are_shut_out};
use super::common::{COMMITMENT, Sent, World, carry, is_lean, removed_by, says_none, slots};
use super::{either, ends_with, group, have_seen, identity_key};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{Handle, MessageId};
use protocol::member::{Event, Rule};
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// What a member that has only answered CREATE must say in its next message, if it has answered under a tag.
fn answer_to_create(world: &World) -> Vec<(Handle, MessageId)> {
    let create = MessageId { author: world.id(0), number: 1 };
    is_lean().then(|| (create.author.handle(), create)).into_iter().collect()
}

#[test]
fn mutual_removes() {
    let mut world = group(6, 6, 300);
    let (one, other) = (world.remove(0, 1), world.remove(1, 0));
    let attackers = [0, 1].map(|user| Attacker::copy(&world, user));
    carry(&mut world, &[&one, &other], &[2, 3]);
    carry(&mut world, &[&other, &one], &[4, 5]);
    ends_with(&mut world, &[2, 3, 4, 5]);
    are_shut_out(&attackers, &world);
    assert!((2..6).all(|user| removed_by(&world, user, 0, 1) && removed_by(&world, user, 1, 0)));
    // Each of the two stops at its own removal.
    have_seen(&world, &[0], &[Removed(1, 0)]);
    have_seen(&world, &[1], &[Removed(0, 1)]);
}

#[test]
fn a_cycle_of_three_removes() {
    let mut world = group(6, 6, 301);
    let removes: Vec<_> = [(0, 1), (1, 2), (2, 0)].into_iter().map(|(by, user)| world.remove(by, user)[0]).collect();
    let attackers = [0, 1, 2].map(|user| Attacker::copy(&world, user));
    for (turn, user) in [3, 4, 5].into_iter().enumerate() {
        let mut order = removes.clone();
        order.rotate_left(turn);
        if turn == 1 {
            order.reverse();
        }
        carry(&mut world, &[&order], &[user]);
    }
    ends_with(&mut world, &[3, 4, 5]);
    are_shut_out(&attackers, &world);
    for (by, user) in [(0, 1), (1, 2), (2, 0)] {
        assert!([3, 4, 5].into_iter().all(|viewer| removed_by(&world, viewer, by, user)));
    }
}

#[test]
fn two_removes_of_one_user() {
    let mut world = group(5, 5, 370);
    let (one, other) = (world.remove(0, 4), world.remove(1, 4));
    let attackers = [Attacker::copy(&world, 4)];
    let answers = carry(&mut world, &[&one, &other], &[2]);
    assert!(answers.iter().all(|place| !says_none(&world, *place)), "both seeds are taken");
    carry(&mut world, &[&other, &one], &[3]);
    ends_with(&mut world, &[0, 1, 2, 3]);
    are_shut_out(&attackers, &world);
    // Each is told once, of the removal that came first.
    have_seen(&world, &[2], &[Removed(0, 4)]);
    have_seen(&world, &[3], &[Removed(1, 4)]);
}

#[test]
fn concurrent_removes_of_two_colluders() {
    for turn in 0..2 {
        let mut world = group(6, 6, 313);
        let (one, other) = (world.remove(0, 4), world.remove(1, 5));
        let attackers = [4, 5].map(|user| Attacker::copy(&world, user));
        carry(&mut world, &either(turn, &one, &other), &[2]);
        carry(&mut world, &either(turn + 1, &one, &other), &[3]);
        world.settle();
        let said = world.say(2, "repaired");
        assert_eq!(world.kinds(&said), ["update", "message"]);
        // Each of the two knows the seed of one remove. Slots are for the members that remain, and nobody else.
        assert_eq!(world.body(said[0]).len(), slots(1, 2));
        world.settle();
        for user in [0, 1, 3] {
            let said = world.say(user, "clean");
            assert_eq!(world.kinds(&said), ["message"]);
        }
        ends_with(&mut world, &[0, 1, 2, 3]);
        are_shut_out(&attackers, &world);
        have_seen(&world, &[3], &[Removed(0, 4), Removed(1, 5), Updated(2)]);
    }
}

#[test]
fn remove_concurrent_with_update_by_the_removed() {
    let mut world = group(5, 5, 302);
    let (update, remove) = (world.update(3), world.remove(0, 3));
    let said = world.say(3, "not knowing");
    let attackers = [Attacker::copy(&world, 3)];
    let early = carry(&mut world, &[&update, &remove], &[1]);
    let late = carry(&mut world, &[&remove, &update], &[2]);
    assert!(!says_none(&world, early[0]) && !says_none(&world, early[1]));
    assert!(!says_none(&world, late[0]) && says_none(&world, late[1]));
    carry(&mut world, &[&said], &[1, 2]);
    assert!(world.has_read(1, 3, "not knowing") && world.has_read(2, 3, "not knowing"));
    ends_with(&mut world, &[0, 1, 2, 4]);
    are_shut_out(&attackers, &world);
    have_seen(&world, &[0], &[Updated(3)]);
    have_seen(&world, &[1, 2], &[Removed(0, 3), Updated(3)]);
}

#[test]
fn remove_concurrent_with_update_by_another() {
    for turn in 0..2 {
        let mut world = group(5, 5, 303 + turn as u64);
        let (update, remove) = (world.update(1), world.remove(0, 3));
        carry(&mut world, &[&update], &[3]);
        let attackers = [Attacker::copy(&world, 3)];
        let mut answers = carry(&mut world, &either(turn, &update, &remove), &[2]);
        answers.extend(carry(&mut world, &either(turn + 1, &update, &remove), &[4]));
        assert!(answers.iter().all(|place| !says_none(&world, *place)), "both seeds are taken");
        world.settle();
        // The removed member has the seed of the update, and nobody steps with that alone.
        for user in [0, 1, 2, 4] {
            let said = world.say(user, "no need to repair");
            assert_eq!(world.kinds(&said), ["message"]);
        }
        ends_with(&mut world, &[0, 1, 2, 4]);
        are_shut_out(&attackers, &world);
        have_seen(&world, &[2, 4], &[Removed(0, 3), Updated(1)]);
    }
}

#[test]
fn remove_of_oneself_refused() {
    for turn in 0..2 {
        let seed = 304;
        let mut world = group(4, 4, seed);
        let id = world.id(2);
        let before = world.users[2].member.export();
        assert_eq!(world.act(2, |member, context| member.remove(&id, context)), Err(Error::RemovesItself));
        assert!(world.users[2].member.export() == before);
        // A program that does it nevertheless: it knows the key, and its only message was the answer to CREATE.
        let new_key = SigningKey::random(&mut ChaCha20Rng::seed_from_u64(1)).verification_key();
        let (subject, body) = (Subject::Member(id), [0; COMMITMENT]);
        let draft = Draft { kind: Kind(3), sender: id, number: 2, subject, new_key: Some(new_key), body: &body };
        let key = identity_key(&world, 2, seed);
        let handles = (id.handle(), Some(id.handle()));
        let (bytes, _) = draft.sign_after(&world.group, handles, &answer_to_create(&world), &key);
        let forged = world.sent.len();
        world.sent.push(Sent { author: 2, to: None, kind: "remove", bytes });
        let update = world.update(1);
        let answers = carry(&mut world, &either(turn, &[forged], &update), &[0, 1, 3]);
        assert_eq!(answers.len(), 2, "only the update is answered");
        let rejected = Event::Rejected { from: id, rule: Rule::RemovesItself };
        for user in [0, 1, 3] {
            assert!(world.users[user].events.contains(&rejected));
            assert_eq!(world.members(user), [0, 1, 2, 3]);
        }
        // What the member itself sends would have the number of the forged message, so it stays offline and is removed.
        world.users[2].online = false;
        world.remove(0, 2);
        world.settle();
        world.check(&[0, 1, 3]);
    }
}

#[test]
fn re_add_under_the_old_id_refused_under_a_new_id_works() {
    for turn in 0..2 {
        let mut world = group(4, 6, 305 + turn as u64);
        let add = world.add(0, 4);
        world.settle_among(&[0, 1, 3, 4]);
        let remove = world.remove(1, 4);
        let attackers = [Attacker::copy(&world, 4)];
        // A member that knows of neither adds the same user, without effect, whichever comes first.
        let again = world.add(2, 4);
        carry(&mut world, &either(turn, &remove, &again), &[3, 4]);
        carry(&mut world, &either(turn, &again, &[&add[..], &remove].concat()), &[0]);
        ends_with(&mut world, &[0, 1, 2, 3]);
        are_shut_out(&attackers, &world);
        have_seen(&world, &[3], &[Added(0, 4), Removed(1, 4)]);
        let old = world.id(4);
        for user in [0, 1, 2, 3] {
            let before = world.users[user].member.export();
            let refused = world.act(user, |member, context| member.add(&old, context));
            assert_eq!(refused, Err(Error::AlreadyAMember));
            assert!(world.users[user].member.export() == before);
        }
        // The same person with another identity.
        world.add(2, 5);
        ends_with(&mut world, &[0, 1, 2, 3, 5]);
        are_shut_out(&attackers, &world);
    }
}

#[test]
fn ack_after_removal() {
    for by_add in [false, true] {
        let mut world = group(5, 6, 341);
        let sent = if by_add { world.add(0, 5) } else { world.update(0) };
        let late = carry(&mut world, &[&sent], &[3]);
        let others: &[usize] = if by_add { &[0, 1, 2, 4, 5] } else { &[0, 1, 2, 4] };
        world.settle_among(others);
        // One member receives it before the removal, one after it, and the others only when nothing is kept of the
        // removed member.
        carry(&mut world, &[&late], &[1]);
        let remove = world.remove(0, 3);
        let attackers = [Attacker::copy(&world, 3)];
        carry(&mut world, &[&remove, &late], &[2]);
        world.settle_among(others);
        carry(&mut world, &[&late], others);
        ends_with(&mut world, others);
        are_shut_out(&attackers, &world);
        have_seen(&world, &[1, 2, 4], &if by_add { [Added(0, 5), Removed(0, 3)] } else { [Removed(0, 3), Updated(0)] });
    }
}

/// An ack makes its author's view what the acknowledged membership changes say, so all decide alike what its removals
/// reach.
#[test]
fn ack_of_an_add_after_removal_counts_alike_for_all() {
    let mut world = group(5, 6, 341);
    let add = world.add(0, 5);
    let late = carry(&mut world, &[&add], &[3]);
    world.settle_among(&[0, 1, 2, 4, 5]);
    carry(&mut world, &[&late], &[1]);
    world.remove(0, 3);
    world.settle_among(&[0, 1, 2, 4, 5]);
    // A documented limit: the removals of a removed member still remove.
    let remove = world.remove(3, 5);
    carry(&mut world, &[&late, &remove], &[0, 1, 2, 4, 5]);
    ends_with(&mut world, &[0, 1, 2, 4]);
}

#[test]
fn ack_of_ones_own_removal() {
    for turn in 0..3 {
        let seed = 306;
        let mut world = group(4, 4, seed);
        let remove = world.remove(0, 3);
        let number = Envelope::decode(&world.sent[remove[0]].bytes).unwrap().number;
        let attackers = [Attacker::copy(&world, 3)];
        // An honest member sends nothing any more.
        assert!(carry(&mut world, &[&remove], &[3]).is_empty());
        have_seen(&world, &[3], &[Removed(0, 3)]);
        assert_eq!(world.act(3, |member, context| member.update(context)), Err(Error::NotInGroup));
        // A program that continues.
        let (id, by) = (world.id(3), world.id(0));
        let subject = Subject::Acknowledged(by, number);
        let draft = Draft { kind: Kind(5), sender: id, number: 2, subject, new_key: None, body: &[] };
        let (handles, key) = ((id.handle(), Some(by.handle())), identity_key(&world, 3, seed));
        let (bytes, _) = draft.sign_after(&world.group, handles, &answer_to_create(&world), &key);
        if turn == 2 {
            // After all have acknowledged the removal.
            world.settle();
        }
        let forged = world.sent.len();
        world.sent.push(Sent { author: 3, to: None, kind: "ack", bytes });
        carry(&mut world, &either(turn, &remove, &[forged]), &[1, 2]);
        world.settle();
        have_seen(&world, &[1, 2], &[Removed(0, 3)]);
        let rejected = Event::Rejected { from: id, rule: Rule::AcknowledgesOwnRemoval };
        for user in [0, 1, 2] {
            let times = world.users[user].events.iter().filter(|event| **event == rejected).count();
            assert_eq!(times, 1, "user {user}");
        }
        world.users.iter_mut().for_each(|user| user.events.retain(|event| *event != rejected));
        ends_with(&mut world, &[0, 1, 2]);
        are_shut_out(&attackers, &world);
    }
}

#[test]
fn ack_of_a_remove_makes_the_view_of_its_author_smaller() {
    let mut world = group(5, 5, 340);
    let remove = world.remove(0, 4);
    assert_eq!(world.body(remove[0]).len(), slots(0, 3));
    carry(&mut world, &[&remove], &[1]);
    let (knowing, unknowing) = (world.update(1), world.update(2));
    assert_eq!(world.body(knowing[0]).len(), slots(2, 1));
    assert_eq!(world.body(unknowing[0]).len(), slots(3, 1));
    ends_with(&mut world, &[0, 1, 2, 3]);
}

#[test]
fn a_removed_member_that_continues_to_act_splits_nobody() {
    let mut world = group(6, 8, 342);
    world.remove(0, 3);
    let others = [0, 1, 2, 4, 5];
    world.settle_among(&others);
    for _ in 0..3 {
        world.update(3);
        world.say(3, "still here?");
    }
    world.add(3, 6);
    // A documented limit: its removals still remove.
    world.remove(3, 4);
    world.settle_among(&[3, 6]);
    world.update(6);
    let attackers = [3, 6].map(|user| Attacker::copy(&world, user));
    world.update(1);
    world.add(2, 7);
    ends_with(&mut world, &[0, 1, 2, 5, 7]);
    are_shut_out(&attackers, &world);
}
