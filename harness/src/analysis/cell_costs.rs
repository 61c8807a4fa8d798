//! What a cell costs: the samples that count, grouped by cell, and the figures that reports take from them.

use std::collections::BTreeMap;
use std::fmt;

use protocol::operation::{Operation, Phase, Role};

use super::speed::{Speed, Speeds};
use super::statistics::Summary;
use crate::record::metric::Metric;
use crate::record::name::join;
use crate::record::sample::{Sample, Status, Work};

/// Whose CPU time is reported, and which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// What the paper calls the sender's time: handling the others' answers, without making the operation (phase
    /// `responses`). For an application message it has no counterpart here.
    SenderAsInPaper,
    /// The sender's time, all phases.
    SenderFull,
    /// A recipient's time, all phases. The removed member counts as a recipient, the joiner does not.
    Recipient,
    /// The joiner's time, all phases.
    Joiner,
    /// The sum over everybody, the removed member included.
    Group,
}

impl Cost {
    /// CPU time in nanoseconds: one value for each member, or one for the whole group. Empty if nobody has the role.
    #[must_use]
    pub fn cpu_ns(self, sample: &Sample) -> Vec<u64> {
        match self {
            Self::SenderAsInPaper
                if [Operation::Message, Operation::MessageAfterRemove].contains(&sample.operation) =>
            {
                Vec::new()
            }
            Self::SenderAsInPaper => cpu_of_phase(sample, Role::Sender, Phase::Responses),
            Self::SenderFull => cpu_of_all(sample, Role::Sender),
            Self::Recipient => {
                let mut members = cpu_of_all(sample, Role::Recipient);
                members.extend(cpu_of_all(sample, Role::Removed));
                members
            }
            Self::Joiner => cpu_of_all(sample, Role::Joiner),
            Self::Group if sample.work.is_empty() => Vec::new(),
            Self::Group => vec![sample.work.iter().flat_map(|work| &work.cpu_ns).sum()],
        }
    }
}

/// CPU time of each member of a role in one phase, in nanoseconds. It is 0 for a member that did nothing in the phase.
fn cpu_of_phase(sample: &Sample, role: Role, phase: Phase) -> Vec<u64> {
    let found = sample.work.iter().find(|work| work.role == role && work.phase == phase);
    match found {
        Some(work) => work.cpu_ns.clone(),
        None => cpu_of_all(sample, role).iter().map(|_| 0).collect(),
    }
}

/// CPU time of each member of a role in nanoseconds, summed over all phases. Each phase lists the members in the same
/// order.
#[must_use]
pub fn cpu_of_all(sample: &Sample, role: Role) -> Vec<u64> {
    let mut members: Vec<u64> = Vec::new();
    for work in sample.work.iter().filter(|work| work.role == role) {
        if members.len() < work.cpu_ns.len() {
            members.resize(work.cpu_ns.len(), 0);
        }
        for (sum, cpu) in members.iter_mut().zip(&work.cpu_ns) {
            *sum += cpu;
        }
    }
    members
}

/// The bytes of all messages of a sample, a broadcast counted once.
#[must_use]
pub fn bytes_sent(sample: &Sample) -> u64 {
    sample.traffic.iter().map(|traffic| traffic.bytes_sent).sum()
}

/// The overhead ratio of a role, or of all members if `role` is `None`: CPU time over the time that the counted
/// primitives alone would take.
///
/// The result is `None` if there is no CPU time or no primitive count, if not all primitives are counted, or if the cost of
/// a primitive that was used is not known.
#[must_use]
pub fn over_floor(sample: &Sample, role: Option<Role>) -> Option<f64> {
    let works: Vec<&Work> = sample.work.iter().filter(|work| role.is_none_or(|role| work.role == role)).collect();
    let cpu: u64 = works.iter().flat_map(|work| &work.cpu_ns).sum();
    let is_missing = |work: &Work, metric: Metric| !metric.is_left_out_at_zero() && !work.counts.contains_key(&metric);
    if works.iter().any(|work| Metric::primitives().any(|metric| is_missing(work, metric))) {
        return None;
    }
    let mut floor = 0.0;
    let counts = works.iter().flat_map(|work| &work.counts);
    for (metric, count) in counts.filter(|(_, count)| **count > 0) {
        floor += *count as f64 * sample.primitive_ns.get(metric)?;
    }
    (cpu > 0 && floor > 0.0).then(|| cpu as f64 / floor)
}

/// A cell. All its iterations have the same key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    /// `name` or `name:variant`, as on the command line.
    pub backend: String,
    /// What is measured in the cell.
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.backend, self.operation, self.group_size)
    }
}

/// The samples of a cell that count, those at the machine's faster speed first.
#[derive(Clone, Debug, Default)]
pub struct Runs<'a> {
    samples: Vec<&'a Sample>,
    fast: usize,
}

impl<'a> Runs<'a> {
    /// All samples.
    #[must_use]
    pub fn all(&self) -> &[&'a Sample] {
        &self.samples
    }

    /// The samples at one speed.
    #[must_use]
    pub fn at(&self, speed: Speed) -> &[&'a Sample] {
        let (fast, slow) = self.samples.split_at(self.fast);
        if speed == Speed::Fast { fast } else { slow }
    }

    /// The samples whose times are reported: those at the faster speed, or all others if there are none.
    #[must_use]
    pub fn timed(&self) -> &[&'a Sample] {
        self.at(if self.fast > 0 { Speed::Fast } else { Speed::Slow })
    }

    /// The part of the samples that ran at the faster speed. If it is 0, times are those of the slower speed.
    #[must_use]
    pub fn fast_share(&self) -> f64 {
        self.fast as f64 / self.samples.len().max(1) as f64
    }
}

/// The samples of a run that count, by cell.
#[derive(Debug, Default)]
pub struct Cells<'a> {
    runs: BTreeMap<CellKey, Runs<'a>>,
    speeds: Speeds,
}

impl<'a> Cells<'a> {
    /// Groups the samples that count by cell, and leaves out the others.
    #[must_use]
    pub fn new(samples: &'a [Sample]) -> Self {
        let counting = || samples.iter().filter(|sample| sample.status == Status::Ok);
        let speeds = Speeds::of(counting());
        let mut runs: BTreeMap<CellKey, Runs<'_>> = BTreeMap::new();
        for speed in [Speed::Fast, Speed::Slow] {
            for sample in counting().filter(|sample| speeds.beside(sample) == speed) {
                let key = CellKey {
                    backend: join(&sample.backend, &sample.variant),
                    operation: sample.operation,
                    group_size: sample.group_size,
                };
                let runs = runs.entry(key).or_default();
                runs.samples.push(sample);
                runs.fast += usize::from(speed == Speed::Fast);
            }
        }
        Self { runs, speeds }
    }

    /// What tells the machine's speeds apart.
    #[must_use]
    pub fn speeds(&self) -> Speeds {
        self.speeds
    }

    /// The cells in the order of reports, with their samples.
    pub fn iter(&self) -> impl Iterator<Item = (&CellKey, &Runs<'a>)> {
        self.runs.iter()
    }

    /// The backends that have samples, each once, sorted by name.
    #[must_use]
    pub fn backends(&self) -> Vec<String> {
        let mut names: Vec<String> = self.runs.keys().map(|key| key.backend.clone()).collect();
        names.dedup();
        names
    }

    /// The samples of one cell that count. `None` if there are none.
    #[must_use]
    pub fn runs(&self, backend: &str, operation: Operation, group_size: u32) -> Option<&Runs<'a>> {
        self.runs.get(&CellKey { backend: backend.to_owned(), operation, group_size })
    }

    /// Statistics of a cell's CPU time in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self, backend: &str, operation: Operation, group_size: u32, cost: Cost) -> Option<Summary> {
        summary(self.runs(backend, operation, group_size)?.timed(), |sample| milliseconds(&cost.cpu_ns(sample)))
    }

    /// Statistics of the bytes of a cell's messages, a broadcast counted once.
    #[must_use]
    pub fn bytes(&self, backend: &str, operation: Operation, group_size: u32) -> Option<Summary> {
        summary(self.runs(backend, operation, group_size)?.all(), |sample| vec![bytes_sent(sample) as f64])
    }

    /// Statistics of a role's overhead ratio in a cell.
    #[must_use]
    pub fn over_floor(&self, backend: &str, operation: Operation, group_size: u32, role: Role) -> Option<Summary> {
        let ratio = |sample: &Sample| over_floor(sample, Some(role)).into_iter().collect();
        summary(self.runs(backend, operation, group_size)?.timed(), ratio)
    }

    /// The group sizes for which a backend has samples of an operation, ascending.
    #[must_use]
    pub fn sizes(&self, backend: &str, operation: Operation) -> Vec<u32> {
        self.runs
            .keys()
            .filter(|key| key.backend == backend && key.operation == operation)
            .map(|key| key.group_size)
            .collect()
    }
}

/// Statistics of samples; `of` gives the values of one sample. `None` if there is no value.
#[must_use]
pub fn summary(samples: &[&Sample], of: impl Fn(&Sample) -> Vec<f64>) -> Option<Summary> {
    Summary::of(&samples.iter().map(|sample| of(sample)).collect::<Vec<_>>())
}

fn milliseconds(nanoseconds: &[u64]) -> Vec<f64> {
    nanoseconds.iter().map(|ns| *ns as f64 / 1e6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn costs_of_a_removal() {
        let sample = synthetic::remove();
        assert_eq!(Cost::SenderAsInPaper.cpu_ns(&sample), [300]);
        assert_eq!(Cost::SenderFull.cpu_ns(&sample), [1000 + 20 + 300]);
        // Two recipients, then the removed member.
        assert_eq!(Cost::Recipient.cpu_ns(&sample), [110 + 250, 120 + 260, 90]);
        assert_eq!(Cost::Joiner.cpu_ns(&sample), [0; 0]);
        assert_eq!(Cost::Group.cpu_ns(&sample), [1320 + 360 + 380 + 90]);
    }

    #[test]
    fn the_papers_sender_of_a_message_has_no_counterpart() {
        let mut sample = synthetic::remove();
        sample.operation = Operation::Message;
        assert!(Cost::SenderAsInPaper.cpu_ns(&sample).is_empty());
        assert_eq!(Cost::SenderFull.cpu_ns(&sample), [1320]);
    }

    #[test]
    fn the_floor_is_counts_times_costs() {
        let mut sample = synthetic::remove();
        // The sender: 10 DH of 50 ns and 4 signatures of 25 ns add up to 600 ns; it took 1320 ns.
        assert_eq!(over_floor(&sample, Some(Role::Sender)), Some(1320.0 / 600.0));
        assert_eq!(over_floor(&sample, Some(Role::Joiner)), None);
        assert!(over_floor(&sample, None).is_some());
        sample.primitive_ns.remove(&Metric::Primitive("op.sign"));
        assert_eq!(over_floor(&sample, Some(Role::Sender)), None);
        let mut sample = synthetic::remove();
        sample.work[0].counts.remove(&Metric::Primitive("op.aead_bytes"));
        assert_eq!(over_floor(&sample, Some(Role::Sender)), None, "not all primitives are counted");
    }

    #[test]
    fn refused_samples_do_not_count() {
        let mut samples = vec![synthetic::remove(), synthetic::remove()];
        samples[1].status = Status::Refused;
        let cells = Cells::new(&samples);
        assert_eq!(cells.runs("toy", Operation::Remove, 4).unwrap().all().len(), 1);
        assert_eq!(cells.sizes("toy", Operation::Remove), [4]);
        assert_eq!(cells.backends(), ["toy"]);
    }

    /// A sample beside which a key agreement took 50 ns times `slowness`, as everything else did.
    fn slowed(slowness: u64, group_size: u32) -> Sample {
        let mut sample = Sample { group_size, ..synthetic::remove() };
        sample.primitive_ns.values_mut().for_each(|cost| *cost *= slowness as f64);
        let times = sample.work.iter_mut().flat_map(|work| &mut work.cpu_ns);
        times.for_each(|cpu| *cpu *= slowness);
        sample
    }

    #[test]
    fn times_are_those_of_the_faster_speed_and_bytes_those_of_all_samples() {
        let mut samples = vec![slowed(2, 4), slowed(1, 4), slowed(2, 4), slowed(1, 4), slowed(2, 4)];
        samples[0].traffic[0].bytes_sent += 50;
        samples[2].traffic[0].bytes_sent += 100;
        samples[4].traffic[0].bytes_sent += 100;
        let cells = Cells::new(&samples);
        let runs = cells.runs("toy", Operation::Remove, 4).unwrap();
        assert_eq!((runs.all().len(), runs.timed().len(), runs.fast_share()), (5, 2, 0.4));
        let cpu = cells.cpu_ms("toy", Operation::Remove, 4, Cost::SenderFull).unwrap();
        assert_eq!((cpu.samples, cpu.max), (2, 1320.0 / 1e6));
        let bytes = cells.bytes("toy", Operation::Remove, 4).unwrap();
        assert_eq!((bytes.samples, bytes.median), (5, 650.0));
        assert_eq!(cells.over_floor("toy", Operation::Remove, 4, Role::Sender).unwrap().samples, 2);
    }

    #[test]
    fn a_cell_without_a_sample_at_the_faster_speed_has_the_times_of_the_slower_one() {
        let samples = [slowed(1, 4), slowed(2, 8), slowed(2, 8)];
        let cells = Cells::new(&samples);
        let cpu = cells.cpu_ms("toy", Operation::Remove, 8, Cost::SenderFull).unwrap();
        assert_eq!((cpu.samples, cpu.min), (2, 2640.0 / 1e6));
        assert_eq!(cells.runs("toy", Operation::Remove, 8).unwrap().fast_share(), 0.0);
    }
}
