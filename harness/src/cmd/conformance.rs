//! `harness conformance`: runs the suite that every backend must pass before it is measured, and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use clap::Args;
use protocol::conformance::{self, Attack, Report, Violation};
use protocol::crypto::count;
use protocol::operation::MIN_GROUP_SIZE;

use super::failure::{Failure, INCOMPLETE, OK};
use super::options::whole;
use super::output::print;
use super::running;
use crate::registry::{Constructor, Registry, full_name};
use crate::report::summary::table::Table;
use crate::run::plan::MAX_GROUP_SIZE;

#[derive(Args)]
pub(super) struct Options {
    /// Backends to check, separated by commas; see `list` [default: all]
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',')]
    backend: Vec<String>,
    /// Check them as before a measurement of groups of this size: above 8 members, in one large group too
    #[arg(long, value_name = "MEMBERS", value_parser = whole::<u32>(SIZE))]
    size: Option<u32>,
}

/// The sizes that can be measured.
const SIZE: RangeInclusive<u64> = MIN_GROUP_SIZE as u64..=MAX_GROUP_SIZE as u64;

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let names = if options.backend.is_empty() { registry.names().collect() } else { options.backend.clone() };
    let backends: Vec<Constructor> = names.iter().map(|name| registry.constructor(name)).collect::<Result<_, _>>()?;
    running::end_on_interrupt(None)?;
    // Like a runner, this process does nothing else, so a primitive on another thread is the backend's.
    count::declare_alone();
    // A panic is a finding like any other, and is reported as one.
    std::panic::set_hook(Box::new(|_| {}));
    let mut code = OK;
    for make in backends {
        let name = full_name(&*make());
        let mut passes = tell(&name, conformance::check(&make))?;
        if let Some(size) = options.size.and_then(|size| conformance::large(size as usize)).filter(|_| passes) {
            passes = tell(&format!("{name} in a group of {size}"), conformance::check_at(&make, size))?;
        }
        if !passes {
            code = INCOMPLETE;
        }
    }
    Ok(code)
}

/// Prints the result, and returns whether the backend passes.
fn tell(what: &str, result: Result<Report, Violation>) -> Result<bool, Failure> {
    let (text, passes) = match result {
        Ok(report) => (passed(what, &report), true),
        Err(violation) => (format!("# {what}: does not pass, and cannot be measured\n\n{violation}\n\n"), false),
    };
    print(text.as_bytes())?;
    Ok(passes)
}

fn passed(what: &str, report: &Report) -> String {
    let mut text = format!("# {what}: passes {} checks\n\n", report.total());
    let mut checks = Table::new(&["check", "situations"]);
    report.passed.iter().for_each(|(check, count)| checks.row([(*check).to_owned(), count.to_string()]));
    let _ = writeln!(text, "{checks}");
    if !report.attacks.is_empty() {
        let _ = writeln!(text, "An attacker that hears every message has tried to read with\n\n{}", attacks(report));
    }
    for (what, why) in &report.not_made {
        let _ = writeln!(text, "- **Not made**: {what}, because {why}.");
    }
    for note in &report.notes {
        let _ = writeln!(text, "- Note: {note}.");
    }
    if !report.not_made.is_empty() || !report.notes.is_empty() {
        text.push('\n');
    }
    text
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
