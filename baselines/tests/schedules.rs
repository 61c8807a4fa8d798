//! Random schedules of actions and deliveries. In the end all members must agree.
//!
//! A removed member learns of its removal last, and a member that adds a user has first received everything from
//! removed members. Otherwise joiners may never receive the notices of removed members (see the limits on the crate
//! page).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::{ALL, LAZY, Variant, World};
use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Received};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const USERS: usize = 6;
const STEPS: usize = 20;

/// A random number below `bound`.
fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % bound as u64).unwrap()
}

/// A step of a random schedule.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver {
        place: usize,
        to: usize,
    },
    /// Delivers all messages sent to a user so far, except its removal.
    CatchUp(usize),
    Update(usize),
    Add(usize, usize),
    Remove(usize, usize),
    Say(usize),
}

fn random_step(world: &World, rng: &mut ChaCha20Rng) -> Option<Step> {
    let to = below(rng, USERS);
    match below(rng, 100) {
        0..10 => return Some(Step::CatchUp(to)),
        10..60 => {
            let waiting = world.undelivered(to);
            let last = waiting.len().checked_sub(1)?;
            // In most cases the oldest.
            let place = waiting[below(rng, waiting.len()).min(below(rng, 4) * last)];
            return Some(Step::Deliver { place, to });
        }
        _ => {}
    }
    let inside: Vec<_> = world.inside().into_iter().collect();
    let actor = *inside.get(below(rng, inside.len().max(1)))?;
    Some(match below(rng, 10) {
        0..2 => Step::Update(actor),
        2..5 => Step::Add(actor, below(rng, USERS)),
        5..7 => Step::Remove(actor, below(rng, USERS)),
        _ => Step::Say(actor),
    })
}

fn perform(world: &mut World, step: Step) {
    let result = match step {
        Step::Deliver { place, to } if removes(world, place, to) => return,
        Step::Deliver { place, to } => world.try_deliver(place, to),
        Step::CatchUp(user) => {
            catch_up(world, user);
            return;
        }
        Step::Update(actor) if !world.variant.description().capabilities.pcs_update => {
            let refused = world.act(actor, |member, context| member.update(context));
            assert_eq!(refused.unwrap_err(), Error::Unsupported);
            return;
        }
        Step::Update(actor) => Ok(world.update(actor)),
        Step::Add(actor, user) => {
            let members = world.members(actor);
            for gone in (0..USERS).filter(|user| !members.contains(user)) {
                catch_up(world, gone);
                world.undelivered(gone).into_iter().for_each(|place| deliver(world, place, gone));
            }
            let inside = world.inside();
            for place in world.undelivered(actor) {
                if !inside.contains(&world.sent[place].author) {
                    deliver(world, place, actor);
                }
            }
            if !world.inside().contains(&actor) {
                return;
            }
            world.try_add(actor, user)
        }
        Step::Remove(actor, user) => world.try_remove(actor, user),
        Step::Say(actor) => {
            let text = format!("from {actor} after {}", world.sent.len());
            Ok(world.say(actor, &text))
        }
    };
    match (step, result) {
        (_, Ok(_)) => {}
        (Step::Add(..), Err(Error::AlreadyAMember)) => {}
        (Step::Remove(..), Err(Error::RemovesItself | Error::NotAMember)) => {}
        (Step::Deliver { place, to }, Err(error)) => check_refusal(world, place, to, error),
        (_, Err(error)) => panic!("{error}"),
    }
}

fn deliver(world: &mut World, place: usize, to: usize) {
    if let Err(error) = world.try_deliver(place, to) {
        check_refusal(world, place, to, error);
    }
}

/// The keys of removed members are gone. Messages that their removal overtakes can then no longer be read.
fn check_refusal(world: &World, place: usize, to: usize, error: Error) {
    let sent = &world.sent[place];
    let given_up = !world.members(to).contains(&sent.author);
    assert!(given_up && error == Error::NotAuthentic, "message {place} ({}) at user {to}: {error}", sent.kind);
}

/// Whether a message removes the user that receives it.
fn removes(world: &World, place: usize, user: usize) -> bool {
    let mut copy = world.users[user].member.duplicate();
    let mut rng = world.users[user].rng.clone();
    let mut context = Context { rng: &mut rng, directory: &world.directory.clone(), confirm_inviter: &|_| true };
    let sent = &world.sent[place];
    let message = Incoming { group: world.group, author: world.id(sent.author), bytes: &sent.bytes };
    let me = world.id(user);
    let is_removal = |event: &Event| matches!(event, Event::Removed { user, .. } if *user == me);
    copy.receive_one(&message, &mut context).is_ok_and(|received| received.events.iter().any(is_removal))
}

/// Delivers to a user all messages that do not remove it. Returns whether there were any.
fn catch_up(world: &mut World, user: usize) -> bool {
    let mut any = false;
    for place in world.undelivered(user) {
        if !removes(world, place, user) {
            deliver(world, place, user);
            any = true;
        }
    }
    any
}

fn settle(world: &mut World) {
    loop {
        while (0..USERS).filter(|user| catch_up(world, *user)).count() > 0 {}
        let removals: Vec<_> =
            (0..USERS).flat_map(|user| world.undelivered(user).into_iter().map(move |place| (place, user))).collect();
        if removals.is_empty() {
            return;
        }
        removals.into_iter().for_each(|(place, user)| deliver(world, place, user));
    }
}

/// Runs a schedule, and returns all messages that were sent in it.
fn run_schedule(variant: Variant, seed: u64, restores: bool, trace: &mut Vec<Step>) -> Vec<Vec<u8>> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let founders = 2 + below(&mut rng, 4);
    let mut world = World::new(variant, USERS, seed);
    world.create(&(1..founders).collect::<Vec<_>>());
    if below(&mut rng, 2) == 0 {
        world.settle();
    }
    let (restored_at, restored) = (below(&mut rng, STEPS), below(&mut rng, USERS));
    for step in 0..STEPS {
        if restores && step == restored_at {
            world.restore(restored);
        }
        if let Some(step) = random_step(&world, &mut rng) {
            trace.push(step);
            perform(&mut world, step);
        }
    }
    settle(&mut world);
    world.check_no_rejections();
    check_what_was_read(&world);
    let members: Vec<_> = world.inside().into_iter().collect();
    world.check(&members);
    check_repeats(&mut world);
    world.sent.into_iter().map(|sent| sent.bytes).collect()
}

/// The network repeats everything to everybody who has accepted it, and to its author. None of it has an effect.
fn check_repeats(world: &mut World) {
    for user in 0..USERS {
        let state = world.users[user].member.export();
        for place in 0..world.sent.len() {
            let (author, bytes) = (world.sent[place].author, world.sent[place].bytes.clone());
            if author == user || world.users[user].accepted.contains(&place) {
                let again = world.receive(author, &bytes, user);
                assert_eq!(
                    again,
                    Ok(Received::default()),
                    "message {place} ({}) at user {user}",
                    world.sent[place].kind
                );
            }
        }
        assert!(world.users[user].member.export() == state, "a repeated message has changed user {user}");
    }
}

/// Those who are members in the end have read each other's messages, and nobody has read a message that was not sent to
/// it.
fn check_what_was_read(world: &World) {
    let members = world.inside();
    for said in &world.said {
        for reader in 0..USERS {
            let read = world.has_read(reader, said.author, &said.text);
            assert!(said.to.contains(&reader) || !read, "user {reader} reads `{}`", said.text);
            let both_stay = members.contains(&said.author) && members.contains(&reader);
            if both_stay && said.to.contains(&reader) {
                assert!(read, "user {reader} does not read `{}`", said.text);
            }
        }
    }
}

#[test]
fn members_agree_in_the_end_after_any_concurrent_actions() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", 100));
    for seed in first..first + count {
        for variant in ALL {
            let mut trace = Vec::new();
            let run = || {
                let plain = run_schedule(variant, seed, false, &mut trace);
                if seed % 4 == 0 {
                    let restored = run_schedule(variant, seed, true, &mut Vec::new());
                    assert!(plain == restored, "a restored member continues differently");
                }
            };
            if let Err(failure) = catch_unwind(AssertUnwindSafe(run)) {
                let description = variant.description();
                eprintln!("schedule {seed}, {} {}: {trace:?}", description.name, description.variant);
                resume_unwind(failure);
            }
        }
    }
}

#[test]
fn lazy_keys_are_not_handed_out_before_a_message() {
    let mut world = World::with_group(LAZY, 4, USERS, 1);
    world.add(0, 4);
    world.settle();
    world.remove(1, 2);
    world.settle();
    assert!(world.sent.iter().all(|sent| sent.kind != "key"));
}
