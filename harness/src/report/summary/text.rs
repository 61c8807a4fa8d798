//! What several summaries share: the conditions of a run, the samples that do not count, and the format of figures.

use std::collections::BTreeMap;

use super::table::Table;
use crate::analysis::cell_costs::Cells;
use crate::analysis::measurement::ALL;
use crate::analysis::noise;
use crate::analysis::speed::Speed;
use crate::analysis::statistics::Summary;
use crate::record::manifest::{Machine, Manifest};
use crate::record::name::join;
use crate::record::sample::{Sample, Status};
use crate::report::plot::thousands;

/// How the reason of a backend begins that has not passed the conformance suite.
const CONFORMANCE: &str = "conformance: ";

/// What a table shows where there is no figure.
pub(super) const NONE: &str = "-";

pub(super) fn conditions(manifest: &Manifest, samples: &[Sample]) -> String {
    let Manifest { build, machine, options, .. } = manifest;
    let iterations = options.iterations.iter().map(|(operation, count)| format!("{operation} {count}"));
    let fewer = options.large_groups.map_or_else(String::new, |large| {
        format!("; at most {} in groups of {} or more", large.iterations, large.from)
    });
    let lines = [
        format!("- Iterations: {}{fewer}. Seed: {}.", iterations.collect::<Vec<_>>().join(", "), options.seed),
        format!("- Machine: {}, curve code {}, kernel {}.", machine.cpu, machine.curve_backend, machine.kernel),
        format!("- Program: {}, {}, {}.", build.described(), build.profile, build.rustc),
        format!("- Run: {}. Load averages at its start: {}.", manifest.run_id, machine.load_start),
    ];
    let left_out = manifest.left_out.values().map(|why| format!("- **Not measured**: {why}.\n"));
    lines.join("\n") + "\n" + &left_out.collect::<String>() + &speed(samples) + &noise(samples, &manifest.machine)
}

/// At which speeds of the machine the samples ran, as a line. Empty if that is not known.
pub(super) fn speed(samples: &[Sample]) -> String {
    let cells = Cells::new(samples);
    let Some(limit) = cells.speeds().limit_ns else { return String::new() };
    let (all, fast) =
        cells.iter().fold((0, 0), |(all, fast), (_, runs)| (all + runs.all().len(), fast + runs.at(Speed::Fast).len()));
    let share = 100.0 * fast as f64 / all as f64;
    format!(
        "- Speed: {share:.0} % of {all} samples ran at the fastest speed of the machine in this run, at which a key agreement \
         takes at most {:.1} us. Times are of these samples, or of all others in a cell that has none of them.\n",
        limit / 1e3
    )
}

/// What may have disturbed the times, as a line. Empty if nothing is known to have.
pub(super) fn noise(samples: &[Sample], machine: &Machine) -> String {
    match noise::of(samples, machine).as_slice() {
        [] => String::new(),
        found => format!("- **Disturbed times**: {}.\n", found.join("; ")),
    }
}

/// The samples that do not count, under a heading. Empty if all count.
pub(super) fn failures<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> String {
    let mut table = Table::new(&["backend", "operation", "members", "samples", "status", "reason"]);
    let mut rows = BTreeMap::<(String, String, String, Status, &str), u64>::new();
    for sample in samples.into_iter().filter(|sample| sample.status != Status::Ok) {
        let name = join(&sample.backend, &sample.variant);
        let reason = sample.reason.lines().next().unwrap_or_default();
        // What is wrong with a backend is the same in all its cells.
        let (operation, size) = if reason.starts_with(CONFORMANCE) {
            (ALL.to_owned(), ALL.to_owned())
        } else {
            (sample.operation.to_string(), sample.group_size.to_string())
        };
        *rows.entry((name, operation, size, sample.status, reason)).or_default() += 1;
    }
    for ((name, operation, size, status, reason), samples) in rows {
        table.row([name, operation, size, samples.to_string(), status.name().to_owned(), reason.to_owned()]);
    }
    if table.is_empty() { String::new() } else { format!("## Samples that do not count\n\n{table}") }
}

pub(super) fn bytes(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), thousands)
}

pub(super) fn ms(value: Option<f64>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

pub(super) fn ratio(here: Option<f64>, paper: Option<f64>) -> String {
    match (here, paper) {
        (Some(here), Some(paper)) if paper > 0.0 => format!("{:.2}", here / paper),
        _ => NONE.to_owned(),
    }
}

pub(super) fn interval(summary: Option<Summary>) -> String {
    match summary.and_then(|summary| summary.interval) {
        Some((low, high)) => format!("{} .. {}", ms(Some(low)), ms(Some(high))),
        None => NONE.to_owned(),
    }
}
