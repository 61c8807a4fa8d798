//! `harness conformance`: runs the suite that every backend must pass before it is measured, and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use protocol::conformance::{self, Attack, Report, Violation};
use protocol::crypto::count;
use protocol::operation::MIN_GROUP_SIZE;

use super::failure::{Failure, INCOMPLETE, OK};
use super::options::whole;
use super::output::print;
use super::running;
use crate::record::manifest::Conformance;
use crate::registry::Registry;
use crate::report::summary::table::Table;
use crate::run::cell_protocol::Verdict;
use crate::run::child::{Checked, Launch, Runner};
use crate::run::external::Catalog;
use crate::run::plan::{Choice, MAX_GROUP_SIZE};
use crate::run::schedule::MeasureError;

#[derive(Args)]
pub(super) struct Options {
    /// Backends to check, separated by commas; see `list` [default: all]
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',')]
    backend: Vec<String>,
    /// Check them as before a measurement of groups of this size: above 8 members, in one large group too
    #[arg(long, value_name = "MEMBERS", value_parser = whole::<u32>(SIZE))]
    size: Option<u32>,
}

/// How long the suite of a program may take.
const ENDS_WITHIN: Duration = Duration::from_secs(1800);

/// The sizes that can be measured.
const SIZE: RangeInclusive<u64> = MIN_GROUP_SIZE as u64..=MAX_GROUP_SIZE as u64;

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let catalog = Catalog::load(registry, &options.backend)?;
    let choices: Vec<Choice> = match options.backend.as_slice() {
        [] => catalog.usable().collect(),
        named => named.iter().map(|name| catalog.find(name)).collect::<Result<_, _>>()?,
    };
    running::end_on_interrupt(None)?;
    // Like a runner, this process does nothing else, so a primitive on another thread is the backend's.
    count::declare_alone();
    // A panic is a finding like any other, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let mut code = OK;
    for choice in choices {
        let name = choice.full_name();
        if let Some(launch) = catalog.launches(std::slice::from_ref(&choice)).remove(&choice.backend) {
            let passes = tell_of_external(&launch, &choice, options.size.unwrap_or(0))?;
            code = if passes { code } else { INCOMPLETE };
            continue;
        }
        let make = registry.constructor(&name)?;
        let mut passes = tell(&name, conformance::check(&make))?;
        if let Some(size) = options.size.and_then(|size| conformance::large(&*make(), size as usize)).filter(|_| passes)
        {
            passes = tell(&format!("{name} in a group of {size}"), conformance::check_at(&make, size))?;
        }
        if !passes {
            code = INCOMPLETE;
        }
    }
    Ok(code)
}

/// Lets the program of an external backend run the suite, prints the result, and returns whether the backend passes.
fn tell_of_external(launch: &Launch, choice: &Choice, largest: u32) -> Result<bool, Failure> {
    let name = choice.full_name();
    let mut runner =
        Runner::start(launch, &choice.backend, &choice.variant, 1, Some(largest)).map_err(MeasureError::from)?;
    let refused = |why: &str| (format!("# {name}: does not pass, and cannot be measured\n\n{why}\n\n"), false);
    let (text, passes) = match runner.conformance(ENDS_WITHIN) {
        Checked::Verdict(Verdict::Passed(conformance)) => {
            (admitted(&name, &conformance), conformance.failed.is_empty())
        }
        Checked::Verdict(Verdict::Violated(why)) | Checked::Crash(why) => refused(&why),
        Checked::Timeout => refused("the suite does not end"),
    };
    print(text.as_bytes())?;
    Ok(passes)
}

/// What a runner has said of the suite.
fn admitted(name: &str, conformance: &Conformance) -> String {
    let Conformance { checks, notes, not_made, failed, large_group } = conformance;
    let large = large_group.iter().flat_map(|large| {
        large.checks.iter().map(|(check, count)| (format!("{check}, in a group of {}", large.group_size), *count))
    });
    let passed = checks.iter().map(|(check, count)| (check.clone(), *count)).chain(large);
    let failed: Vec<String> = failed.values().cloned().collect();
    summary(name, &passed.collect::<Vec<_>>(), &failed)
        + &remarks(&failed, not_made.iter().map(|(what, why)| (&**what, &**why)), notes.iter().map(String::as_str))
}

/// Prints the result, and returns whether the backend passes.
fn tell(what: &str, result: Result<Report, Violation>) -> Result<bool, Failure> {
    let (text, passes) = match result {
        Ok(report) => (passed(what, &report), report.failed.is_empty()),
        Err(violation) => (format!("# {what}: does not pass, and cannot be measured\n\n{violation}\n\n"), false),
    };
    print(text.as_bytes())?;
    Ok(passes)
}

fn passed(name: &str, report: &Report) -> String {
    let passed: Vec<_> = report.passed.iter().map(|(check, count)| ((*check).to_owned(), *count)).collect();
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    let mut text = summary(name, &passed, &failed);
    if !report.attacks.is_empty() {
        let _ = writeln!(text, "An attacker that hears every message has tried to read with\n\n{}", attacks(report));
    }
    text + &remarks(&failed, report.not_made.iter().copied(), report.notes.iter().copied())
}

/// How many situations were passed in each check.
fn summary(name: &str, passed: &[(String, u32)], failed: &[String]) -> String {
    let total: u32 = passed.iter().map(|(_, count)| count).sum();
    let fails = if failed.is_empty() { String::new() } else { format!(", FAILS {}", failed.len()) };
    let mut checks = Table::new(&["check", "situations"]);
    passed.iter().for_each(|(check, count)| checks.row([check.clone(), count.to_string()]));
    format!("# {name}: passes {total} checks{fails}\n\n{checks}\n")
}

/// What was failed, what was not made, and what is remarkable.
fn remarks<'a>(
    failed: &[String],
    not_made: impl Iterator<Item = (&'a str, &'a str)>,
    notes: impl Iterator<Item = &'a str>,
) -> String {
    let failed = failed.iter().map(|what| format!("- **Failed**: {what}.\n"));
    let not_made = not_made.map(|(what, why)| format!("- **Not made**: {what}, because {why}.\n"));
    let text: String = failed.chain(not_made).chain(notes.map(|note| format!("- Note: {note}.\n"))).collect();
    if text.is_empty() { text } else { text + "\n" }
}

/// The attacks, those of one kind in a row.
fn attacks(report: &Report) -> Table {
    let kinds: BTreeSet<(&str, &str)> = report.attacks.iter().map(|attack| (attack.what, attack.twin)).collect();
    let mut table = Table::new(&[
        "stolen",
        "members",
        "attacks",
        "tried",
        "read",
        "the same attacker where it should read",
        "read there",
    ]);
    for (what, twin) in kinds {
        let of_kind = || report.attacks.iter().filter(move |attack| (attack.what, attack.twin) == (what, twin));
        let sizes: BTreeSet<usize> = of_kind().map(|attack| attack.group_size).collect();
        let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
        let sum = |of: fn(&Attack) -> usize| of_kind().map(of).sum::<usize>().to_string();
        table.row([
            what.to_owned(),
            sizes.join(", "),
            of_kind().count().to_string(),
            sum(|attack| attack.tried),
            "0".to_owned(),
            twin.to_owned(),
            sum(|attack| attack.twin_read),
        ]);
    }
    table
}
