//! The tables of a comparison.

use protocol::operation::Operation;

use super::table::Table;
use super::{conditions, failures, ms};
use crate::cell_costs::Cost;
use crate::comparison::{Comparison, Metric, State, derived_from};
use crate::manifest::Manifest;
use crate::sample::{Sample, Status};

const READING: &str = "\
Bytes sent count a broadcast once, bytes delivered once for each receiver. CPU times are medians in ms of one member, all
phases together, and of the whole group. The column `x` after a figure says how many times the reference's it is.
";

/// What the derived rows are.
const DERIVED: &str = "\
`without acks` is no run of its own but derived from the samples of the backend before it: messages of kind `ack` are left
out, and so is the time of phase `responses`, in which they are handled, unless the answers are more than acks, as those to
an addition. Signing the acks, a part of phase `process`, is still in it.
";

/// All tables of a run of several backends: for each group size one for each operation.
#[must_use]
pub fn comparison(compared: &Comparison<'_>, reference: &str, samples: &[Sample], manifest: &Manifest) -> String {
    let mut parts = vec![
        format!("# Backends side by side, with {reference} as reference\n"),
        conditions(manifest),
        READING.to_owned(),
        derived_note(compared).to_owned(),
    ];
    for size in compared.sizes() {
        parts.push(format!("## {size} members\n"));
        for operation in compared.operations() {
            parts.push(format!("### {}\n\n{}", operation.name(), table(compared, reference, operation, size)));
        }
    }
    parts.push(failures(samples.iter().filter(|sample| sample.status != Status::Unsupported)));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

fn derived_note(compared: &Comparison<'_>) -> &'static str {
    if compared.rows().iter().any(|row| derived_from(row).is_some()) { DERIVED } else { "" }
}

/// One operation at one size. Rows without a figure are empty, and the footnotes below say why.
fn table(compared: &Comparison<'_>, reference: &str, operation: Operation, size: u32) -> String {
    let of = |row: &str, metric: Metric| compared.median(row, operation, size, metric);
    let joined = compared.rows().iter().any(|row| of(row, Metric::Cpu(Cost::Joiner)).is_some());
    let mut columns = vec![
        ("bytes sent", Metric::BytesSent, true),
        ("bytes delivered", Metric::BytesDelivered, false),
        ("messages", Metric::Messages, false),
        ("sender ms", Metric::Cpu(Cost::SenderFull), true),
        ("recipient ms", Metric::Cpu(Cost::Recipient), false),
        ("added ms", Metric::Cpu(Cost::Joiner), false),
        ("group ms", Metric::Cpu(Cost::Group), true),
    ];
    columns.retain(|(_, metric, _)| joined || *metric != Metric::Cpu(Cost::Joiner));
    let with_ratio = |(title, _, ratio): &(&'static str, Metric, bool)| {
        std::iter::once(*title).chain(ratio.then_some("x")).collect::<Vec<_>>()
    };
    let header: Vec<&str> = std::iter::once("backend").chain(columns.iter().flat_map(with_ratio)).collect();
    let mut table = Table::new(&header);
    let mut notes: Vec<String> = Vec::new();
    for row in compared.rows() {
        let mut cells = vec![row.clone()];
        let state = compared.state(row, operation, size);
        if let Some(text) = note(&state) {
            let index = notes.iter().position(|note| *note == text).unwrap_or_else(|| {
                notes.push(text);
                notes.len() - 1
            });
            cells = vec![format!("{row}{} [{}]", failed(&state), index + 1)];
        }
        for (_, metric, ratio) in &columns {
            cells.push(figure(*metric, of(row, *metric)));
            if *ratio {
                cells.push(times(compared.ratio((row, reference), operation, size, *metric)));
            }
        }
        table.row(cells);
    }
    let notes: String = notes.iter().enumerate().map(|(index, note)| format!("\n[{}] {note}\n", index + 1)).collect();
    format!("{table}{notes}")
}

/// What stands beside the name of a row with runs that do not count.
fn failed(state: &State<'_>) -> String {
    if let State::Failed(_) = state { format!(" ({})", state.name()) } else { String::new() }
}

/// Why a row has no figures, or not those of all runs.
fn note(state: &State<'_>) -> Option<String> {
    match state {
        State::Measured => None,
        State::NotMeasured => Some("not measured".to_owned()),
        State::Unsupported(reason) => Some(format!("unsupported: {reason}")),
        State::Failed(sample) => {
            let reason = sample.reason.lines().next().unwrap_or_default();
            Some(format!("{}: see samples; figures, if any, are of the runs that count: {reason}", state.name()))
        }
    }
}

/// What one group size comes to, for the README: bytes and operation counts, which are exact, and times. Empty cells are
/// of operations that a backend does not have.
#[must_use]
pub fn readme_tables(compared: &Comparison<'_>, size: u32) -> String {
    let operations = compared.operations();
    let header = || std::iter::once("operation").chain(compared.rows().iter().map(String::as_str)).collect::<Vec<_>>();
    let (mut bytes, mut times) = (Table::new(&header()), Table::new(&header()));
    let mut counts =
        Table::new(&["operation", "backend", "key agreements", "key generations", "signatures", "verifications"]);
    for operation in operations {
        let of = |row: &String, metric| figure(metric, compared.median(row, operation, size, metric));
        let name = || std::iter::once(operation.to_string());
        bytes.row(name().chain(compared.rows().iter().map(|row| of(row, Metric::BytesSent))));
        times.row(name().chain(compared.rows().iter().map(|row| {
            let roles = [Cost::SenderFull, Cost::Recipient].map(|cost| of(row, Metric::Cpu(cost)));
            roles.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" / ")
        })));
        for row in compared.rows().iter().filter(|row| derived_from(row).is_none()) {
            let found = COUNTS.map(|name| of(row, Metric::Count(name)));
            if found.iter().any(|text| !text.is_empty()) {
                counts.row(name().chain([row.clone()]).chain(found));
            }
        }
    }
    [
        format!("Bytes of all messages at {size} members, a broadcast counted once; exact:\n\n{bytes}"),
        format!(
            "CPU time in ms at {size} members, sender / one recipient; medians, measured on that machine:\n\n{times}"
        ),
        derived_note(compared).to_owned(),
        format!(
            "<details>\n<summary>Operation counts of the whole group at {size} members; exact</summary>\n\n{counts}"
        ),
        "</details>\n".to_owned(),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n")
}

const COUNTS: [&str; 4] = ["op.dh", "op.keygen", "op.sign", "op.verify"];

/// A figure; empty where there is none.
fn figure(metric: Metric, value: Option<f64>) -> String {
    match (metric, value) {
        (_, None) => String::new(),
        (Metric::Cpu(_), value) => ms(value),
        (_, Some(value)) => crate::plot::thousands(value),
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
    use crate::comparison::with_derived;
    use crate::manifest::{LargeGroups, Options};
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
        let manifest = Manifest::start(options, 1, Vec::new()).unwrap();
        let all = with_derived(samples);
        comparison(&Comparison::new(&all, &BACKENDS.map(str::to_owned)), "dcgka", samples, &manifest)
    }

    /// The cells of a row in the table of an operation.
    fn row(text: &str, size: u32, operation: &str, row: &str) -> Vec<String> {
        let members = text.split(&format!("## {size} members\n")).nth(1).unwrap();
        let table = members.split(&format!("### {operation}\n")).nth(1).unwrap();
        let line = table.lines().find(|line| line.starts_with(&format!("| {row} "))).unwrap();
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    }

    #[test]
    fn rows_stand_side_by_side_with_their_ratios() {
        let text = text(&samples());
        assert!(text.contains("; of 100 members and more at most 1; seed 7."), "{text}");
        assert_eq!(
            row(&text, 128, "update", "dcgka  ")[1..5],
            ["32,020", "1.00", "4,082,050", "128"].map(String::from)
        );
        assert_eq!(row(&text, 128, "update", "dcgka without acks")[1..3], ["15,510", "0.484"].map(String::from));
        assert_eq!(row(&text, 128, "update", "pairwise")[1..3], ["15,510", "0.484"].map(String::from));
        assert!(text.contains("`without acks` is no run of its own"));
        assert!(text.contains("| added ms |") && !text.contains("[1]") && !text.contains("Runs that do not count"));
    }

    #[test]
    fn what_a_backend_does_not_have_is_empty_with_a_footnote() {
        let mut samples = samples();
        for sample in samples.iter_mut().filter(|sample| sample.backend == "pairwise" && sample.operation == "update") {
            sample.status = Status::Unsupported;
            sample.reason = "no such operation".to_owned();
        }
        let text = text(&samples);
        let cells = row(&text, 8, "update", "pairwise [1]");
        assert!(cells[1..].iter().all(String::is_empty), "{cells:?}");
        assert!(text.contains("\n[1] unsupported: no such operation\n"));
        assert!(!text.contains("Runs that do not count"), "an operation that does not exist is no failure");
    }

    #[test]
    fn failures_look_otherwise_and_leave_the_ratios_to_them_empty() {
        let mut samples = samples();
        for sample in samples.iter_mut().filter(|sample| sample.backend == "dcgka" && sample.operation == "create") {
            sample.status = Status::Refused;
            sample.reason = "other keys".to_owned();
        }
        let text = text(&samples);
        assert!(row(&text, 8, "create", "dcgka (refused) [1]")[1..].iter().all(String::is_empty));
        assert!(text.contains("[1] refused: see samples") && text.contains("Runs that do not count"));
        let pairwise = row(&text, 8, "create", "pairwise");
        assert_eq!((pairwise[1].is_empty(), pairwise[2].as_str()), (false, ""));
    }

    #[test]
    fn the_tables_of_the_readme_have_all_rows_at_one_size() {
        let all = with_derived(&samples());
        let text = readme_tables(&Comparison::new(&all, &BACKENDS.map(str::to_owned)), 128);
        assert!(text.contains("| operation   |  dcgka | dcgka without acks | pairwise |"), "{text}");
        assert!(text.contains("| update      | 32,020 |             15,510 |   15,510 |"), "{text}");
        assert!(text.contains("| update      | dcgka    |"), "{text}");
    }
}
