//! Random schedules on a network without order, after each of which everything must hold that `protocol::simulation` and
//! the auditor say.
//!
//! `SCHEDULES`, `STEPS` and `FIRST` ask for others than the usual ones; `harness soak` runs as many as time allows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use dcgka::Dcgka;
use protocol::simulation::{self, Subject};

#[test]
fn everything_holds_in_random_schedules() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", 500));
    let steps = usize::try_from(setting("STEPS", 30)).unwrap();
    let subject = Subject { backend: &Dcgka::CORRECTED, audit: Some(dcgka::audit::Auditor::boxed) };
    for seed in first..first + count {
        if let Err(counterexample) = simulation::check(subject, seed, steps) {
            panic!("{counterexample}");
        }
    }
}
