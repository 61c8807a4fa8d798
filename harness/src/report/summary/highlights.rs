//! What a README shows of recorded runs: findings, a table of a few backends, one of published implementations, and the
//! reproduction of the paper.

use protocol::operation::{Operation, Role};

use super::table::Table;
use super::text::{bytes, ms, ratio};
use crate::analysis::cell_costs::{Cells, Cost};
use crate::analysis::claims::CLAIMED_SIZE;
use crate::analysis::comparison::{Comparison, Quantity, derived_from, without_acks_of};
use crate::analysis::paper::Paper;
use crate::record::about::About;
use crate::record::manifest::Manifest;
use crate::record::metric::Metric;
use crate::report::plot::thousands;

const BYTES: Quantity = Quantity::Total(Metric::BytesSent);
const SENDER: Quantity = Quantity::Cpu(Cost::SenderFull);
const RECIPIENT: Quantity = Quantity::Cpu(Cost::Recipient);

/// The protocol of the paper.
const DCGKA: &str = "dcgka";
const PAIRWISE: &str = "pairwise";
/// Sender Keys that heal by updates, as DCGKA does.
const HEALING: &str = "sender-keys:pcs";
/// The leanest form of the protocol of the paper.
const LEAN: &str = "dcgka:lean";
/// The backends of the table: the protocol of the paper, its leanest form, and the cheapest and strongest forms of the
/// protocols in use.
const SHOWN: [&str; 5] = [DCGKA, LEAN, PAIRWISE, "sender-keys:lazy", HEALING];

/// The backends that a README shows: those of a fixed few that were measured, or all backends if none of them was.
#[must_use]
pub fn shown(compared: &Comparison<'_>) -> Vec<String> {
    let rows = || compared.rows().iter();
    let shown: Vec<String> = rows().filter(|row| SHOWN.contains(&row.as_str())).cloned().collect();
    if shown.is_empty() { compared.backends().cloned().collect() } else { shown }
}

/// Findings on an update: bytes, CPU time, what acknowledgements cost, and what the leanest form saves, if it was measured.
/// `None` if one of the other backends that they are about was not measured, or if a figure has no counting sample.
#[must_use]
pub fn findings(compared: &Comparison<'_>, size: u32) -> Option<String> {
    let without_acks = without_acks_of(DCGKA);
    let of = |row: &str, quantity| compared.median(row, Operation::Update, size, quantity);
    let over = |row: &str, other: &str, quantity| compared.ratio((row, other), Operation::Update, size, quantity);
    let share = |quantity| Some((1.0 - over(&without_acks, DCGKA, quantity)?) * 100.0);
    let lean = || {
        Some(format!(
            "- **Lean.** `{LEAN}`, a variant of our own that promises less in two cases ([which](dcgka/DEVIATIONS.md#known-limits)), \
             sends {} bytes: {:.2} times as many as DCGKA. It takes the sender {:.2} times and each recipient {:.2} times as \
             much CPU time.\n",
            thousands(of(LEAN, BYTES)?),
            over(LEAN, DCGKA, BYTES)?,
            over(LEAN, DCGKA, SENDER)?,
            over(LEAN, DCGKA, RECIPIENT)?,
        ))
    };
    let findings = format!(
        "- **Bytes.** For an update in a group of {size}, DCGKA sends {} bytes: {} times as many as pairwise Signal. \
         Sender Keys that heal (`{HEALING}`) send {} times as many as DCGKA.\n\
         - **CPU time.** The update takes its sender {} ms, {} as with pairwise Signal, and each recipient {} ms, {}.\n\
         - **Acknowledgements** are {:.0} % of these bytes, and handling them is {:.0} % of a recipient's CPU time. Without \
         them, an update sends {} bytes and takes each recipient {} ms.\n",
        thousands(of(DCGKA, BYTES)?),
        factor(over(DCGKA, PAIRWISE, BYTES)?),
        factor(over(HEALING, DCGKA, BYTES)?),
        ms(of(DCGKA, SENDER)),
        as_much(over(DCGKA, PAIRWISE, SENDER)?),
        ms(of(DCGKA, RECIPIENT)),
        as_much(over(DCGKA, PAIRWISE, RECIPIENT)?),
        share(BYTES)?,
        share(RECIPIENT)?,
        thousands(of(&without_acks, BYTES)?),
        ms(of(&without_acks, RECIPIENT)),
    );
    let is_measured = |row: &str| compared.rows().iter().any(|measured| measured == row);
    Some(findings + &if is_measured(LEAN) { lean()? } else { String::new() })
}

/// Two times compared. Ratios near 1 are within the noise of a shared machine.
fn as_much(ratio: f64) -> String {
    if (0.75..=1.33).contains(&ratio) { "about as much".to_owned() } else { format!("{} times as much", factor(ratio)) }
}

/// A ratio to two digits.
fn factor(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0}") } else { format!("{ratio:.1}") }
}

/// A row for each operation, with the bytes sent and the CPU times (sender / one recipient) of each shown backend.
#[must_use]
pub fn comparison_table(compared: &Comparison<'_>, size: u32) -> String {
    let shown = shown(compared);
    let header: Vec<String> = std::iter::once("operation".to_owned())
        .chain(shown.iter().map(|row| format!("{row}, bytes")))
        .chain(shown.iter().map(|row| format!("{row}, ms")))
        .collect();
    let mut table = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for operation in compared.operations() {
        let of = |row: &str, quantity| compared.median(row, operation, size, quantity);
        let bytes = shown.iter().map(|row| of(row, BYTES).map(thousands).unwrap_or_default());
        let times = shown.iter().map(|row| match (of(row, SENDER), of(row, RECIPIENT)) {
            (None, None) => String::new(),
            (sender, recipient) => format!("{} / {}", ms(sender), ms(recipient)),
        });
        table.row(std::iter::once(operation.to_string()).chain(bytes).chain(times));
    }
    table.to_string()
}

/// An update with each backend, as multiples of what it costs with DCGKA, and what a backend does not promise or does otherwise.
#[must_use]
pub fn implementations_table(compared: &Comparison<'_>, manifest: &Manifest, size: u32) -> String {
    let mut table = Table::new(&["backend", "bytes", "x", "sender ms", "x", "recipient ms", "x", "what differs"]);
    let without_acks = without_acks_of(DCGKA);
    for row in compared.rows().iter().filter(|row| **row == without_acks || derived_from(row).is_none()) {
        let figures = [BYTES, SENDER, RECIPIENT].into_iter().flat_map(|quantity| {
            let figure = compared.median(row, Operation::Update, size, quantity);
            let over = compared.ratio((row, DCGKA), Operation::Update, size, quantity);
            let text = if quantity == BYTES { bytes(figure) } else { ms(figure) };
            [text, over.map_or_else(String::new, |over| ms(Some(over)))]
        });
        table.row(std::iter::once(row.clone()).chain(figures).chain([differences(compared, manifest, row)]));
    }
    table.to_string()
}

/// What a reader of a backend's figures must know first.
fn differences(compared: &Comparison<'_>, manifest: &Manifest, row: &str) -> String {
    let acknowledges = compared.rows().contains(&without_acks_of(row));
    let failed = manifest.conformance.get(row).map_or(0, |suite| suite.failed.len());
    let Some(About { signed, ordering, forward_secrecy, .. }) = manifest.backends.get(row) else {
        return String::new();
    };
    let differs = [
        (signed.trim().is_empty() || signed.trim_start().starts_with("nothing"), "unsigned".to_owned()),
        (!acknowledges, "no acks".to_owned()),
        (!forward_secrecy, "no forward secrecy".to_owned()),
        (ordering == "total", "total order".to_owned()),
        (failed > 0, format!("fails {failed} {}", if failed == 1 { "check" } else { "checks" })),
    ];
    differs.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect::<Vec<_>>().join(", ")
}

/// The paper's figures beside those measured here: bytes sent, and CPU time in the paper's sense. Ratios are here / paper.
#[must_use]
pub fn reproduction_table(cells: &Cells<'_>, backend: &str, paper: &Paper) -> String {
    let mut table = Table::new(&[
        "operation",
        "bytes, paper",
        "here",
        "ratio",
        "sender ms, paper",
        "here",
        "ratio",
        "recipient ms, paper",
        "here",
        "ratio",
    ]);
    for operation in Operation::REPRODUCED.into_iter().filter(|operation| *operation != Operation::UpdateCold) {
        let published = paper.sent_bytes(operation, CLAIMED_SIZE).map(|bytes| bytes as f64);
        let here = cells.bytes(backend, operation, CLAIMED_SIZE).map(|bytes| bytes.median);
        let mut row = vec![operation.to_string(), bytes(published), bytes(here), ratio(here, published)];
        for (role, cost) in [(Role::Sender, Cost::SenderAsInPaper), (Role::Recipient, Cost::Recipient)] {
            let published = paper.cpu(operation, role, CLAIMED_SIZE).map(|cpu| cpu.median_ms);
            let here = cells.cpu_ms(backend, operation, CLAIMED_SIZE, cost).map(|cpu| cpu.median);
            row.extend([ms(published), ms(here), ratio(here, published)]);
        }
        table.row(row);
    }
    table.to_string()
}
