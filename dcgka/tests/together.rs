//! Messages that arrive together: a member checks their signatures together, and ends as after the same messages one by one.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Sent, World};
use dcgka::Dcgka;
use protocol::crypto::count::{Counts, snapshot};
use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Received};

/// What the users of a test follow unless it says otherwise.
const VARIANT: Dcgka = Dcgka::CORRECTED;
const MEMBERS: usize = 10;
const LAST: usize = MEMBERS - 1;

type Results = Vec<Result<Received, Error>>;

/// Everybody has received an update, and nobody an acknowledgement of it. Returns those of all but the last member.
fn acknowledged_update(variant: Dcgka) -> (World, Vec<Sent>) {
    let mut world = World::with_group_of(variant, MEMBERS, MEMBERS, 1);
    let update = world.update(0)[0];
    let acks: Vec<_> = (1..MEMBERS).flat_map(|user| world.carry(update, user)).take(MEMBERS - 2).collect();
    let acks = acks.into_iter().map(|place| world.sent[place].clone()).collect();
    (world, acks)
}

/// Lets messages arrive at a copy of a member, in calls of this many. Returns the copy and its results.
fn arrive(world: &World, to: usize, messages: &[Sent], at_once: usize) -> (Box<dyn Member>, Results) {
    let mut member = world.users[to].member.duplicate();
    let mut rng = world.users[to].rng.clone();
    let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
    let incoming =
        messages.iter().map(|it| Incoming { group: world.group, author: world.id(it.author), bytes: &it.bytes });
    let messages: Vec<_> = incoming.collect();
    let results = messages.chunks(at_once).flat_map(|batch| member.receive(batch, &mut context)).collect();
    (member, results)
}

#[test]
fn acknowledgements_that_arrive_together_are_verified_together() {
    for variant in [Dcgka::CORRECTED, Dcgka::PUBLISHED, Dcgka::LEAN_CHANNELS] {
        let (world, acks) = acknowledged_update(variant);
        let counted = |at_once| {
            let before = snapshot();
            let (member, results) = arrive(&world, LAST, &acks, at_once);
            (member.export(), results, snapshot() - before)
        };
        let (alone, one_by_one, counts) = counted(1);
        let others = MEMBERS as u64 - 2;
        assert_eq!((counts.verify, counts.verify_batched, counts.verify_batches), (others, 0, 0));
        let (together, at_once, batched) = counted(usize::MAX);
        assert_eq!((batched.verify, batched.verify_batched, batched.verify_batches), (0, others, 1));
        assert!(together == alone && at_once == one_by_one);
        // Nothing else is done more often, but that envelopes are decoded twice.
        assert_eq!(batched.one_by_one(), Counts { envelopes: batched.envelopes, ..counts });
    }
}

#[test]
fn tags_are_checked_one_by_one() {
    let (world, acks) = acknowledged_update(Dcgka::LEAN);
    let before = snapshot();
    let (together, _) = arrive(&world, LAST, &acks, usize::MAX);
    let counts = snapshot() - before;
    assert_eq!((counts.verified(), counts.verify_batches), (0, 0));
    assert!(together.export() == arrive(&world, LAST, &acks, 1).0.export());
}

#[test]
fn a_forgery_in_a_batch_is_refused_alone_wherever_it_stands() {
    let (world, genuine) = acknowledged_update(VARIANT);
    let (settled, _) = arrive(&world, LAST, &genuine, 1);
    for place in 0..=genuine.len() {
        let mut forged = genuine[place % genuine.len()].clone();
        *forged.bytes.last_mut().unwrap() ^= 1;
        let mut batch = genuine.clone();
        batch.insert(place, forged);
        let (member, results) = arrive(&world, LAST, &batch, usize::MAX);
        let refused: Vec<_> = (0..batch.len()).filter(|at| results[*at].is_err()).collect();
        // After the genuine one, it is a duplicate: the signature is no part of the message.
        assert_eq!(refused, if place < genuine.len() { vec![place] } else { vec![] });
        assert!(member.export() == settled.export());
    }
}

#[test]
fn several_messages_of_one_member_are_verified_together_with_its_new_keys() {
    let mut world = World::with_group_of(VARIANT, 4, 4, 2);
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.extend(world.update(0));
        sent.extend(world.say(0, "between updates"));
    }
    let sent: Vec<_> = sent.iter().map(|place| world.sent[*place].clone()).collect();
    let before = snapshot();
    let (together, at_once) = arrive(&world, 2, &sent, usize::MAX);
    let counts = snapshot() - before;
    assert_eq!((counts.verify_batched, counts.verify_batches), (6, 1));
    let (alone, one_by_one) = arrive(&world, 2, &sent, 1);
    assert!(together.export() == alone.export() && at_once == one_by_one);
    assert!(at_once.iter().all(Result::is_ok));
}
