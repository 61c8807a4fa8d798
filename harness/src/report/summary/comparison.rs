//! The tables of a comparison.

use protocol::operation::Operation;

use super::published::published;
use super::table::Table;
use super::text::{conditions, failures, ms};
use crate::analysis::cell_costs::Cost;
use crate::analysis::comparison::{Checked, Comparison, Quantity, State, derived_from, without_acks_of};
use crate::analysis::growth::{self, WHO};
use crate::analysis::published::Published;
use crate::record::about::About;
use crate::record::manifest::Manifest;
use crate::record::metric::Metric;
use crate::record::sample::{Sample, Status};

/// What the columns are.
const READING: &str = "\
Figures are medians over the samples that count, times over those at the machine's faster speed. `bytes sent` counts a broadcast once, `bytes delivered` once for each
receiver; in a total order, its author is one. In a round everybody receives what was sent before it. Times are CPU time in ms, all phases together. `group ms`
is the sum over the whole group; the other times are of one member, medians over all members with the role. The removed
member counts as a recipient, the joiner does not. Column `x` is the figure before it, divided by that of the reference. If one of
two times was measured at slower speeds alone, it is the median ratio of pairs of samples at one speed, and empty if there are none. Any
other empty field means that there is no figure.
";

/// What the derived rows are.
const DERIVED: &str = "\
A row `without acks` is not a measurement of its own. It is derived from the samples of the backend above it. Messages of
kind `ack` are left out. The time of phase `responses`, in which acks are handled, is left out too if all answers to the
operation are acks; the answers to an add also carry keys for the joiner, so there it stays in. Signing an ack is part of
phase `process` and stays in.
";

/// All tables of a run of several backends: one for each group size and operation, and one of primitive counts for each
/// group size. Of some backends, others have published counts.
#[must_use]
pub fn comparison(
    compared: &Comparison<'_>,
    reference: &str,
    samples: &[Sample],
    manifest: &Manifest,
    others: &Published,
) -> String {
    let mut parts = vec![
        format!("# Backends side by side, with {reference} as the reference\n"),
        conditions(manifest, samples),
        READING.to_owned(),
        derived_note(compared).to_owned(),
        promises(compared, manifest),
        notes(compared, manifest),
    ];
    for size in compared.sizes() {
        parts.push(format!("## {size} members\n"));
        for operation in compared.operations() {
            parts.push(format!(
                "### {}\n\n{}",
                operation.name(),
                table(compared, reference, operation, size, manifest)
            ));
        }
        parts.push(format!("### Primitive counts of the whole group\n\n{}", counts(compared, size)));
    }
    parts.push(published(compared, others));
    parts.push(growth_of(compared, manifest));
    parts.push(failures(samples.iter().filter(|sample| sample.status != Status::Unsupported)));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn derived_note(compared: &Comparison<'_>) -> &'static str {
    if compared.rows().iter().any(|row| derived_from(row).is_some()) { DERIVED } else { "" }
}

/// The table of one operation at one size. Rows without figures are empty. The footnotes below the table say why. A mark
/// refers to the [`notes`].
fn table(compared: &Comparison<'_>, reference: &str, operation: Operation, size: u32, manifest: &Manifest) -> String {
    let of = |row: &str, quantity: Quantity| compared.median(row, operation, size, quantity);
    if compared.rows().iter().all(|row| matches!(compared.state(row, operation, size), State::Unsupported(_))) {
        return "No backend has it.\n".to_owned();
    }
    let joined = compared.rows().iter().any(|row| of(row, Quantity::Cpu(Cost::Joiner)).is_some());
    let mut columns = vec![
        ("bytes sent", Quantity::Total(Metric::BytesSent), true),
        ("bytes delivered", Quantity::Total(Metric::BytesDelivered), false),
        ("messages", Quantity::Total(Metric::Messages), false),
        ("rounds", Quantity::Total(Metric::Rounds), false),
        ("sender ms", Quantity::Cpu(Cost::SenderFull), true),
        ("recipient ms", Quantity::Cpu(Cost::Recipient), false),
        ("joiner ms", Quantity::Cpu(Cost::Joiner), false),
        ("group ms", Quantity::Cpu(Cost::Group), true),
    ];
    columns.retain(|(_, quantity, _)| joined || *quantity != Quantity::Cpu(Cost::Joiner));
    let with_ratio = |(title, _, ratio): &(&'static str, Quantity, bool)| {
        std::iter::once(*title).chain(ratio.then_some("x")).collect::<Vec<_>>()
    };
    let header: Vec<&str> = std::iter::once("backend").chain(columns.iter().flat_map(with_ratio)).collect();
    let mut table = Table::new(&header);
    let mut notes: Vec<String> = Vec::new();
    for row in compared.rows() {
        let state = compared.state(row, operation, size);
        let marked = mark(compared, manifest, row).map(|mark| format!(" [{mark}]")).unwrap_or_default();
        let mut name = format!("{row}{marked}{}", failed(&state));
        if let Some(text) = note(&state) {
            let index = notes.iter().position(|note| *note == text).unwrap_or_else(|| {
                notes.push(text);
                notes.len() - 1
            });
            name += &format!(" [{}]", index + 1);
        }
        let mut cells = vec![name];
        for (_, quantity, ratio) in &columns {
            cells.push(figure(*quantity, of(row, *quantity)));
            if *ratio {
                cells.push(times(compared.ratio((row, reference), operation, size, *quantity)));
            }
        }
        table.row(cells);
    }
    let notes: String = notes.iter().enumerate().map(|(index, note)| format!("\n[{}] {note}\n", index + 1)).collect();
    format!("{table}{notes}")
}

/// What follows the name of a row with a sample that does not count: the status of that sample.
fn failed(state: &State<'_>) -> String {
    if let State::Failed(_) = state { format!(" ({})", state.name()) } else { String::new() }
}

/// What each backend promises, before what it costs.
fn promises(compared: &Comparison<'_>, manifest: &Manifest) -> String {
    let header = ["backend", "heals", "forward secrecy", "signed", "order", "concurrent", "acks", "checks failed"];
    let mut table = Table::new(&header);
    for row in compared.backends() {
        let Some(about) = manifest.backends.get(row) else { continue };
        let or_no = |promised: bool| if promised { "yes" } else { "**no**" }.to_owned();
        table.row([
            row.clone(),
            or_no(about.pcs_update),
            or_no(about.forward_secrecy),
            about.signed.clone(),
            about.ordering.clone(),
            or_no(about.concurrent_operations),
            or_no(compared.rows().contains(&without_acks_of(row))),
            manifest.conformance.get(row).map_or(0, |suite| suite.failed.len()).to_string(),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("## What the backends promise\n\n{PROMISES}\n{table}") }
}

/// What the columns of promises are.
const PROMISES: &str = "\
`heals`: an update ends what a thief of the state can read. `concurrent`: operations of several members at once all take effect.
`acks`: members acknowledge. Nothing in a table of costs shows this, and cheap protocols often promise less.
";

/// What must be known of backends whatever the operation, each under a mark: of those that adapt an implementation of others,
/// what they promise; and what a backend has failed, or could not be asked, before it was measured.
fn notes(compared: &Comparison<'_>, manifest: &Manifest) -> String {
    let noted =
        compared.rows().iter().filter_map(|row| Some((mark(compared, manifest, row)?, row, said(manifest, row))));
    let text: String = noted.map(|(mark, row, said)| format!("- **[{mark}] {row}**: {said}\n")).collect();
    if text.is_empty() { text } else { format!("## Notes on backends\n\n{text}") }
}

/// What is said of a backend in its note; empty if there is nothing.
fn said(manifest: &Manifest, row: &str) -> String {
    let about = manifest.backends.get(row).and_then(About::footnote).map(|about| format!("{about}."));
    let conformance = manifest.conformance.get(row);
    let failed = conformance.into_iter().flat_map(|it| it.failed.values().map(|what| format!("**Fails** {what}.")));
    let not_made = conformance.into_iter().flat_map(|it| &it.not_made);
    let not_made = not_made.map(|(what, why)| format!("Not made: {what}, because {why}."));
    about.into_iter().chain(failed).chain(not_made).collect::<Vec<_>>().join(" ")
}

/// The mark of a backend's note: a to z, a2 and so on in the order of rows; `None` if it has none.
fn mark(compared: &Comparison<'_>, manifest: &Manifest, row: &str) -> Option<String> {
    let noted = compared.rows().iter().filter(|row| !said(manifest, row).is_empty());
    let marks = (1..).flat_map(|round| ('a'..='z').map(move |sign| (sign, round)));
    let (_, (sign, round)) = noted.zip(marks).find(|(noted, _)| *noted == row)?;
    Some(if round == 1 { sign.to_string() } else { format!("{sign}{round}") })
}

/// Why a row has no figures, or has figures of some samples only.
fn note(state: &State<'_>) -> Option<String> {
    match state {
        State::Measured => None,
        State::NotMeasured => Some("not measured".to_owned()),
        State::Unsupported(reason) => Some(format!("unsupported: {reason}")),
        State::Failed(sample) => {
            let reason = sample.reason.lines().next().unwrap_or_default();
            Some(format!("{}: {reason}; figures, if any, are of the samples that count", state.name()))
        }
    }
}

/// How each cost grows with the group, and whether that is what the backends claim; empty if there are too few group sizes.
fn growth_of(compared: &Comparison<'_>, manifest: &Manifest) -> String {
    let header: Vec<&str> =
        ["operation", "backend", "role"].into_iter().chain(growth::Cost::ALL.map(growth::Cost::name)).collect();
    let mut table = Table::new(&header);
    for operation in compared.operations() {
        for row in compared.rows() {
            for who in WHO {
                let fits = growth::Cost::ALL.map(|cost| compared.growth(row, operation, who, cost));
                if fits.iter().any(Option::is_some) {
                    let cells = fits.map(|fit| fit.map_or_else(String::new, |fit| fit.to_string()));
                    table.row([operation.to_string(), row.clone(), who.name().to_owned()].into_iter().chain(cells));
                }
            }
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!("## Growth with the group\n\n{GROWTH}\n{table}{}", claimed(compared, manifest))
}

/// What the backends claim, and what was measured.
fn claimed(compared: &Comparison<'_>, manifest: &Manifest) -> String {
    let mut table = Table::new(&["backend", "claim", "measured", "holds"]);
    for Checked { row, claim, measured, holds } in compared.claims(&manifest.backends) {
        let holds = match holds {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not shown",
        };
        table.row([row, claim, measured.to_string(), holds.to_owned()]);
    }
    if table.is_empty() { String::new() } else { format!("\n### Claimed growth\n\n{table}") }
}

/// What a class of growth is.
const GROWTH: &str = "\
The simplest of the classes constant, logarithmic, linear and quadratic that fits the medians, and the root mean square of the
deviations from it, each relative to its figure. A class fits if its deviation is at most 2 %, or 1.25 times that of the best.
Above 5 % it is unclear how the cost grows; times of few iterations often are. Costs of a role are those of one member, bytes
those that it sends. `public-key` counts key agreements, keys, signatures and verifications; `primitives` counts these, calls of
HKDF and blocks of hashes.
";

/// The table of primitive counts at one size, summed over the whole group. They are exact.
fn counts(compared: &Comparison<'_>, size: u32) -> String {
    let mut table =
        Table::new(&["operation", "backend", "key agreements", "key generations", "signatures", "verifications"]);
    for operation in compared.operations() {
        for row in compared.backends() {
            let found = COUNTS.map(|metrics| {
                let count = |name: &&'static str| Quantity::Total(Metric::Primitive(name));
                let counts = metrics.iter().filter_map(|name| compared.median(row, operation, size, count(name)));
                figure(count(&metrics[0]), counts.reduce(|sum, count| sum + count))
            });
            if found.iter().any(|text| !text.is_empty()) {
                table.row([operation.to_string(), row.clone()].into_iter().chain(found));
            }
        }
    }
    table.to_string()
}

/// The metrics whose sum each column shows. A key of ristretto255 is generated by a multiplication of the base point, and
/// agreed with by another.
const COUNTS: [&[&str]; 4] =
    [&["op.dh", "op.ristretto_mul"], &["op.keygen", "op.ristretto_base"], &["op.sign"], &["op.verify"]];

/// A figure; empty where there is none.
fn figure(quantity: Quantity, value: Option<f64>) -> String {
    match (quantity, value) {
        (_, None) => String::new(),
        (Quantity::Cpu(_), value) => ms(value),
        (_, Some(value)) => crate::report::plot::thousands(value),
    }
}

/// A ratio; empty where there is none.
fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| ms(Some(ratio)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::analysis::comparison::with_derived;
    use crate::record::manifest::{LargeGroups, Options};
    use crate::record::program::Program;
    use crate::synthetic;

    const BACKENDS: [&str; 2] = ["dcgka", "pairwise"];

    fn samples() -> Vec<Sample> {
        let mut samples = synthetic::grid(BACKENDS[0], 1.0, 2);
        samples.extend(synthetic::without_acks(synthetic::grid(BACKENDS[1], 2.0, 2)));
        samples.retain(|sample| [8, 128].contains(&sample.group_size));
        samples
    }

    fn text(samples: &[Sample]) -> String {
        let options = Options {
            seed: 7,
            backends: BACKENDS.map(str::to_owned).to_vec(),
            iterations: BTreeMap::from([("update".to_owned(), 2)]),
            large_groups: Some(LargeGroups { from: 100, iterations: 1 }),
            sizes: vec![8, 128],
            timeout_ms: 1000,
            peak: false,
        };
        let manifest = Manifest::start(Program::HARNESS, options, 1, Vec::new()).unwrap();
        let all = with_derived(samples);
        let compared = Comparison::new(&all, &BACKENDS.map(str::to_owned));
        comparison(&compared, "dcgka", samples, &manifest, &Published::load().unwrap())
    }

    /// The cells of a row in the table of an operation.
    fn row(text: &str, size: u32, operation: &str, row: &str) -> Vec<String> {
        let members = text.split(&format!("## {size} members\n")).nth(1).unwrap();
        let table = members.split(&format!("### {operation}\n")).nth(1).unwrap();
        let line = table.lines().find(|line| line.starts_with(&format!("| {row} "))).unwrap();
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn rows_are_side_by_side_with_their_ratios() {
        let text = text(&samples());
        assert!(text.contains("; at most 1 in groups of 100 or more. Seed: 7."), "{text}");
        assert_eq!(
            row(&text, 128, "update", "dcgka  ")[1..5],
            ["32,020", "1.00", "4,082,050", "128"].map(String::from)
        );
        assert_eq!(row(&text, 128, "update", "dcgka without acks")[1..3], ["15,510", "0.484"].map(String::from));
        assert_eq!(row(&text, 128, "update", "pairwise")[1..3], ["15,510", "0.484"].map(String::from));
        assert!(text.contains("A row `without acks` is not a measurement of its own."));
        assert!(text.contains("| joiner ms |") && !text.contains("[1]") && !text.contains("Samples that do not count"));
    }

    #[test]
    fn what_a_backend_does_not_have_is_empty_with_a_footnote() {
        let mut samples = samples();
        for sample in
            samples.iter_mut().filter(|sample| sample.backend == "pairwise" && sample.operation == Operation::Update)
        {
            sample.status = Status::Unsupported;
            sample.reason = "no such operation".to_owned();
        }
        let text = text(&samples);
        let cells = row(&text, 8, "update", "pairwise [1]");
        assert!(cells[1..].iter().all(String::is_empty), "{cells:?}");
        assert!(text.contains("\n[1] unsupported: no such operation\n"));
        assert!(!text.contains("Samples that do not count"), "an operation that does not exist is no failure");
    }

    #[test]
    fn failures_are_marked_and_leave_the_ratios_to_them_empty() {
        let mut samples = samples();
        for sample in
            samples.iter_mut().filter(|sample| sample.backend == "dcgka" && sample.operation == Operation::Create)
        {
            sample.status = Status::Refused;
            sample.reason = "other keys".to_owned();
        }
        let text = text(&samples);
        assert!(row(&text, 8, "create", "dcgka (refused) [1]")[1..].iter().all(String::is_empty));
        assert!(
            text.contains("[1] refused: other keys; figures, if any,") && text.contains("Samples that do not count")
        );
        let pairwise = row(&text, 8, "create", "pairwise");
        assert_eq!((pairwise[1].is_empty(), pairwise[2].as_str()), (false, ""));
    }

    #[test]
    fn primitive_counts_are_those_of_the_whole_group() {
        let text = text(&samples());
        let part = text.split("## 128 members\n").nth(1).unwrap().split("### Primitive counts").nth(1).unwrap();
        // In the synthetic samples, the sender has n and the recipients together 2 n.
        assert!(part.contains("| update      | dcgka    |            384 |"), "{part}");
    }
}
