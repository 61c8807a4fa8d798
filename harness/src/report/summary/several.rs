//! Operations of several members: messages and CPU time of all members together, and how many of the messages repair what a
//! partition left behind.

use std::collections::BTreeSet;

use protocol::operation::{Operation, Phase};

use super::table::Table;
use super::text::{NONE, ms};
use crate::analysis::cell_costs::{Cells, Cost};
use crate::record::sample::{Sample, Traffic};

/// The kind of message that repairs.
const UPDATE: &str = "update";

/// A table with a line for each cell of such an operation. Empty if there is none.
pub(super) fn several(cells: &Cells<'_>) -> String {
    let mut table =
        Table::new(&["backend", "operation", "members", "messages", "group ms", "repairs", "messages by kind"]);
    for (key, samples) in cells.iter() {
        let operation = key.operation;
        if operation.parts().is_empty() {
            continue;
        }
        let median = |of: &dyn Fn(&Sample) -> u64| {
            let summary = cells.summary(&key.backend, operation, key.group_size, |sample| vec![of(sample) as f64]);
            summary.map_or_else(|| NONE.to_owned(), |summary| format!("{:.0}", summary.median))
        };
        let kinds: BTreeSet<&str> =
            samples.iter().flat_map(|sample| &sample.traffic).map(|traffic| traffic.kind.as_str()).collect();
        let by_kind = kinds.into_iter().map(|kind| {
            let of_kind = |traffic: &Traffic| traffic.kind == kind;
            let count = median(&|sample| sum(sample, of_kind, |traffic| traffic.messages));
            let bytes = median(&|sample| sum(sample, of_kind, |traffic| traffic.bytes_sent));
            format!("{count} {kind} ({bytes} B)")
        });
        let all = cells.cpu_ms(&key.backend, operation, key.group_size, Cost::Group);
        let repairs = match operation {
            Operation::PartitionHeal => median(&|sample| sum(sample, repairs, |traffic| traffic.messages)),
            _ => NONE.to_owned(),
        };
        table.row([
            key.backend.clone(),
            operation.to_string(),
            key.group_size.to_string(),
            median(&|sample| sum(sample, |_| true, |traffic| traffic.messages)),
            ms(all.map(|all| all.median)),
            repairs,
            by_kind.collect::<Vec<_>>().join(", "),
        ]);
    }
    if table.is_empty() { String::new() } else { table.to_string() }
}

/// Whether these messages repair: updates that a member sends before it speaks.
fn repairs(traffic: &Traffic) -> bool {
    traffic.phase == Phase::Speak && traffic.kind == UPDATE
}

fn sum(sample: &Sample, which: impl Fn(&Traffic) -> bool, of: impl Fn(&Traffic) -> u64) -> u64 {
    sample.traffic.iter().filter(|traffic| which(traffic)).map(of).sum()
}
