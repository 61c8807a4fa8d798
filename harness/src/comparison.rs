//! Several backends side by side.
//!
//! A row of a comparison is a backend, or a backend without its acknowledgements: protocols that have none promise less, so
//! both are of interest. The second is derived from the samples of the first ([`with_derived`]) and is no variant that runs.

use std::collections::BTreeSet;
use std::io::Write;

use protocol::operation::{Operation, Phase, Role};

use crate::cell_costs::{Cells, Cost, bytes_sent};
use crate::measurement::{self, GROUP, number, status_name};
use crate::registry::join;
use crate::sample::{Sample, Status};
use crate::statistics::{Summary, quantile};

/// The kind of the messages that are left out.
const ACK: &str = "ack";
/// What follows the name of a backend whose acknowledgements are left out.
const WITHOUT_ACKS: &str = " without acks";

/// The samples, and after them the derived ones of each backend that sends acknowledgements.
///
/// Messages of kind `ack` are left out and, where the answers to an operation are nothing else, the CPU time and counts of
/// phase `responses`, in which they are handled. Making them is a part of phase `process` and remains.
#[must_use]
pub fn with_derived(samples: &[Sample]) -> Vec<Sample> {
    let acknowledging: BTreeSet<String> =
        samples.iter().filter(|sample| sample.traffic.iter().any(|traffic| traffic.kind == ACK)).map(row_of).collect();
    let derived = samples.iter().filter(|sample| acknowledging.contains(&row_of(sample))).map(without_acks);
    samples.iter().cloned().chain(derived).collect()
}

fn without_acks(sample: &Sample) -> Sample {
    let mut derived = sample.clone();
    derived.backend = row_of(sample) + WITHOUT_ACKS;
    derived.variant.clear();
    let mut answers = sample.traffic.iter().filter(|traffic| traffic.phase != Phase::Generate.name());
    if answers.all(|traffic| traffic.kind == ACK) {
        derived.work.retain(|work| work.phase != Phase::Responses.name());
    }
    derived.traffic.retain(|traffic| traffic.kind != ACK);
    derived
}

/// The backend of a derived row; none of another row.
#[must_use]
pub fn derived_from(row: &str) -> Option<&str> {
    row.strip_suffix(WITHOUT_ACKS)
}

fn row_of(sample: &Sample) -> String {
    join(&sample.backend, &sample.variant)
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Bytes of all messages, a broadcast counted once.
    BytesSent,
    /// The same, counted once for each receiver.
    BytesDelivered,
    /// Messages; a broadcast is one.
    Messages,
    /// CPU time in milliseconds.
    Cpu(Cost),
    /// An operation count of the whole group: `op.dh` and so on.
    Count(&'static str),
}

impl Metric {
    /// What compare.csv has of each cell.
    pub const COMPARED: [Self; 7] = [
        Self::BytesSent,
        Self::BytesDelivered,
        Self::Messages,
        Self::Cpu(Cost::SenderFull),
        Self::Cpu(Cost::Recipient),
        Self::Cpu(Cost::Joiner),
        Self::Cpu(Cost::Group),
    ];

    fn values(self, sample: &Sample) -> Vec<f64> {
        let exact = |value: u64| vec![value as f64];
        let traffic = sample.traffic.iter();
        match self {
            Self::BytesSent => exact(bytes_sent(sample)),
            Self::BytesDelivered => exact(traffic.map(|traffic| traffic.bytes_delivered).sum()),
            Self::Messages => exact(traffic.map(|traffic| traffic.messages).sum()),
            Self::Cpu(cost) => cost.cpu_ns(sample).iter().map(|ns| *ns as f64 / 1e6).collect(),
            Self::Count(name) => exact(sample.work.iter().filter_map(|work| work.counts.get(name)).sum()),
        }
    }

    fn role(self) -> &'static str {
        match self {
            Self::Cpu(Cost::SenderAsInPaper | Cost::SenderFull) => Role::Sender.name(),
            Self::Cpu(Cost::Recipient) => Role::Recipient.name(),
            Self::Cpu(Cost::Joiner) => Role::Joiner.name(),
            _ => GROUP,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::BytesSent => "bytes_sent",
            Self::BytesDelivered => "bytes_delivered",
            Self::Messages => "messages",
            Self::Cpu(_) => "cpu_ms",
            Self::Count(name) => name,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Cpu(_) => "ms",
            _ => measurement::unit(self.name()),
        }
    }
}

/// What became of the runs of one cell.
#[derive(Clone, Debug, PartialEq)]
pub enum State<'a> {
    /// All count.
    Measured,
    /// Nobody asked for it.
    NotMeasured,
    /// The backend has no such operation; the reason in words.
    Unsupported(&'a str),
    /// Some do not count; the first of them.
    Failed(&'a Sample),
}

impl State<'_> {
    /// The name in data; empty for what nobody asked for.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Measured => status_name(Status::Ok),
            Self::NotMeasured => "",
            Self::Unsupported(_) => status_name(Status::Unsupported),
            Self::Failed(sample) => status_name(sample.status),
        }
    }
}

/// The samples of several backends, ready to be compared.
#[derive(Debug)]
pub struct Comparison<'a> {
    samples: &'a [Sample],
    cells: Cells<'a>,
    rows: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Compares these backends, in this order, by samples from [`with_derived`].
    #[must_use]
    pub fn new(samples: &'a [Sample], backends: &[String]) -> Self {
        let present: BTreeSet<String> = samples.iter().map(row_of).collect();
        let rows = backends.iter().flat_map(|backend| [backend.clone(), format!("{backend}{WITHOUT_ACKS}")]);
        Self { samples, cells: Cells::new(samples), rows: rows.filter(|row| present.contains(row)).collect() }
    }

    /// The rows: each backend and, after it, what is derived from it.
    #[must_use]
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The operations, in the order of reports.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let asked: BTreeSet<&str> = self.samples.iter().map(|sample| sample.operation.as_str()).collect();
        Operation::ALL.into_iter().filter(|operation| asked.contains(&*operation.name())).collect()
    }

    /// The group sizes, ascending.
    #[must_use]
    pub fn sizes(&self) -> Vec<u32> {
        let sizes: BTreeSet<u32> = self.samples.iter().map(|sample| sample.group_size).collect();
        sizes.into_iter().collect()
    }

    /// Whether no run counts.
    #[must_use]
    pub fn nothing_counts(&self) -> bool {
        self.cells.iter().next().is_none()
    }

    /// What became of a cell's runs.
    #[must_use]
    pub fn state(&self, row: &str, operation: Operation, group_size: u32) -> State<'a> {
        let runs = self.samples.iter().filter(|sample| {
            sample.operation == operation.name() && sample.group_size == group_size && row_of(sample) == row
        });
        let mut state = State::NotMeasured;
        for sample in runs {
            match sample.status {
                Status::Ok => state = State::Measured,
                Status::Unsupported => return State::Unsupported(&sample.reason),
                Status::Refused | Status::Timeout | Status::Crash => return State::Failed(sample),
            }
        }
        state
    }

    /// The median of a cell's runs that count.
    #[must_use]
    pub fn median(&self, row: &str, operation: Operation, group_size: u32, metric: Metric) -> Option<f64> {
        let runs = self.cells.runs(row, &operation.name(), group_size);
        let mut values: Vec<f64> = runs.iter().flat_map(|sample| metric.values(sample)).collect();
        values.sort_by(f64::total_cmp);
        quantile(&values, 0.5)
    }

    fn summary(&self, row: &str, operation: Operation, group_size: u32, metric: Metric) -> Option<Summary> {
        self.cells.summary(row, &operation.name(), group_size, |sample| metric.values(sample))
    }

    /// The median of a cell, over that of the reference. None where either is missing or the reference's is zero.
    #[must_use]
    pub fn ratio(
        &self,
        (row, reference): (&str, &str),
        operation: Operation,
        group_size: u32,
        metric: Metric,
    ) -> Option<f64> {
        let median = |row| self.median(row, operation, group_size, metric);
        Some(median(row)? / median(reference).filter(|median| *median > 0.0)?)
    }

    /// Writes compare.csv: a line for each operation, group size, row and metric. Where there is no figure the line is
    /// there all the same, with empty fields and the status that says why; status `ok` then means that nobody has the role.
    ///
    /// # Errors
    /// As the writer fails.
    pub fn write_csv(&self, reference: &str, out: impl Write) -> csv::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS)?;
        for operation in self.operations() {
            for group_size in self.sizes() {
                for row in &self.rows {
                    for metric in Metric::COMPARED {
                        writer.write_record(self.record(reference, row, operation, group_size, metric))?;
                    }
                }
            }
        }
        writer.flush()?;
        Ok(())
    }

    fn record(
        &self,
        reference: &str,
        row: &str,
        operation: Operation,
        group_size: u32,
        metric: Metric,
    ) -> [String; COLUMNS.len()] {
        let summary = self.summary(row, operation, group_size, metric);
        let interval = summary.and_then(|summary| summary.interval);
        let field = |figure: Option<f64>| figure.map(number).unwrap_or_default();
        [
            operation.to_string(),
            group_size.to_string(),
            derived_from(row).unwrap_or(row).to_owned(),
            if derived_from(row).is_some() { "without-acks" } else { "whole" }.to_owned(),
            metric.role().to_owned(),
            metric.name().to_owned(),
            metric.unit().to_owned(),
            field(summary.map(|summary| summary.median)),
            field(interval.map(|interval| interval.0)),
            field(interval.map(|interval| interval.1)),
            field(self.ratio((row, reference), operation, group_size, metric)),
            self.state(row, operation, group_size).name().to_owned(),
        ]
    }
}

/// The columns of compare.csv.
const COLUMNS: [&str; 12] = [
    "operation",
    "group_size",
    "backend",
    "form",
    "role",
    "metric",
    "unit",
    "median",
    "ci_low",
    "ci_high",
    "ratio_to_reference",
    "status",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Traffic;
    use crate::synthetic::{self, work};

    const REMOVE: Operation = Operation::Remove;
    const SENDER: Metric = Metric::Cpu(Cost::SenderFull);

    fn named(backend: &str) -> Sample {
        Sample { backend: backend.to_owned(), ..synthetic::remove() }
    }

    /// Twice the bytes, half of the sender's time, and no acknowledgements.
    fn other() -> Sample {
        let mut sample = named("other");
        sample.traffic.retain(|traffic| traffic.kind != ACK);
        sample.traffic[0].bytes_sent = 1200;
        sample.work = vec![work("sender", "generate", &[], &[660])];
        sample
    }

    fn csv(samples: &[Sample], reference: &str) -> Vec<String> {
        let samples = with_derived(samples);
        let compared = Comparison::new(&samples, &["toy", "other"].map(str::to_owned));
        let mut text = Vec::new();
        compared.write_csv(reference, &mut text).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn ratios_are_to_the_reference() {
        let samples = with_derived(&[named("toy"), other()]);
        let compared = Comparison::new(&samples, &["toy", "other"].map(str::to_owned));
        assert_eq!(compared.rows(), ["toy", "toy without acks", "other"]);
        let ratio = |row, metric| compared.ratio((row, "toy"), REMOVE, 4, metric);
        assert_eq!(ratio("other", Metric::BytesSent), Some(2.0));
        assert_eq!(ratio("other", SENDER), Some(0.5));
        assert_eq!(ratio("toy", Metric::Cpu(Cost::Group)), Some(1.0));
        assert_eq!(ratio("other", Metric::Cpu(Cost::Recipient)), None);
        assert_eq!(compared.ratio(("toy", "missing"), REMOVE, 4, SENDER), None);
    }

    #[test]
    fn without_acks_neither_they_nor_their_handling_count() {
        let samples = with_derived(&[named("toy")]);
        let compared = Comparison::new(&samples, &["toy".to_owned()]);
        let of = |metric| compared.median("toy without acks", REMOVE, 4, metric);
        assert_eq!([of(Metric::BytesSent), of(Metric::BytesDelivered)], [Some(400.0), Some(1200.0)]);
        assert_eq!(of(Metric::Messages), Some(1.0));
        assert_eq!(of(SENDER), Some((1000 + 20) as f64 / 1e6));
        assert_eq!(of(Metric::Cpu(Cost::Group)), Some((1000 + 20 + 110 + 120 + 90) as f64 / 1e6));
        assert_eq!(of(Metric::Count("op.dh")), Some(13.0));
        assert_eq!(compared.median("toy", REMOVE, 4, Metric::Count("op.dh")), Some(15.0));
    }

    #[test]
    fn answers_that_are_more_than_acks_are_kept_with_their_handling() {
        let mut sample = named("toy");
        let welcome = Traffic { kind: "add-ack".to_owned(), bytes_sent: 50, ..sample.traffic[1].clone() };
        sample.traffic.push(welcome);
        let derived = with_derived(&[sample]).pop().unwrap();
        assert_eq!(bytes_sent(&derived), 450);
        assert_eq!(Cost::SenderFull.cpu_ns(&derived), [1320]);
    }

    #[test]
    fn every_line_of_the_csv_has_its_figures_or_says_why_not() {
        let lines = csv(&[named("toy"), other()], "toy");
        assert_eq!(lines.len(), 1 + 3 * Metric::COMPARED.len());
        assert_eq!(
            lines[0],
            "operation,group_size,backend,form,role,metric,unit,median,ci_low,ci_high,ratio_to_reference,status"
        );
        for line in [
            "remove,4,toy,whole,group,bytes_sent,B,600,,,1,ok",
            "remove,4,toy,without-acks,group,bytes_sent,B,400,,,0.666667,ok",
            "remove,4,other,whole,group,bytes_sent,B,1200,,,2,ok",
            "remove,4,other,whole,sender,cpu_ms,ms,0.00066,,,0.5,ok",
            "remove,4,other,whole,joiner,cpu_ms,ms,,,,,ok",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line} in {lines:#?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_empty_and_no_zero() {
        let mut unsupported = other();
        unsupported.status = Status::Unsupported;
        let lines = csv(&[named("toy"), unsupported], "other");
        assert!(lines.contains(&"remove,4,other,whole,group,bytes_sent,B,,,,,unsupported".to_owned()));
        // The reference has no figure, so nobody has a ratio.
        assert!(lines.contains(&"remove,4,toy,whole,group,bytes_sent,B,600,,,,ok".to_owned()));
    }

    #[test]
    fn one_run_that_does_not_count_shows_in_the_state() {
        let mut samples = vec![named("toy"), Sample { iteration: 1, status: Status::Timeout, ..named("toy") }];
        let state = |samples: &[Sample]| Comparison::new(samples, &["toy".to_owned()]).state("toy", REMOVE, 4).name();
        assert_eq!(state(&samples), "timeout");
        samples.pop();
        assert_eq!(state(&samples), "ok");
        assert_eq!(state(&[]), "");
    }
}
