//! The suite that a backend must pass before anything of it is measured: that it is the protocol it says, that its
//! secrets are secret, and that it bears a hostile network.
//!
//! Every user lives in a backend instance of its own, and goes on in another one after each step, restored from its
//! export. So only bytes connect the users: what two of them share in any other way is missing.
//!
//! Black box: the suite knows messages, events, exports and operation counts. It finds mistakes, and lies about bytes; it is
//! no proof of security.

mod concurrency;
mod copies;
mod delivery;
mod exports;
mod healing;
mod hostile;
mod operations;
mod prekeys;
mod randomness;
mod secrecy;
mod sequences;
mod talk;
mod world;

use core::fmt;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::member::{Backend, Capabilities, Ordering};
use crate::operation::{Operation, Start};
use world::World;

/// Sizes of the groups in which each operation is tried.
const SIZES: [usize; 4] = [2, 3, 5, 8];

/// Each check with its name.
const CHECKS: [(&str, Check); 10] = [
    ("operations", operations::check),
    ("randomness", randomness::check),
    ("secrecy", secrecy::check),
    ("healing", healing::check),
    ("sequences", sequences::check),
    ("exports", exports::check),
    ("prekeys", prekeys::check),
    ("concurrency", concurrency::check),
    ("order of delivery", delivery::check),
    ("hostile network", hostile::check),
];

type Check = fn(&mut Trial<'_>) -> Verdict;

/// The error says what is wrong.
type Verdict<T = ()> = Result<T, String>;

/// What was checked of a backend, all of it well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Each check, and in how many situations it passed: 0 where the backend does not claim what it checks.
    pub passed: Vec<(&'static str, u32)>,
    /// What could not be seen.
    pub notes: Vec<&'static str>,
}

/// What is wrong with a backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {what} ({situation}, {group_size} members, seed {seed})")]
pub struct Violation {
    /// Which check it is.
    pub check: &'static str,
    /// In which situation: an operation, mostly.
    pub situation: Cow<'static, str>,
    /// Members before it.
    pub group_size: usize,
    /// The seed of the group's randomness.
    pub seed: u64,
    /// What is wrong.
    pub what: String,
}

/// Checks a backend. `make` must give independent instances of it. The same each time, and without a clock.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(make: &dyn Fn() -> Box<dyn Backend>) -> Result<Report, Violation> {
    let mut trial =
        Trial { make, situation: "description".into(), group_size: 0, seed: 0, tried: 0, notes: Vec::new() };
    let mut report = Report::default();
    if trial.capabilities().ordering == Ordering::Total {
        let what = "the suite has no sequencer yet, which a backend that needs a total order would need".to_owned();
        return Err(trial.violation("order of delivery", what));
    }
    for (name, check) in CHECKS {
        trial.tried = 0;
        // The members are dropped with the panic, so nobody sees what it left behind.
        let verdict = catch_unwind(AssertUnwindSafe(|| check(&mut trial)));
        let verdict = verdict.unwrap_or_else(|_| Err("the backend panicked".to_owned()));
        verdict.map_err(|what| trial.violation(name, what))?;
        report.passed.push((name, trial.tried));
    }
    report.notes = trial.notes;
    Ok(report)
}

impl Report {
    /// In how many situations a check passed, over all checks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.passed.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed: Vec<String> = self.passed.iter().map(|(name, count)| format!("{name} {count}")).collect();
        write!(f, "{} checks passed: {}", self.total(), passed.join(", "))?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// A backend on trial, and how far it has come.
struct Trial<'a> {
    make: &'a dyn Fn() -> Box<dyn Backend>,
    situation: Cow<'static, str>,
    group_size: usize,
    seed: u64,
    tried: u32,
    notes: Vec<&'static str>,
}

impl<'a> Trial<'a> {
    /// Another situation, with a seed of its own.
    fn enter(&mut self, situation: impl Into<Cow<'static, str>>, group_size: usize) {
        (self.situation, self.group_size) = (situation.into(), group_size);
        self.seed += 1;
        self.tried += 1;
    }

    fn backend(&self) -> Box<dyn Backend> {
        (self.make)()
    }

    fn capabilities(&self) -> Capabilities {
        self.backend().description().capabilities
    }

    fn supports(&self, operation: Operation, group_size: usize) -> bool {
        self.backend().expected(operation, group_size).is_some()
    }

    /// A group in the state in which an operation starts, and so many users outside it.
    fn world(&self, start: Start, outsiders: usize) -> Verdict<World<'a>> {
        let mut world = World::new(self.make, self.group_size + outsiders, self.seed)?;
        world.advance(start, self.group_size)?;
        world.fork()
    }

    fn violation(&self, check: &'static str, what: String) -> Violation {
        let (situation, group_size, seed) = (self.situation.clone(), self.group_size, self.seed);
        Violation { check, situation, group_size, seed, what }
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}
