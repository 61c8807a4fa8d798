//! A run at a glance.

use super::several;
use super::table::Table;
use super::text::{bytes, failures, ms, noise, speed};
use crate::analysis::cell_costs::{Cells, Cost};
use crate::record::manifest::Machine;
use crate::record::sample::Sample;

/// A table with a line for each cell: medians over the samples that count. Tables of operations of several members and of
/// samples that do not count follow, if there are any, and then what disturbed the times.
#[must_use]
pub fn overview(samples: &[Sample], machine: &Machine) -> String {
    let cells = Cells::new(samples);
    let mut table = Table::new(&[
        "backend",
        "operation",
        "members",
        "samples",
        "bytes sent",
        "sender ms",
        "sender ms, responses",
        "recipient ms",
        "joiner ms",
    ]);
    for (key, runs) in cells.iter() {
        let cpu =
            |cost| ms(cells.cpu_ms(&key.backend, key.operation, key.group_size, cost).map(|summary| summary.median));
        let sent = cells.bytes(&key.backend, key.operation, key.group_size).map(|summary| summary.median);
        table.row([
            key.backend.clone(),
            key.operation.to_string(),
            key.group_size.to_string(),
            runs.all().len().to_string(),
            bytes(sent),
            cpu(Cost::SenderFull),
            cpu(Cost::SenderAsInPaper),
            cpu(Cost::Recipient),
            cpu(Cost::Joiner),
        ]);
    }
    let measured = if table.is_empty() { String::new() } else { table.to_string() };
    let parts = [measured, several::several(&cells), failures(samples), speed(samples) + &noise(samples, machine)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}
