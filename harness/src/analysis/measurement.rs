//! Rows of measurements.csv: statistics over the samples of a cell, one row for each combination of the first eight columns.
//!
//! - For a role, `cpu_ns` and `state_bytes` are per member: every member of every sample is one value.
//! - Traffic, `op.*` and `bytes_fetched` are exact and add up. For a role they are sums over its members, one value for
//!   each sample.
//! - Rows of role `group` are sums over everybody, one value for each sample. The totals of an operation have phase `all`
//!   and no particular kind. Phase `all` is the sum of the phases.
//! - Times (`cpu_ns`, `over_floor`) are over the samples at the machine's faster speed, or over all others if there are none.
//!   Column `fast_share` is the part of the cell's samples that ran at the faster speed.
//! - Samples that do not count have rows too, one for each status: role `group`, phase `all`, no metric. Column `samples`
//!   is then the number of these samples.

use std::collections::BTreeMap;
use std::io::Write;

use protocol::operation::{Operation, Phase, Role};

use super::cell_costs::{Cells, cpu_of_all, over_floor};
use super::statistics::Summary;
use crate::record::metric::Metric;
use crate::record::sample::{Sample, Status};

/// In data, the role of rows about everybody.
pub const GROUP: &str = "group";
/// In data, the phase of rows about all phases together, and the kind of rows about all messages.
pub const ALL: &str = "all";
/// In data, a field that does not apply to its row. An empty field would be read as a missing value.
pub const NOT_APPLICABLE: &str = "-";

/// The columns of measurements.csv, in their order.
pub const COLUMNS: [&str; 23] = [
    "backend",
    "variant",
    "operation",
    "group_size",
    "role",
    "phase",
    "kind",
    "metric",
    "of",
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
    "fast_share",
    "status",
];

/// The members that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// All members of one role.
    Role(Role),
    /// Everybody: role `group` in data.
    Group,
}

impl Who {
    /// The value of column `role`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Role(role) => role.name(),
            Self::Group => GROUP,
        }
    }
}

/// The part of the operation that a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// One phase alone.
    Phase(Phase),
    /// All phases together: phase `all` in data.
    All,
}

impl When {
    /// The value of column `phase`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.name(),
            Self::All => ALL,
        }
    }
}

/// What a row is about. Keys sort in the order of reports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The backend's name, without the variant.
    pub backend: String,
    /// The variant; empty if the backend has one form only.
    pub variant: String,
    /// What was measured.
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// Whose figures they are.
    pub who: Who,
    /// The part of the operation in which they arose.
    pub when: When,
    /// The kind of message. `None` for all kinds together, and for metrics that are not about messages.
    pub kind: Option<String>,
    /// What the values measure. `None` for samples that do not count.
    pub metric: Option<Metric>,
}

impl Key {
    /// The value of column `kind`.
    fn kind_name(&self) -> &str {
        match (&self.kind, self.metric) {
            (Some(kind), _) => kind,
            (None, Some(metric)) if Metric::TRAFFIC.contains(&metric) => ALL,
            _ => NOT_APPLICABLE,
        }
    }

    /// The value of column `of`: whether a value is of one member, or a sum over all members of the role.
    fn of(&self) -> &'static str {
        match (self.metric, self.who) {
            (None, _) => NOT_APPLICABLE,
            (Some(Metric::CpuNs | Metric::StateBytes), Who::Role(_)) => "member",
            _ => "role",
        }
    }
}

/// A row of measurements.csv.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What the row is about: its first ten columns.
    pub key: Key,
    /// The number of values; for samples that do not count, the number of samples.
    pub samples: usize,
    /// Statistics of the values. `None` for samples that do not count.
    pub summary: Option<Summary>,
    /// The part of the cell's samples that ran at the machine's faster speed. `None` if the row is not about times.
    pub fast_share: Option<f64>,
    /// `Ok` if the samples count; otherwise why they do not.
    pub status: Status,
}

/// The rows of all samples, in the order of reports.
#[must_use]
pub fn rows(samples: &[Sample]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (_, runs) in Cells::new(samples).iter() {
        let mut values: BTreeMap<Key, Vec<Vec<f64>>> = BTreeMap::new();
        let times = runs.timed().iter().flat_map(|sample| times(sample));
        for (key, of_sample) in runs.all().iter().flat_map(|sample| exact(sample)).chain(times) {
            values.entry(key).or_default().push(of_sample);
        }
        rows.extend(values.into_iter().filter_map(|(key, by_sample)| {
            let summary = Summary::of(&by_sample)?;
            let is_time = matches!(key.metric, Some(Metric::CpuNs | Metric::OverFloor));
            let fast_share = is_time.then(|| runs.fast_share());
            Some(Row { key, samples: summary.samples, summary: Some(summary), fast_share, status: Status::Ok })
        }));
    }
    let mut failures: BTreeMap<(Key, Status), usize> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.status != Status::Ok) {
        let key = Key { metric: None, ..key(sample, Who::Group, When::All, Metric::Messages) };
        *failures.entry((key, sample.status)).or_default() += 1;
    }
    rows.extend(failures.into_iter().map(|((key, status), samples)| Row {
        key,
        samples,
        summary: None,
        fast_share: None,
        status,
    }));
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

/// Writes the header and the rows.
///
/// # Errors
/// `out` cannot be written to.
pub fn write_csv(rows: &[Row], out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for Row { key, samples, summary, fast_share, status } in rows {
        let of =
            |figure: fn(&Summary) -> Option<f64>| summary.as_ref().and_then(figure).map(number).unwrap_or_default();
        writer.write_record([
            key.backend.clone(),
            or_not_applicable(&key.variant).to_owned(),
            key.operation.to_string(),
            key.group_size.to_string(),
            key.who.name().to_owned(),
            key.when.name().to_owned(),
            key.kind_name().to_owned(),
            key.metric.map_or(NOT_APPLICABLE, Metric::name).to_owned(),
            key.of().to_owned(),
            key.metric.map_or(NOT_APPLICABLE, Metric::unit).to_owned(),
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
            fast_share.map(number).unwrap_or_default(),
            status.name().to_owned(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// The text, or [`NOT_APPLICABLE`] if it is empty.
pub fn or_not_applicable(text: &str) -> &str {
    if text.is_empty() { NOT_APPLICABLE } else { text }
}

/// A figure in data, rounded to six digits after the point. Zeros at the end are left out.
pub(crate) fn number(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}

fn key(sample: &Sample, who: Who, when: When, metric: Metric) -> Key {
    Key {
        backend: sample.backend.clone(),
        variant: sample.variant.clone(),
        operation: sample.operation,
        group_size: sample.group_size,
        who,
        when,
        kind: None,
        metric: Some(metric),
    }
}

type Values = BTreeMap<Key, Vec<f64>>;

/// The values of one sample that are not times, by row.
fn exact(sample: &Sample) -> Values {
    let mut values = Values::new();
    traffic(sample, &mut values);
    counts(sample, &mut values);
    others(sample, &mut values);
    values
}

/// Adds `amount` to a value that is a sum.
fn add(values: &mut Values, key: Key, amount: u64) {
    let sums = values.entry(key).or_insert_with(|| vec![0.0]);
    sums.iter_mut().for_each(|sum| *sum += amount as f64);
}

fn traffic(sample: &Sample, values: &mut Values) {
    // An operation without messages sends zero bytes, and zero is a figure like any other.
    for metric in Metric::TRAFFIC {
        add(values, key(sample, Who::Group, When::All, metric), 0);
    }
    for traffic in &sample.traffic {
        let (role, phase) = (Who::Role(traffic.role), When::Phase(traffic.phase));
        let kind = || Some(traffic.kind.clone());
        for metric in Metric::TRAFFIC {
            let amount = traffic.amount(metric);
            let rows = [
                (role, phase, kind()),
                (role, When::All, None),
                (Who::Group, phase, None),
                (Who::Group, When::All, kind()),
                (Who::Group, When::All, None),
            ];
            for (who, when, kind) in rows {
                add(values, Key { kind, ..key(sample, who, when, metric) }, amount);
            }
        }
    }
}

fn counts(sample: &Sample, values: &mut Values) {
    for work in &sample.work {
        let (role, phase) = (Who::Role(work.role), When::Phase(work.phase));
        let exact = work.counts.iter().map(|(metric, count)| (*metric, *count));
        for (metric, amount) in exact.chain([(Metric::BytesFetched, work.bytes_fetched)]) {
            for (who, when) in [(role, phase), (role, When::All), (Who::Group, phase), (Who::Group, When::All)] {
                add(values, key(sample, who, when, metric), amount);
            }
        }
    }
}

/// The times of one sample, by row.
fn times(sample: &Sample) -> Values {
    let mut values = Values::new();
    let floats = |nanoseconds: &[u64]| nanoseconds.iter().map(|ns| *ns as f64).collect::<Vec<_>>();
    for work in &sample.work {
        let (role, phase) = (Who::Role(work.role), When::Phase(work.phase));
        values.insert(key(sample, role, phase, Metric::CpuNs), floats(&work.cpu_ns));
        let total = work.cpu_ns.iter().sum();
        add(&mut values, key(sample, Who::Group, phase, Metric::CpuNs), total);
        add(&mut values, key(sample, Who::Group, When::All, Metric::CpuNs), total);
    }
    for role in Role::ALL {
        let cpu = cpu_of_all(sample, role);
        if !cpu.is_empty() {
            values.insert(key(sample, Who::Role(role), When::All, Metric::CpuNs), floats(&cpu));
        }
    }
    for role in Role::ALL.map(Some).into_iter().chain([None]) {
        if let Some(ratio) = over_floor(sample, role) {
            let who = role.map_or(Who::Group, Who::Role);
            values.insert(key(sample, who, When::All, Metric::OverFloor), vec![ratio]);
        }
    }
    values
}

fn others(sample: &Sample, values: &mut Values) {
    for (role, sizes) in &sample.state_bytes {
        let sizes = sizes.iter().map(|size| *size as f64).collect();
        values.insert(key(sample, Who::Role(*role), When::All, Metric::StateBytes), sizes);
    }
    if let Some(rounds) = sample.rounds {
        values.insert(key(sample, Who::Group, When::All, Metric::Rounds), vec![f64::from(rounds)]);
    }
    if let Some(peak) = sample.peak_bytes {
        values.insert(key(sample, Who::Group, When::All, Metric::PeakBytes), vec![peak as f64]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    const SENDER: Who = Who::Role(Role::Sender);
    const RECIPIENT: Who = Who::Role(Role::Recipient);
    const GENERATE: When = When::Phase(Phase::Generate);
    const PROCESS: When = When::Phase(Phase::Process);
    const WHOLE: (Who, When) = (Who::Group, When::All);

    fn find<'a>(rows: &'a [Row], (who, when): (Who, When), kind: &str, metric: Metric) -> &'a Summary {
        let is_it = |row: &&Row| {
            let key = &row.key;
            (key.who, key.when, key.metric) == (who, when, Some(metric)) && key.kind.as_deref().unwrap_or("") == kind
        };
        let found = rows.iter().find(is_it).and_then(|row| row.summary.as_ref());
        found.unwrap_or_else(|| panic!("no row {who:?} {when:?} {kind} {metric}"))
    }

    #[test]
    fn kinds_and_roles_add_up() {
        let rows = rows(&[synthetic::remove()]);
        assert_eq!(find(&rows, (SENDER, GENERATE), "remove", Metric::BytesSent).median, 400.0);
        assert_eq!(find(&rows, (RECIPIENT, PROCESS), "ack", Metric::BytesSent).median, 200.0);
        assert_eq!(find(&rows, WHOLE, "ack", Metric::BytesSent).median, 200.0);
        assert_eq!(find(&rows, WHOLE, "", Metric::BytesSent).median, 600.0);
        assert_eq!(find(&rows, WHOLE, "", Metric::Messages).median, 3.0);
        assert_eq!(find(&rows, (Who::Group, PROCESS), "", Metric::BytesDelivered).median, 400.0);
    }

    #[test]
    fn cpu_is_per_member_and_per_group() {
        let rows = rows(&[synthetic::remove(), synthetic::remove()]);
        assert_eq!(find(&rows, (RECIPIENT, PROCESS), "", Metric::CpuNs).samples, 4);
        assert_eq!(find(&rows, (RECIPIENT, When::All), "", Metric::CpuNs).median, 370.0);
        assert_eq!(find(&rows, WHOLE, "", Metric::CpuNs).median, (1320 + 740 + 90) as f64);
        assert_eq!(find(&rows, WHOLE, "", Metric::CpuNs).interval, Some((2150.0, 2150.0)));
        assert_eq!(find(&rows, (SENDER, When::All), "", Metric::Primitive("op.dh")).median, 10.0);
        assert_eq!(find(&rows, (SENDER, When::All), "", Metric::OverFloor).median, 2.2);
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
        assert_eq!(text.lines().nth(1), Some("toy,-,remove,4,group,all,-,-,-,-,2,,,,,,,,,,,,timeout"));
    }

    #[test]
    fn csv_has_the_columns_of_the_format() {
        let mut text = Vec::new();
        write_csv(&rows(&[synthetic::remove()]), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with(
            "backend,variant,operation,group_size,role,phase,kind,metric,of,unit,samples,min,p25,median,p75,max,mean,\
             stddev,mad,ci_low,ci_high,fast_share,status\n"
        ));
        assert!(text.contains("toy,-,remove,4,recipient,all,-,cpu_ns,member,ns,2,"), "{text}");
        assert!(text.contains("toy,-,remove,4,recipient,all,-,op.dh,role,operations,1,4,"), "{text}");
        assert!(text.contains("toy,-,remove,4,group,all,all,bytes_sent,role,B,1,600,600,600,600,600,600,,0,,,,ok\n"));
    }
}
