//! Random schedules on a network without order. After each, everything that `protocol::simulation` and the auditor
//! check must hold.
//!
//! `SCHEDULES`, `STEPS` and `FIRST` choose other schedules than the usual ones. `harness soak` runs as many as time
//! allows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use dcgka::Dcgka;
use dcgka::audit::Auditor;
use protocol::id::MemberId;
use protocol::simulation::{self, Audit, Call, Subject};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

#[test]
fn everything_holds_in_random_schedules() {
    run(Subject { backend: &Dcgka::CORRECTED, audit: Some(Auditor::boxed) }, 500);
}

#[test]
fn everything_holds_over_lean_channels_too() {
    run(Subject { backend: &Dcgka::LEAN_CHANNELS, audit: Some(Auditor::lean_channels) }, 200);
}

#[test]
fn everything_holds_with_tagged_acknowledgements_too() {
    run(Subject { backend: &Dcgka::TAGGED_ACKS, audit: Some(Auditor::tagged_acks) }, 200);
}

#[test]
fn everything_holds_in_the_leanest_form_too() {
    run(Subject { backend: &Dcgka::LEAN, audit: Some(Auditor::lean) }, 200);
}

/// The variant promises less secrecy.
#[test]
fn members_agree_as_published_too() {
    run(Subject { backend: &Dcgka::PUBLISHED, audit: None }, 50);
}

fn run(subject: Subject<'_>, usual: u64) {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", usual));
    let steps = usize::try_from(setting("STEPS", 30)).unwrap();
    let found = (first..first + count)
        .into_par_iter()
        .filter_map(|seed| simulation::check(subject, seed, steps).err())
        .find_first(|_| true);
    if let Some(counterexample) = found {
        panic!("{counterexample}");
    }
}

/// Objects to an update after a removal.
#[derive(Default)]
struct Picky {
    removed: bool,
}

impl Audit for Picky {
    fn call(&mut self, call: &Call<'_>) -> Result<(), String> {
        let sends = |kind| call.outgoing.iter().any(|message| message.kind == kind);
        if self.removed && sends("update") {
            return Err("an update after a removal".to_owned());
        }
        self.removed |= sends("remove");
        Ok(())
    }

    fn at_rest(&mut self, _: &[(MemberId, Vec<u8>)], _: bool) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_failure_shrinks_to_the_steps_that_it_needs() {
    let subject = Subject { backend: &Dcgka::CORRECTED, audit: Some(|| Box::new(Picky::default())) };
    let found = (0..10).find_map(|seed| simulation::check(subject, seed, 30).err()).unwrap();
    // Everybody updates at the end, so the removal suffices.
    assert_eq!((found.schedule.steps.len(), found.failure.step), (1, None), "{found}");
    assert_eq!(simulation::attempt(subject, found.schedule.clone()), Err(found));
}
