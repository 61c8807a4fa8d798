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
mod copies;
mod crossings;
mod delivery;
mod echoes;
mod exports;
mod flight;
mod healing;
mod hostile;
mod operations;
mod prekeys;
mod randomness;
mod recorder;
mod report;
mod search;
mod secrecy;
mod sequences;
mod talk;
mod theft;
mod trial;
mod verdict;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use report::{Attack, Report, Violation};

use crate::member::{Backend, Ordering};
use trial::Trial;
use verdict::Verdict;

/// The checks, with their names in data.
const CHECKS: [(&str, Check); 14] = [
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
    ("hostile network", hostile::check),
    ("echoes", echoes::check),
];

type Check = fn(&mut Trial<'_>) -> Verdict;

/// Checks a backend. `make` must return independent instances of it. The result is the same each time: no clock is
/// read. Primitives on other threads are refused in a process that does nothing else ([`crate::crypto::count::declare_alone`]).
///
/// # Errors
/// The first thing that is wrong.
pub fn check(make: &dyn Fn() -> Box<dyn Backend>) -> Result<Report, Violation> {
    let mut trial = Trial::new(make);
    let mut report = Report::default();
    if trial.capabilities().ordering == Ordering::Total {
        let what = "the suite has no sequencer yet, which a backend that needs a total order would need".to_owned();
        return Err(trial.violation("order of delivery", what));
    }
    for (name, check) in CHECKS {
        trial.tried = 0;
        // The panic drops the members, so nothing sees a state that it has left behind.
        let verdict = catch_unwind(AssertUnwindSafe(|| check(&mut trial)));
        let verdict = verdict.unwrap_or_else(|_| Err("the backend panicked".to_owned()));
        verdict.map_err(|what| trial.violation(name, what))?;
        report.passed.push((name, trial.tried));
    }
    (report.notes, report.not_made, report.attacks) = (trial.notes, trial.not_made, trial.attacks);
    // One situation in which a check could be made is enough.
    report.not_made.retain(|(what, _)| !report.attacks.iter().any(|attack| attack.what == *what));
    Ok(report)
}
