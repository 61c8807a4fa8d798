//! Rows of measurements.csv: what samples come to, one row for each combination.
//!
//! - `cpu_ns` and `state_bytes` of a role are per member, with every member of every run as one value.
//! - Traffic, `op.*` and `bytes_fetched` are exact and add up: of a role they are the sums over its members, one value
//!   for each run.
//! - Rows of role `group` are sums over everybody, one value for each run; the totals of an operation have phase `all`
//!   and no kind. `all` is the sum of the phases.
//! - Runs that do not count are rows too, one for each status: group, `all`, no metric, `samples` runs.

use std::collections::BTreeMap;
use std::io::Write;

use protocol::operation::{Phase, Role};

use crate::cell_costs::{cpu_of_all, operation_rank, over_floor};
use crate::sample::{Sample, Status};
use crate::statistics::Summary;

/// Role of the rows that sum over everybody.
pub const GROUP: &str = "group";
/// Phase of the rows that sum over the phases.
pub const ALL: &str = "all";

/// The columns of measurements.csv.
pub const COLUMNS: [&str; 21] = [
    "backend",
    "variant",
    "operation",
    "group_size",
    "role",
    "phase",
    "kind",
    "metric",
    "unit",
    "samples",
    "min",
    "p25",
    "median",
    "p75",
    "max",
    "mean",
    "stddev",
    "mad",
    "ci_low",
    "ci_high",
    "status",
];

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The backend.
    pub backend: String,
    /// Its variant.
    pub variant: String,
    /// The operation.
    pub operation: String,
    /// The group size.
    pub group_size: u32,
    /// A role, or [`GROUP`].
    pub role: String,
    /// A phase, or [`ALL`].
    pub phase: String,
    /// The kind of message; empty for all kinds, and where there is no message.
    pub kind: String,
    /// The metric; empty for runs that do not count.
    pub metric: String,
}

/// A row of measurements.csv.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is about.
    pub key: Key,
    /// Values, or runs that do not count.
    pub samples: usize,
    /// The figures. None for runs that do not count.
    pub summary: Option<Summary>,
    /// Whether the runs count.
    pub status: Status,
}

/// The name of a status in data.
#[must_use]
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Unsupported => "unsupported",
        Status::Refused => "refused",
        Status::Timeout => "timeout",
        Status::Crash => "crash",
    }
}

/// The unit of a metric.
#[must_use]
pub fn unit(metric: &str) -> &'static str {
    match metric {
        "cpu_ns" => "ns",
        "over_floor" => "ratio",
        "bytes_sent" | "bytes_delivered" | "bytes_fetched" | "state_bytes" | "peak_bytes" | "op.aead_bytes" => "B",
        "messages" => "messages",
        "op.hash_blocks" => "blocks",
        "" => "",
        _ => "operations",
    }
}

/// The rows of all samples, in the order of reports.
#[must_use]
pub fn rows(samples: &[Sample]) -> Vec<Row> {
    let mut values: BTreeMap<Key, Vec<Vec<f64>>> = BTreeMap::new();
    let mut failures: BTreeMap<(Key, &'static str), (Status, usize)> = BTreeMap::new();
    for sample in samples {
        if sample.status == Status::Ok {
            for (key, run) in of_run(sample) {
                values.entry(key).or_default().push(run);
            }
        } else {
            let key = key(sample, GROUP, ALL, "", "");
            failures.entry((key, status_name(sample.status))).or_insert((sample.status, 0)).1 += 1;
        }
    }
    let measured = values.into_iter().filter_map(|(key, runs)| {
        let summary = Summary::of(&runs)?;
        Some(Row { key, samples: summary.samples, summary: Some(summary), status: Status::Ok })
    });
    let failed = failures.into_iter().map(|((key, _), (status, samples))| Row { key, samples, summary: None, status });
    let mut rows: Vec<Row> = measured.chain(failed).collect();
    rows.sort_by_cached_key(|row| {
        let key = &row.key;
        let place = (operation_rank(&key.operation), key.group_size, role_rank(&key.role), phase_rank(&key.phase));
        (key.backend.clone(), key.variant.clone(), place, key.clone())
    });
    rows
}

/// Writes rows with their header.
///
/// # Errors
/// As the writer fails.
pub fn write_csv(rows: &[Row], out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for Row { key, samples, summary, status } in rows {
        let of =
            |figure: fn(&Summary) -> Option<f64>| summary.as_ref().and_then(figure).map(number).unwrap_or_default();
        writer.write_record([
            key.backend.clone(),
            key.variant.clone(),
            key.operation.clone(),
            key.group_size.to_string(),
            key.role.clone(),
            key.phase.clone(),
            key.kind.clone(),
            key.metric.clone(),
            unit(&key.metric).to_owned(),
            samples.to_string(),
            of(|s| Some(s.min)),
            of(|s| Some(s.p25)),
            of(|s| Some(s.median)),
            of(|s| Some(s.p75)),
            of(|s| Some(s.max)),
            of(|s| Some(s.mean)),
            of(|s| s.stddev),
            of(|s| Some(s.mad)),
            of(|s| s.interval.map(|interval| interval.0)),
            of(|s| s.interval.map(|interval| interval.1)),
            status_name(*status).to_owned(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// A figure in data: whole where it is whole, else six digits after the point.
pub(crate) fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

fn key(sample: &Sample, role: &str, phase: &str, kind: &str, metric: &str) -> Key {
    Key {
        backend: sample.backend.clone(),
        variant: sample.variant.clone(),
        operation: sample.operation.clone(),
        group_size: sample.group_size,
        role: role.to_owned(),
        phase: phase.to_owned(),
        kind: kind.to_owned(),
        metric: metric.to_owned(),
    }
}

/// All values of one run.
fn of_run(sample: &Sample) -> BTreeMap<Key, Vec<f64>> {
    let mut values = BTreeMap::new();
    traffic(sample, &mut values);
    work(sample, &mut values);
    memory(sample, &mut values);
    values
}

type Values = BTreeMap<Key, Vec<f64>>;

/// Adds to a value that is a sum.
fn add(values: &mut Values, key: Key, amount: u64) {
    let run = values.entry(key).or_insert_with(|| vec![0.0]);
    run.iter_mut().for_each(|sum| *sum += amount as f64);
}

fn traffic(sample: &Sample, values: &mut Values) {
    // An operation without messages has sent zero bytes, which is a figure like any other.
    for metric in ["messages", "bytes_sent", "bytes_delivered"] {
        add(values, key(sample, GROUP, ALL, "", metric), 0);
    }
    for traffic in &sample.traffic {
        let (role, phase, kind) = (traffic.role.as_str(), traffic.phase.as_str(), traffic.kind.as_str());
        for (metric, amount) in [
            ("messages", traffic.messages),
            ("bytes_sent", traffic.bytes_sent),
            ("bytes_delivered", traffic.bytes_delivered),
        ] {
            for (role, phase, kind) in
                [(role, phase, kind), (role, ALL, ""), (GROUP, phase, ""), (GROUP, ALL, kind), (GROUP, ALL, "")]
            {
                add(values, key(sample, role, phase, kind, metric), amount);
            }
        }
    }
}

fn work(sample: &Sample, values: &mut Values) {
    for work in &sample.work {
        let (role, phase) = (work.role.as_str(), work.phase.as_str());
        let cpu: Vec<f64> = work.cpu_ns.iter().map(|ns| *ns as f64).collect();
        values.insert(key(sample, role, phase, "", "cpu_ns"), cpu);
        let total = work.cpu_ns.iter().sum();
        add(values, key(sample, GROUP, phase, "", "cpu_ns"), total);
        add(values, key(sample, GROUP, ALL, "", "cpu_ns"), total);
        let exact = work.counts.iter().map(|(metric, count)| (metric.as_str(), *count));
        for (metric, amount) in exact.chain([("bytes_fetched", work.bytes_fetched)]) {
            for (role, phase) in [(role, phase), (role, ALL), (GROUP, phase), (GROUP, ALL)] {
                add(values, key(sample, role, phase, "", metric), amount);
            }
        }
    }
    for role in Role::ALL.map(Role::name) {
        let cpu = cpu_of_all(sample, role);
        if !cpu.is_empty() {
            values.insert(key(sample, role, ALL, "", "cpu_ns"), cpu.iter().map(|ns| *ns as f64).collect());
        }
    }
    for role in Role::ALL.map(|role| Some(role.name())).into_iter().chain([None]) {
        if let Some(ratio) = over_floor(sample, role) {
            values.insert(key(sample, role.unwrap_or(GROUP), ALL, "", "over_floor"), vec![ratio]);
        }
    }
}

fn memory(sample: &Sample, values: &mut Values) {
    for (role, sizes) in &sample.state_bytes {
        values.insert(key(sample, role, ALL, "", "state_bytes"), sizes.iter().map(|size| *size as f64).collect());
    }
    if let Some(peak) = sample.peak_bytes {
        values.insert(key(sample, GROUP, ALL, "", "peak_bytes"), vec![peak as f64]);
    }
}

fn role_rank(name: &str) -> usize {
    Role::ALL.iter().position(|role| role.name() == name).unwrap_or(Role::ALL.len())
}

fn phase_rank(name: &str) -> usize {
    Phase::ALL.iter().position(|phase| phase.name() == name).unwrap_or(Phase::ALL.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn find<'a>(rows: &'a [Row], role: &str, phase: &str, kind: &str, metric: &str) -> &'a Summary {
        rows.iter()
            .find(|row| {
                let key = &row.key;
                (key.role.as_str(), key.phase.as_str(), key.kind.as_str(), key.metric.as_str())
                    == (role, phase, kind, metric)
            })
            .and_then(|row| row.summary.as_ref())
            .unwrap_or_else(|| panic!("no row {role} {phase} {kind} {metric}"))
    }

    #[test]
    fn kinds_and_roles_add_up() {
        let rows = rows(&[synthetic::remove()]);
        assert_eq!(find(&rows, "sender", "generate", "remove", "bytes_sent").median, 400.0);
        assert_eq!(find(&rows, "recipient", "process", "ack", "bytes_sent").median, 200.0);
        assert_eq!(find(&rows, GROUP, ALL, "ack", "bytes_sent").median, 200.0);
        assert_eq!(find(&rows, GROUP, ALL, "", "bytes_sent").median, 600.0);
        assert_eq!(find(&rows, GROUP, ALL, "", "messages").median, 3.0);
        assert_eq!(find(&rows, GROUP, "process", "", "bytes_delivered").median, 400.0);
    }

    #[test]
    fn cpu_is_per_member_and_per_group() {
        let rows = rows(&[synthetic::remove(), synthetic::remove()]);
        assert_eq!(find(&rows, "recipient", "process", "", "cpu_ns").samples, 4);
        assert_eq!(find(&rows, "recipient", ALL, "", "cpu_ns").median, 370.0);
        assert_eq!(find(&rows, GROUP, ALL, "", "cpu_ns").median, (1320 + 740 + 90) as f64);
        assert_eq!(find(&rows, GROUP, ALL, "", "cpu_ns").interval, Some((2150.0, 2150.0)));
        assert_eq!(find(&rows, "sender", ALL, "", "op.dh").median, 10.0);
        assert_eq!(find(&rows, "sender", ALL, "", "over_floor").median, 2.2);
    }

    #[test]
    fn failures_are_rows() {
        let mut timeout = synthetic::remove();
        timeout.status = Status::Timeout;
        let rows = rows(&[timeout.clone(), timeout]);
        let row = rows.first().unwrap();
        assert_eq!((rows.len(), row.samples, row.status, row.summary), (1, 2, Status::Timeout, None));
        let mut text = Vec::new();
        write_csv(&rows, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().nth(1), Some("toy,,remove,4,group,all,,,,2,,,,,,,,,,,timeout"));
    }

    #[test]
    fn csv_has_the_columns_of_the_format() {
        let mut text = Vec::new();
        write_csv(&rows(&[synthetic::remove()]), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(
            "backend,variant,operation,group_size,role,phase,kind,metric,unit,samples,min,p25,median,p75,max,mean,stddev,\
             mad,ci_low,ci_high,status\n"
        ));
        assert!(text.contains("toy,,remove,4,group,all,,bytes_sent,B,1,600,600,600,600,600,600,,0,,,ok\n"));
    }
}
