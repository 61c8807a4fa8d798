//! Random schedules of operations and deliveries, after which all must agree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use common::World;
use dcgka::Dcgka;
use protocol::error::Error;
use protocol::member::Event;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A random number below `bound`.
fn below(rng: &mut ChaCha20Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % bound as u64).unwrap()
}

/// One thing that happens in a random schedule.
#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver {
        place: usize,
        to: usize,
    },
    Update(usize),
    Add(usize, usize),
    Remove(usize, usize),
    Say(usize),
    /// Everything reaches everybody but this user.
    SettleWithout(usize),
}

fn random_step(world: &World, laggard: usize, rng: &mut ChaCha20Rng) -> Option<Step> {
    let kind = below(rng, 100);
    if kind < 4 {
        return Some(Step::SettleWithout(laggard));
    }
    if kind < 60 {
        let to = below(rng, world.users.len());
        let waiting = if to == laggard { Vec::new() } else { world.undelivered(to) };
        let last = waiting.len().checked_sub(1)?;
        // Mostly the oldest.
        let place = waiting[below(rng, waiting.len()).min(below(rng, 4) * last)];
        return Some(Step::Deliver { place, to });
    }
    let inside: Vec<_> = (0..world.users.len()).filter(|user| world.is_inside(*user)).collect();
    let actor = *inside.get(below(rng, inside.len().max(1)))?;
    let other = below(rng, world.users.len());
    let members = world.members(actor);
    Some(match below(rng, 10) {
        0..3 => Step::Update(actor),
        3..6 => Step::Add(actor, other),
        6..8 => Step::Remove(actor, members[below(rng, members.len())]),
        _ => Step::Say(actor),
    })
}

fn perform(world: &mut World, step: Step) {
    let result = match step {
        Step::Deliver { place, to } => {
            world.deliver(place, to);
            return;
        }
        Step::SettleWithout(laggard) => {
            let others: Vec<_> = (0..world.users.len()).filter(|user| *user != laggard).collect();
            world.settle_among(&others);
            return;
        }
        Step::Update(actor) => world.act(actor, |member, context| member.update(context)),
        Step::Add(actor, user) => {
            let id = world.id(user);
            let result = world.act(actor, |member, context| member.add(&id, context));
            world.users[user].online |= result.is_ok();
            result
        }
        Step::Remove(actor, user) => {
            let id = world.id(user);
            world.act(actor, |member, context| member.remove(&id, context))
        }
        Step::Say(actor) => {
            let text = format!("from {actor} after {}", world.sent.len());
            world.act(actor, |member, context| member.send(text.as_bytes(), context))
        }
    };
    if let Err(error) = result {
        let refused = [Error::AlreadyAMember, Error::RemovesItself, Error::NotAMember];
        assert!(refused.contains(&error), "{step:?}: {error}");
    }
}

fn run_schedule(variant: Dcgka, seed: u64, steps: u64, trace: &mut Vec<Step>) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let founders = 4 + below(&mut rng, 4);
    let mut world = World::with_group_of(variant, founders, founders + 3, seed);
    // In every other schedule one user hears of nothing until the end, and may act meanwhile.
    let laggard = below(&mut rng, 2 * founders);
    for _ in 0..steps {
        if let Some(step) = random_step(&world, laggard, &mut rng) {
            trace.push(step);
            perform(&mut world, step);
        }
    }
    world.settle();
    for user in 0..world.users.len() {
        for event in &world.users[user].events {
            assert!(!matches!(event, Event::Rejected { .. } | Event::Equivocation { .. }), "{event:?} at user {user}");
        }
    }
    let members: Vec<_> = (0..world.users.len()).filter(|user| world.is_inside(*user)).collect();
    if !members.is_empty() {
        world.check(&members);
    }
}

#[test]
fn whatever_members_do_at_once_they_agree_in_the_end() {
    run_schedules(Dcgka::CORRECTED, 200);
}

#[test]
fn members_agree_in_the_end_as_published_too() {
    run_schedules(Dcgka::PUBLISHED, 50);
}

/// `SCHEDULES`, `STEPS` and `FIRST` ask for others than the usual ones.
fn run_schedules(variant: Dcgka, usual: u64) {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count, steps) = (setting("FIRST", 0), setting("SCHEDULES", usual), setting("STEPS", 25));
    for seed in first..first + count {
        let mut trace = Vec::new();
        let run = || run_schedule(variant, seed, steps, &mut trace);
        if let Err(failure) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!("schedule {seed}: {trace:?}");
            resume_unwind(failure);
        }
    }
}
