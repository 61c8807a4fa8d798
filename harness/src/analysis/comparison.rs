//! Several backends side by side.
//!
//! A row of a comparison is a backend, or a backend `without acks`. Protocols without acknowledgements promise less, so both
//! rows are of interest. The second is derived from the samples of the first ([`with_derived`]) and is not a variant.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use protocol::member::ACK;
use protocol::operation::{Operation, Phase, Role};

use super::cell_costs::{self, Cells, Cost, Runs};
use super::growth::{self, Claim, Fit};
use super::measurement::{Who, number};
use super::speed::{Speed, is_equal};
use super::statistics::{Summary, median};
use crate::record::about::About;
use crate::record::metric::Metric;
use crate::record::name::join;
use crate::record::sample::{Sample, Status};

/// What follows the backend's name in the name of a derived row.
const WITHOUT_ACKS: &str = " without acks";

/// The samples, followed by a derived copy of each sample of the backends that send acknowledgements.
///
/// A derived sample leaves out messages of kind `ack`. It also leaves out the CPU time and primitive counts of phase
/// `responses`, in which acknowledgements are handled, if all answers to the operation are acknowledgements. Making an
/// acknowledgement is part of phase `process` and stays in.
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
    let mut answers = sample.traffic.iter().filter(|traffic| traffic.phase != Phase::Generate);
    if answers.all(|traffic| traffic.kind == ACK) {
        derived.work.retain(|work| work.phase != Phase::Responses);
    }
    derived.traffic.retain(|traffic| traffic.kind != ACK);
    // How many there would be is not known.
    derived.rounds = None;
    derived
}

/// The name of the row that is derived from a backend.
#[must_use]
pub fn without_acks_of(backend: &str) -> String {
    format!("{backend}{WITHOUT_ACKS}")
}

/// The backend from which a row is derived. `None` if the row is a backend itself.
#[must_use]
pub fn derived_from(row: &str) -> Option<&str> {
    row.strip_suffix(WITHOUT_ACKS)
}

fn row_of(sample: &Sample) -> String {
    join(&sample.backend, &sample.variant)
}

/// What is compared between backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A metric of messages, or a primitive count, summed over the whole group.
    Total(Metric),
    /// CPU time in milliseconds.
    Cpu(Cost),
}

impl Quantity {
    /// The lines of compare.csv for each cell, in their order.
    pub const COMPARED: [Self; 8] = [
        Self::Total(Metric::BytesSent),
        Self::Total(Metric::BytesDelivered),
        Self::Total(Metric::Messages),
        Self::Total(Metric::Rounds),
        Self::Cpu(Cost::SenderFull),
        Self::Cpu(Cost::Recipient),
        Self::Cpu(Cost::Joiner),
        Self::Cpu(Cost::Group),
    ];

    fn median(self, samples: &[&Sample]) -> Option<f64> {
        median(&samples.iter().flat_map(|sample| self.values(sample)).collect::<Vec<_>>())
    }

    /// The median of samples over that of others.
    fn over(self, samples: &[&Sample], others: &[&Sample]) -> Option<f64> {
        Some(self.median(samples)? / self.median(others).filter(|median| *median > 0.0)?)
    }

    fn values(self, sample: &Sample) -> Vec<f64> {
        match self {
            // A backend whose primitives are not counted has none, which is not the same as zero.
            Self::Total(metric @ Metric::Primitive(_)) => {
                let counts = sample.work.iter().filter_map(|work| work.counts.get(&metric)).copied();
                counts.reduce(|sum, count| sum + count).map(|count| count as f64).into_iter().collect()
            }
            Self::Total(Metric::Rounds) => sample.rounds.map(f64::from).into_iter().collect(),
            Self::Total(metric) => {
                vec![sample.traffic.iter().map(|traffic| traffic.amount(metric)).sum::<u64>() as f64]
            }
            Self::Cpu(cost) => cost.cpu_ns(sample).iter().map(|ns| *ns as f64 / 1e6).collect(),
        }
    }

    fn who(self) -> Who {
        match self {
            Self::Cpu(Cost::SenderAsInPaper | Cost::SenderFull) => Who::Role(Role::Sender),
            Self::Cpu(Cost::Recipient) => Who::Role(Role::Recipient),
            Self::Cpu(Cost::Joiner) => Who::Role(Role::Joiner),
            Self::Cpu(Cost::Group) | Self::Total(_) => Who::Group,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Total(metric) => metric.name(),
            Self::Cpu(_) => "cpu_ms",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Total(metric) => metric.unit(),
            Self::Cpu(_) => "ms",
        }
    }
}

/// Whether the samples of one cell count.
#[derive(Clone, Debug, PartialEq)]
pub enum State<'a> {
    /// All samples count.
    Measured,
    /// The cell has no sample.
    NotMeasured,
    /// The backend does not have the operation. Contains the reason in words.
    Unsupported(&'a str),
    /// At least one sample does not count. Contains the first one.
    Failed(&'a Sample),
}

impl State<'_> {
    /// The value of column `status`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Measured => Status::Ok.name(),
            Self::NotMeasured => "not-measured",
            Self::Unsupported(_) => Status::Unsupported.name(),
            Self::Failed(sample) => sample.status.name(),
        }
    }
}

/// A claim of a backend, beside what was measured.
pub struct Checked {
    /// The backend.
    pub row: String,
    /// The claim, as the backend states it.
    pub claim: String,
    /// What was measured.
    pub measured: Fit,
    /// Whether it is the class that is claimed. `None` if it is unclear how the cost grows.
    pub holds: Option<bool>,
}

/// The samples of several backends, ready to be compared.
#[derive(Debug)]
pub struct Comparison<'a> {
    samples: &'a [Sample],
    cells: Cells<'a>,
    rows: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Compares these backends, in this order. The samples are those from [`with_derived`].
    #[must_use]
    pub fn new(samples: &'a [Sample], backends: &[String]) -> Self {
        let present: BTreeSet<String> = samples.iter().map(row_of).collect();
        let rows = backends.iter().flat_map(|backend| [backend.clone(), without_acks_of(backend)]);
        Self { samples, cells: Cells::new(samples), rows: rows.filter(|row| present.contains(row)).collect() }
    }

    /// The rows that have samples: each backend, followed by the row derived from it.
    #[must_use]
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// The rows that are backends, not derived.
    pub fn backends(&self) -> impl Iterator<Item = &String> {
        self.rows.iter().filter(|row| derived_from(row).is_none())
    }

    /// The operations that have samples, in the order of reports. Operations of several members are not compared.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        let mut present: BTreeSet<Operation> = self.samples.iter().map(|sample| sample.operation).collect();
        present.retain(|operation| !operation.is_concurrent());
        let (all, others): (Vec<_>, Vec<_>) = present.into_iter().partition(|it| Operation::COMPARED.contains(it));
        let mut operations = Operation::COMPARED.to_vec();
        operations.retain(|operation| all.contains(operation));
        operations.into_iter().chain(others).collect()
    }

    /// The group sizes that have samples, ascending.
    #[must_use]
    pub fn sizes(&self) -> Vec<u32> {
        let sizes: BTreeSet<u32> = self.samples.iter().map(|sample| sample.group_size).collect();
        sizes.into_iter().collect()
    }

    /// Whether no sample counts.
    #[must_use]
    pub fn nothing_counts(&self) -> bool {
        self.cells.iter().next().is_none()
    }

    /// Whether the samples of a cell count.
    #[must_use]
    pub fn state(&self, row: &str, operation: Operation, group_size: u32) -> State<'a> {
        let samples = self
            .samples
            .iter()
            .filter(|sample| sample.operation == operation && sample.group_size == group_size && row_of(sample) == row);
        let mut state = State::NotMeasured;
        for sample in samples {
            match sample.status {
                Status::Ok => state = State::Measured,
                Status::Unsupported => return State::Unsupported(&sample.reason),
                Status::Refused | Status::Timeout | Status::Crash => return State::Failed(sample),
            }
        }
        state
    }

    /// The median over the samples of a cell that count; of a time, over those at the machine's faster speed, or all others
    /// if there are none. `None` if there is no value.
    #[must_use]
    pub fn median(&self, row: &str, operation: Operation, group_size: u32, quantity: Quantity) -> Option<f64> {
        quantity.median(self.samples_of(row, operation, group_size, quantity))
    }

    fn samples_of(&self, row: &str, operation: Operation, group_size: u32, quantity: Quantity) -> &[&'a Sample] {
        match (self.cells.runs(row, operation, group_size), quantity) {
            (None, _) => &[],
            (Some(runs), Quantity::Total(_)) => runs.all(),
            (Some(runs), Quantity::Cpu(_)) => runs.timed(),
        }
    }

    /// A primitive count, summed over the members of a role in all phases. `None` if it was not made, or not always the same.
    #[must_use]
    pub fn of_role(&self, row: &str, operation: Operation, group_size: u32, role: Role, metric: Metric) -> Option<u64> {
        let of = |sample: &Sample| {
            let works = sample.work.iter().filter(|work| work.role == role);
            works.filter_map(|work| work.counts.get(&metric)).copied().reduce(|sum, count| sum + count)
        };
        let mut counts = self.cells.runs(row, operation, group_size)?.all().iter().map(|sample| of(sample));
        let first = counts.next()?;
        counts.all(|count| count == first).then_some(first)?
    }

    fn summary(&self, row: &str, operation: Operation, group_size: u32, quantity: Quantity) -> Option<Summary> {
        cell_costs::summary(self.samples_of(row, operation, group_size, quantity), |sample| quantity.values(sample))
    }

    /// How a cost grows with the group. `None` if there are too few group sizes.
    #[must_use]
    pub fn growth(&self, row: &str, operation: Operation, who: Who, cost: growth::Cost) -> Option<Fit> {
        let of_size = |size| {
            let runs = self.cells.runs(row, operation, size)?;
            // Times at several speeds grow as the machine slows down.
            let samples = if cost == growth::Cost::Cpu { runs.at(Speed::Fast) } else { runs.all() };
            let values: Vec<f64> = samples.iter().filter_map(|sample| cost.of(who, sample)).collect();
            Some((f64::from(size), median(&values)?))
        };
        growth::fit(&self.sizes().into_iter().filter_map(of_size).collect::<Vec<_>>())
    }

    /// The claims of these backends that can be checked: those of operations that were measured at enough sizes.
    #[must_use]
    pub fn claims(&self, backends: &BTreeMap<String, About>) -> Vec<Checked> {
        let mut checked = Vec::new();
        for row in self.backends() {
            for text in backends.get(row).into_iter().flat_map(|about| &about.growth) {
                let Ok(Claim { operation, who, cost, class }) = text.parse() else { continue };
                let Some(measured) = self.growth(row, operation, who, cost) else { continue };
                let holds = measured.is_clear().then_some(measured.class == class);
                let (row, claim) = (row.clone(), text.clone());
                checked.push(Checked { row, claim, measured, holds });
            }
        }
        checked
    }

    /// The median of a cell over that of the reference. Of a time, the medians are those at the machine's faster speed. If one of
    /// the cells has no such sample, it is the median ratio of all pairs of samples at one speed. `None` if there are none,
    /// if either is missing, or if the reference's is zero.
    #[must_use]
    pub fn ratio(
        &self,
        (row, reference): (&str, &str),
        operation: Operation,
        group_size: u32,
        quantity: Quantity,
    ) -> Option<f64> {
        let [runs, reference] = [row, reference].map(|row| self.cells.runs(row, operation, group_size));
        let (runs, reference) = runs.zip(reference)?;
        match quantity {
            Quantity::Total(_) => quantity.over(runs.all(), reference.all()),
            Quantity::Cpu(_) => quantity.over(runs.at(Speed::Fast), reference.at(Speed::Fast)).or_else(|| {
                let pairs = runs.all().iter().flat_map(|one| reference.all().iter().map(move |other| (*one, *other)));
                let at_one_speed = pairs.filter(|(one, other)| is_equal(one, other));
                median(&at_one_speed.filter_map(|(one, other)| quantity.over(&[one], &[other])).collect::<Vec<_>>())
            }),
        }
    }

    /// Writes compare.csv: a line for each operation, group size, row and metric. A line without a figure has empty fields,
    /// and its status says why; status `ok` then means that nobody has the role.
    ///
    /// # Errors
    /// `out` cannot be written to.
    pub fn write_csv(&self, reference: &str, out: impl Write) -> csv::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS)?;
        for operation in self.operations() {
            for group_size in self.sizes() {
                for row in &self.rows {
                    for quantity in Quantity::COMPARED {
                        writer.write_record(self.record(reference, row, operation, group_size, quantity))?;
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
        quantity: Quantity,
    ) -> [String; COLUMNS.len()] {
        let summary = self.summary(row, operation, group_size, quantity);
        let is_time = matches!(quantity, Quantity::Cpu(_)) && summary.is_some();
        let runs = self.cells.runs(row, operation, group_size).filter(|_| is_time);
        let interval = summary.and_then(|summary| summary.interval);
        let field = |figure: Option<f64>| figure.map(number).unwrap_or_default();
        [
            operation.to_string(),
            group_size.to_string(),
            derived_from(row).unwrap_or(row).to_owned(),
            if derived_from(row).is_some() { "without-acks" } else { "whole" }.to_owned(),
            quantity.who().name().to_owned(),
            quantity.name().to_owned(),
            quantity.unit().to_owned(),
            field(summary.map(|summary| summary.median)),
            field(interval.map(|interval| interval.0)),
            field(interval.map(|interval| interval.1)),
            field(runs.map(Runs::fast_share)),
            field(self.ratio((row, reference), operation, group_size, quantity)),
            self.state(row, operation, group_size).name().to_owned(),
        ]
    }
}

/// The columns of compare.csv, in their order.
pub const COLUMNS: [&str; 13] = [
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
    "fast_share",
    "ratio_to_reference",
    "status",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::cell_costs::bytes_sent;
    use crate::record::sample::Traffic;
    use crate::synthetic::{self, work};

    const REMOVE: Operation = Operation::Remove;
    const SENDER: Quantity = Quantity::Cpu(Cost::SenderFull);
    const BYTES: Quantity = Quantity::Total(Metric::BytesSent);

    fn named(backend: &str) -> Sample {
        Sample { backend: backend.to_owned(), ..synthetic::remove() }
    }

    /// A sample with twice the bytes, half the sender's time, and no acknowledgements.
    fn other() -> Sample {
        let mut sample = named("other");
        sample.traffic.retain(|traffic| traffic.kind != ACK);
        sample.traffic[0].bytes_sent = 1200;
        sample.work = vec![work(Role::Sender, Phase::Generate, &[], &[660])];
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
        let ratio = |row, quantity| compared.ratio((row, "toy"), REMOVE, 4, quantity);
        assert_eq!(ratio("other", BYTES), Some(2.0));
        assert_eq!(ratio("other", SENDER), Some(0.5));
        assert_eq!(ratio("toy", Quantity::Cpu(Cost::Group)), Some(1.0));
        assert_eq!(ratio("other", Quantity::Cpu(Cost::Recipient)), None);
        assert_eq!(compared.ratio(("toy", "missing"), REMOVE, 4, SENDER), None);
    }

    /// The sample, but everything took half as long again.
    fn slowed(mut sample: Sample) -> Sample {
        sample.primitive_ns.values_mut().for_each(|cost| *cost *= 1.5);
        sample.work.iter_mut().flat_map(|work| &mut work.cpu_ns).for_each(|cpu| *cpu += *cpu / 2);
        sample
    }

    #[test]
    fn ratios_of_times_are_of_samples_at_the_same_speed() {
        let ratio = |samples: &[Sample], quantity| {
            let compared = Comparison::new(samples, &["toy", "other"].map(str::to_owned));
            compared.ratio(("other", "toy"), REMOVE, 4, quantity)
        };
        let mut samples = vec![named("toy"), slowed(other())];
        assert_eq!(ratio(&samples, SENDER), None, "one was measured at the faster speed, the other one at the slower");
        assert_eq!(ratio(&samples, BYTES), Some(2.0));
        samples.push(slowed(named("toy")));
        assert_eq!(ratio(&samples, SENDER), Some(0.5), "both were measured at one slower speed");
        let mut slowest = slowed(named("toy"));
        slowest.primitive_ns.values_mut().for_each(|cost| *cost *= 1.5);
        assert_eq!(ratio(&[named("third"), slowest, slowed(other())], SENDER), None, "these are two slower speeds");
        let mut faster = other();
        faster.work[0].cpu_ns = vec![330];
        samples.push(faster);
        assert_eq!(ratio(&samples, SENDER), Some(0.25), "both were measured at the faster speed too");
    }

    #[test]
    fn without_acks_leaves_out_acks_and_their_handling() {
        let samples = with_derived(&[named("toy")]);
        let compared = Comparison::new(&samples, &["toy".to_owned()]);
        let of = |quantity| compared.median("toy without acks", REMOVE, 4, quantity);
        assert_eq!([of(BYTES), of(Quantity::Total(Metric::BytesDelivered))], [Some(400.0), Some(1200.0)]);
        assert_eq!(of(Quantity::Total(Metric::Messages)), Some(1.0));
        assert_eq!(of(SENDER), Some((1000 + 20) as f64 / 1e6));
        assert_eq!(of(Quantity::Cpu(Cost::Group)), Some((1000 + 20 + 110 + 120 + 90) as f64 / 1e6));
        assert_eq!(of(Quantity::Total(Metric::Primitive("op.dh"))), Some(13.0));
        assert_eq!(compared.median("toy", REMOVE, 4, Quantity::Total(Metric::Primitive("op.dh"))), Some(15.0));
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
    fn every_line_of_the_csv_has_figures_or_says_why_not() {
        let lines = csv(&[named("toy"), other()], "toy");
        assert_eq!(lines.len(), 1 + 3 * Quantity::COMPARED.len());
        assert_eq!(
            lines[0],
            "operation,group_size,backend,form,role,metric,unit,median,ci_low,ci_high,fast_share,ratio_to_reference,status"
        );
        for line in [
            "remove,4,toy,whole,group,bytes_sent,B,600,,,,1,ok",
            "remove,4,toy,without-acks,group,bytes_sent,B,400,,,,0.666667,ok",
            "remove,4,other,whole,group,bytes_sent,B,1200,,,,2,ok",
            "remove,4,other,whole,sender,cpu_ms,ms,0.00066,,,1,0.5,ok",
            "remove,4,other,whole,joiner,cpu_ms,ms,,,,,,ok",
        ] {
            assert!(lines.iter().any(|found| found == line), "no line {line} in {lines:#?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_empty_and_not_zero() {
        let mut unsupported = other();
        unsupported.status = Status::Unsupported;
        let lines = csv(&[named("toy"), unsupported], "other");
        assert!(lines.contains(&"remove,4,other,whole,group,bytes_sent,B,,,,,,unsupported".to_owned()));
        // The reference has no figure, so no row has a ratio.
        assert!(lines.contains(&"remove,4,toy,whole,group,bytes_sent,B,600,,,,,ok".to_owned()));
    }

    #[test]
    fn one_sample_that_does_not_count_shows_in_the_state() {
        let mut samples = vec![named("toy"), Sample { iteration: 1, status: Status::Timeout, ..named("toy") }];
        let state = |samples: &[Sample]| Comparison::new(samples, &["toy".to_owned()]).state("toy", REMOVE, 4).name();
        assert_eq!(state(&samples), "timeout");
        samples.pop();
        assert_eq!(state(&samples), "ok");
        assert_eq!(state(&[]), "not-measured");
    }
}
