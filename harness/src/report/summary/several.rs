//! Operations of several members: messages and CPU time of all members together, how many of the messages repair what a
//! partition left behind, and what it takes to recover from it.

use std::collections::BTreeSet;

use protocol::crypto::count::{Counted, Counts};
use protocol::member::{COMMIT, UPDATE};
use protocol::operation::{Operation, Phase};

use super::table::Table;
use super::text::{NONE, ms};
use crate::analysis::cell_costs::{Cells, Cost, summary};
use crate::record::metric::Metric;
use crate::record::sample::{Sample, Traffic};

/// A table with a line for each cell of such an operation. Empty if there is none.
pub(super) fn several(cells: &Cells<'_>) -> String {
    let header = ["backend", "operation", "members", "messages", "rounds", "group ms", "repairs", "messages by kind"];
    let mut table = Table::new(&header);
    for (key, runs) in cells.iter() {
        let (operation, samples) = (key.operation, runs.all());
        if operation.parts().is_empty() {
            continue;
        }
        let median = |of: &dyn Fn(&Sample) -> u64| {
            let summary = summary(samples, |sample| vec![of(sample) as f64]);
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
            Operation::PartitionHeal | Operation::ConcurrentUpdates(_) => {
                median(&|sample| sum(sample, repairs, |traffic| traffic.messages))
            }
            _ => NONE.to_owned(),
        };
        table.row([
            key.backend.clone(),
            operation.to_string(),
            key.group_size.to_string(),
            median(&|sample| sum(sample, |_| true, |traffic| traffic.messages)),
            median(&|sample| sample.rounds.unwrap_or(0).into()),
            ms(all.map(|all| all.median)),
            repairs,
            by_kind.collect::<Vec<_>>().join(", "),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("{table}{}", recoveries(cells)) }
}

/// What it takes to recover after a partition with updates in all parts.
const RECOVERY: &str = "
Recovery. `merge`: what is sent because the partition ends, and the handling of what has waited. `first` and `all`: the first update
of a member that knows what all parts have done, and all updates until no conflict is left, the first included. What other members
send because of them is included too. `operations` are public-key operations of all members.
";

/// The figures of recoveries; empty if there are none.
fn recoveries(cells: &Cells<'_>) -> String {
    let header = [
        "backend",
        "operation",
        "members",
        "merge B",
        "merge ms",
        "first B",
        "first operations",
        "first ms",
        "updates",
        "all B",
        "all operations",
        "all ms",
    ];
    let mut table = Table::new(&header);
    for (key, runs) in cells.iter() {
        let samples = runs.all();
        if !matches!(key.operation, Operation::PartitionRecovery { .. }) {
            continue;
        }
        let counted = samples.iter().any(|sample| sample.work.iter().any(|work| !work.counts.is_empty()));
        let median_of = |samples: &[&Sample], of: &dyn Fn(&Sample) -> f64| {
            summary(samples, |sample| vec![of(sample)]).map(|summary| summary.median)
        };
        let median = |of: &dyn Fn(&Sample) -> f64| median_of(samples, of);
        let whole = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.0}"));
        let bytes = |phases: &'static [Phase]| {
            let sent = move |sample: &Sample| sum(sample, |it| phases.contains(&it.phase), |it| it.bytes_sent) as f64;
            whole(median(&sent))
        };
        let time = |phases: &'static [Phase]| ms(median_of(runs.timed(), &move |sample| cpu_ns(sample, phases) / 1e6));
        let operations = |phases: &'static [Phase]| match counted {
            true => whole(median(&move |sample| public_key_operations(sample, phases))),
            false => NONE.to_owned(),
        };
        // Each update is one call.
        let updates = |sample: &Sample| sum(sample, |it| ALL.contains(&it.phase) && is_update(it), |it| it.messages);
        table.row([
            key.backend.clone(),
            key.operation.to_string(),
            key.group_size.to_string(),
            bytes(MERGE),
            time(MERGE),
            bytes(FIRST),
            operations(FIRST),
            time(FIRST),
            whole(median(&|sample| updates(sample) as f64)),
            bytes(ALL),
            operations(ALL),
            time(ALL),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("{RECOVERY}\n{table}") }
}

const MERGE: &[Phase] = &[Phase::Heal];
const FIRST: &[Phase] = &[Phase::Mend];
const ALL: &[Phase] = &[Phase::Mend, Phase::Recover];

/// The messages of an update: one of each call.
fn is_update(traffic: &Traffic) -> bool {
    [UPDATE, COMMIT].contains(&traffic.kind.as_str())
}

fn cpu_ns(sample: &Sample, phases: &[Phase]) -> f64 {
    let works = sample.work.iter().filter(|work| phases.contains(&work.phase));
    works.flat_map(|work| &work.cpu_ns).sum::<u64>() as f64
}

fn public_key_operations(sample: &Sample, phases: &[Phase]) -> f64 {
    let metrics: Vec<Metric> = Metric::named_in(Counted::PublicKey.known(Counts::EACH)).collect();
    let works = sample.work.iter().filter(|work| phases.contains(&work.phase));
    let counts = works.flat_map(|work| &work.counts).filter(|(metric, _)| metrics.contains(metric));
    counts.map(|(_, count)| *count).sum::<u64>() as f64
}

/// Whether these messages repair: updates that a member sends before it speaks.
fn repairs(traffic: &Traffic) -> bool {
    traffic.phase == Phase::Speak && is_update(traffic)
}

fn sum(sample: &Sample, which: impl Fn(&Traffic) -> bool, of: impl Fn(&Traffic) -> u64) -> u64 {
    sample.traffic.iter().filter(|traffic| which(traffic)).map(of).sum()
}
