//! After a removal the removed member can read and forge nothing, and after an update neither can a thief of a member's
//! state.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::{ALL, EAGER, LAZY, PAIRWISE, PCS, User, World};
use protocol::member::{Context, Event, Incoming, Member};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Somebody who has a copy of a member's state and sees everything on the network.
struct Thief {
    victim: usize,
    member: Box<dyn Member>,
    rng: ChaCha20Rng,
    read: Vec<Vec<u8>>,
}

impl Thief {
    fn of(world: &World, victim: usize) -> Self {
        let User { member, .. } = &world.users[victim];
        Self { victim, member: member.duplicate(), rng: ChaCha20Rng::seed_from_u64(99), read: Vec::new() }
    }

    /// Tries all messages of others from place `since` on, except those of the kind `but`.
    fn see(&mut self, world: &World, since: usize, but: &str) {
        for sent in &world.sent[since..] {
            if sent.kind == but || sent.author == self.victim {
                continue;
            }
            let directory = world.directory.clone();
            let mut context = Context { rng: &mut self.rng, directory: &directory, confirm_inviter: &|_| true };
            let message = Incoming { group: world.group, author: world.id(sent.author), bytes: &sent.bytes };
            for event in self.member.receive_one(&message, &mut context).map_or(Vec::new(), |received| received.events)
            {
                if let Event::Message { plaintext, .. } = event {
                    self.read.push(plaintext);
                }
            }
        }
    }

    fn has_read(&self, text: &str) -> bool {
        self.read.iter().any(|plaintext| plaintext == text.as_bytes())
    }

    /// Sends in the victim's name. Returns whether any of the others reads it.
    fn deceives(&mut self, world: &mut World, others: &[usize]) -> bool {
        let directory = world.directory.clone();
        let mut context = Context { rng: &mut self.rng, directory: &directory, confirm_inviter: &|_| true };
        let outgoing = self.member.send(b"forged", &mut context).unwrap();
        let mut deceived = false;
        for message in &outgoing {
            for other in others {
                let received = world.receive(self.victim, &message.bytes, *other);
                let forged =
                    |event: &Event| matches!(event, Event::Message { plaintext, .. } if plaintext == b"forged");
                deceived |= received.is_ok_and(|received| received.events.iter().any(forged));
            }
        }
        deceived
    }
}

#[test]
fn a_removed_member_reads_nothing_that_is_sent_after_it() {
    for variant in ALL {
        let mut world = World::with_group(variant, 4, 4, 1);
        world.check(&[0, 1, 2, 3]);
        let mut removed = Thief::of(&world, 3);
        let mut insider = Thief::of(&world, 3);
        let since = world.sent.len();
        world.say(2, "before");
        world.settle();
        insider.see(&world, since, "");
        assert!(insider.has_read("before"), "the copy can read");

        let since = world.sent.len();
        world.remove(1, 3);
        world.settle();
        for round in 0..2 {
            for sender in 0..3 {
                world.say(sender, &format!("{round} from {sender}"));
            }
            world.settle();
        }
        removed.see(&world, since, "remove");
        insider.see(&world, since, "");
        assert_eq!(removed.read, Vec::<Vec<u8>>::new());
        assert_eq!(insider.read, [b"before"]);
    }
}

#[test]
fn what_a_removed_member_sends_is_not_read() {
    for variant in ALL {
        let mut world = World::with_group(variant, 4, 4, 2);
        world.check(&[0, 1, 2, 3]);
        let mut removed = Thief::of(&world, 3);
        world.remove(1, 3);
        world.settle();
        assert!(!removed.deceives(&mut world, &[0, 1, 2]));
        world.check(&[0, 1, 2]);
    }
}

#[test]
fn lazy_keys_are_sent_with_the_next_message_and_not_before() {
    let mut world = World::with_group(LAZY, 4, 4, 3);
    world.check(&[0, 1, 2, 3]);
    let since = world.sent.len();
    let removal = world.remove(0, 3);
    assert_eq!(world.kinds(&removal), ["remove"; 3]);
    world.settle();
    assert_eq!(world.sent.len(), since + 3, "nobody answers a removal");
    let first = world.say(1, "first");
    assert_eq!(world.kinds(&first), ["key", "key", "message"]);
    world.settle();
    let next = world.say(1, "next");
    assert_eq!(world.kinds(&next), ["message"]);
    world.settle();
    world.check(&[0, 1, 2]);
}

#[test]
fn eager_keys_are_sent_immediately() {
    for variant in [EAGER, PCS] {
        let mut world = World::with_group(variant, 4, 4, 4);
        world.remove(0, 3);
        world.settle();
        for user in 0..3 {
            let said = world.say(user, "no key with it");
            assert_eq!(world.kinds(&said), ["message"]);
        }
    }
}

#[test]
fn a_thief_reads_nothing_after_an_update_and_deceives_nobody() {
    for variant in [PAIRWISE, PCS] {
        for (victim, seed) in (0..3).flat_map(|victim| (0..4).map(move |seed| (victim, seed))) {
            let mut world = World::with_group(variant, 3, 3, 50 + seed);
            if seed > 0 {
                world.check(&[0, 1, 2]);
            }
            let mut thief = Thief::of(&world, victim);
            let mut before = Thief::of(&world, victim);
            let since = world.sent.len();
            let others: Vec<_> = (0..3).filter(|user| *user != victim).collect();
            world.say(others[0], "before");
            world.settle();
            before.see(&world, since, "");
            assert!(before.has_read("before"));

            world.update(victim);
            world.settle();
            world.check(&[0, 1, 2]);
            let from = world.sent.len();
            for user in 0..3 {
                world.say(user, &format!("after from {user}"));
            }
            world.settle();
            before.see(&world, from, "");
            thief.see(&world, since, "");
            for user in 0..3 {
                let text = format!("after from {user}");
                assert!(
                    !thief.has_read(&text) && !before.has_read(&text),
                    "seed {seed}: the thief of user {victim} reads `{text}`"
                );
            }
            assert!(!before.deceives(&mut world, &others));
            let mut thief = Thief::of(&world, victim);
            thief.see(&world, since, "");
            world.update(victim);
            world.settle();
            assert!(!thief.deceives(&mut world, &others), "seed {seed}: the thief of user {victim} deceives");
            world.check(&[0, 1, 2]);
        }
    }
}

#[test]
fn an_update_heals_sessions_that_both_sides_have_initiated_concurrently() {
    for seed in 0..6 {
        let mut world = World::with_group(PAIRWISE, 3, 3, 80 + seed);
        world.say(1, "crossing");
        world.say(2, "crossing");
        // The thief uses the session that its victim initiated, whichever session is used in the end.
        let mut thief = Thief::of(&world, 1);
        world.settle();
        world.check(&[0, 1, 2]);
        world.update(1);
        world.settle();
        assert!(!thief.deceives(&mut world, &[0, 2]), "seed {seed}");
        world.check(&[0, 1, 2]);
    }
}

/// Lets everything arrive but these messages.
fn settle_without(world: &mut World, withheld: &[usize]) {
    loop {
        let waiting =
            (0..world.users.len()).flat_map(|user| world.undelivered(user).into_iter().map(move |at| (at, user)));
        let Some((place, user)) = waiting.into_iter().find(|(place, _)| !withheld.contains(place)) else { return };
        world.deliver(place, user);
    }
}

#[test]
fn after_an_update_only_what_was_sent_before_it_is_read_under_earlier_keys() {
    for (variant, updates) in [PAIRWISE, PCS].into_iter().flat_map(|variant| [(variant, true), (variant, false)]) {
        let mut world = World::with_group(variant, 3, 3, 90);
        world.check(&[0, 1, 2]);
        let early = [world.say(1, "early"), world.say(1, "earlier than the update")].concat();
        let mut thief = Thief::of(&world, 1);
        if updates {
            world.update(1);
        }
        settle_without(&mut world, &early);
        assert_eq!(thief.deceives(&mut world, &[0, 2]), !updates);
        if !updates {
            continue;
        }
        world.settle();
        for text in ["early", "earlier than the update"] {
            assert!(world.has_read(0, 1, text) && world.has_read(2, 1, text), "{text}");
        }
        world.check(&[0, 1, 2]);
    }
}

#[test]
fn after_an_update_only_what_was_sent_before_it_is_read_on_the_session_that_is_no_longer_used() {
    for (seed, updater) in (0..4).flat_map(|seed| [(seed, None), (seed, Some(true)), (seed, Some(false))]) {
        let mut world = World::with_group(PAIRWISE, 3, 3, 100 + seed);
        let [used, left] = if world.id(1) < world.id(2) { [1, 2] } else { [2, 1] };
        let early = world.say(left, "early");
        let mut thief = Thief::of(&world, left);
        world.say(used, "crossing");
        settle_without(&mut world, &early);
        // One round of answers, on the session that is used.
        for user in [left, used, left] {
            world.say(user, "settled");
            settle_without(&mut world, &early);
        }
        if let Some(by_left) = updater {
            world.update(if by_left { left } else { used });
            settle_without(&mut world, &early);
            world.restore(used);
        }
        assert_eq!(thief.deceives(&mut world, &[used]), updater.is_none(), "seed {seed}, {updater:?}");
        world.settle();
        assert!(world.has_read(used, left, "early"), "seed {seed}, {updater:?}");
        world.check(&[0, 1, 2]);
    }
}
