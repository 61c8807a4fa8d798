//! The suite that a backend must pass before it is measured: it is the protocol that it claims to be, its secrets are
//! secret, and it tolerates a hostile network.
//!
//! Every user lives in a backend instance of its own, and after each step it is restored from its export in another
//! one. So only bytes connect the users: what two of them share in any other way is missing.
//!
//! The suite is a black-box test: it knows messages, events, exports and primitive counts. It finds mistakes, and lies
//! about bytes; it does not show that a protocol is secure. Secrecy is tried by [attack](crate::attack). Each attack has a
//! twin, in which the same attacker must read; if it does not, the attack shows nothing, and the backend does not pass.

mod bundles;
mod concurrency;
mod crossings;
mod delivery;
mod derived;
mod echoes;
mod exports;
mod flight;
mod healing;
mod hostile;
mod inviters;
mod large;
mod operations;
mod prekeys;
mod randomness;
mod replays;
mod report;
mod rounds;
mod search;
mod secrecy;
mod sequences;
mod theft;
mod trial;
mod wire;

pub use report::{Attack, Report, Violation};

use crate::crypto::count::Counted;
use crate::member::Backend;
use crate::stage::verdict::{Verdict, caught};
use trial::{SIZES, Trial};

/// The checks, with their names in data.
const CHECKS: [(&str, Check); 15] = [
    ("operations", operations::check),
    ("randomness", randomness::check),
    ("secrecy", secrecy::check),
    ("healing", healing::check),
    ("what is sent", wire::check),
    ("sequences", sequences::check),
    ("exports", exports::check),
    ("prekeys", prekeys::check),
    ("bundles", bundles::check),
    ("concurrency", concurrency::check),
    ("order of delivery", delivery::check),
    ("crossing messages", crossings::check),
    ("hostile network", hostile_network),
    ("echoes", echoes::check),
    ("inviters", inviters::check),
];

type Check = fn(&mut Trial<'_>) -> Verdict;

/// Altered and repeated messages, one by one and in full rounds, and those of another group.
fn hostile_network(trial: &mut Trial<'_>) -> Verdict {
    hostile::check(trial)?;
    rounds::check(trial)?;
    replays::check(trial)
}

/// Checks a backend. `make` must return independent instances of it. The result is the same each time: no clock is
/// read. Primitives on other threads are refused in a process that does nothing else ([`crate::crypto::count::declare_alone`]).
///
/// # Errors
/// The first thing that is wrong. If the backend adapts an implementation of others, that is in the report instead.
pub fn check(make: &dyn Fn() -> Box<dyn Backend>) -> Result<Report, Violation> {
    let (mut trial, mut report) = (begin(make), Report::default());
    for (name, check) in CHECKS {
        match make_one(&mut trial, &mut report, name, check) {
            Err(violation) if trial.adapts() => report.failed.push(trial.forget(violation)),
            result => result?,
        }
    }
    Ok(end(trial, report))
}

/// The most members of a group for [`check_at`] in a run: of the paper's groups, the largest.
const MAX_LARGE: usize = 128;
/// The same for a backend that adapts an implementation of others: its states can take long to restore.
const MAX_LARGE_ADAPTED: usize = 32;

/// The size at which a backend must pass [`check_at`] before it is measured in groups of at most `largest` members. `None`
/// if [`check`] is enough, because it tries groups of that size.
#[must_use]
pub fn large(backend: &dyn Backend, largest: usize) -> Option<usize> {
    let most = if backend.description().adapts.is_some() { MAX_LARGE_ADAPTED } else { MAX_LARGE };
    (largest > SIZES[SIZES.len() - 1]).then_some(largest.min(most))
}

/// Checks a backend that has passed [`check`] in one group of `group_size` members too, more than eight: what attackers
/// read, messages that cross, and what is sent.
///
/// # Errors
/// As [`check`].
pub fn check_at(make: &dyn Fn() -> Box<dyn Backend>, group_size: usize) -> Result<Report, Violation> {
    let (mut trial, mut report) = (begin(make), Report::default());
    match in_large_group(&mut trial, &mut report, group_size) {
        Err(violation) if trial.adapts() => report.failed.push(violation),
        result => result?,
    }
    Ok(end(trial, report))
}

fn in_large_group(trial: &mut Trial<'_>, report: &mut Report, group_size: usize) -> Result<(), Violation> {
    let mut world = make_one(trial, report, "operations", |trial| large::create(trial, group_size))?;
    for (name, check) in large::CHECKS {
        // Each check begins in instances of its own.
        world = make_one(trial, report, name, |trial| check(trial, world.fork()?))?;
    }
    Ok(())
}

fn begin(make: &dyn Fn() -> Box<dyn Backend>) -> Trial<'_> {
    let mut trial = Trial::new(make);
    if trial.capabilities().counted != Counted::All {
        let why = "the backend's primitives are not counted, or not all of them";
        let what = "whether secrets follow from what is sent, or from what is kept: so nothing shows that an outsider who knows \
                    how keys are derived cannot read";
        trial.leave_out(what, why);
    }
    trial
}

fn make_one<'a, T>(
    trial: &mut Trial<'a>,
    report: &mut Report,
    name: &'static str,
    check: impl FnOnce(&mut Trial<'a>) -> Verdict<T>,
) -> Result<T, Violation> {
    trial.tried = 0;
    let verdict = caught(|| check(trial));
    let result = verdict.map_err(|what| trial.violation(name, what))?;
    report.passed.push((name, trial.tried));
    Ok(result)
}

fn end(trial: Trial<'_>, mut report: Report) -> Report {
    (report.notes, report.not_made, report.attacks) = (trial.notes, trial.not_made, trial.attacks);
    report
}
