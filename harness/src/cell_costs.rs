//! What the runs of one cell cost, read out of samples the way reports need it.

use std::collections::BTreeMap;

use protocol::operation::{Operation, Phase, Role};

use crate::registry::join;
use crate::sample::{Sample, Status, Work};
use crate::statistics::Summary;

/// The metric of each exact count that a floor is made of.
const OPERATIONS: &str = "op.";

/// Where an operation's name stands in reports; unknown names come last.
#[must_use]
pub fn operation_rank(name: &str) -> impl Ord + use<> {
    name.parse::<Operation>().map_err(drop)
}

/// A backend's CPU time in one of the senses in which it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// What the paper calls the sender: handling the others' answers, without making the operation. The paper's message
    /// sender has no counterpart.
    SenderAsInPaper,
    /// All that the sender does.
    SenderFull,
    /// All that a recipient does; the removed member is one, the added one is not.
    Recipient,
    /// All that the added member does.
    Joiner,
    /// All that everybody does, the removed member included: one value.
    Group,
}

impl Cost {
    /// CPU time in nanoseconds, one value for each member; of the group, one.
    #[must_use]
    pub fn cpu_ns(self, sample: &Sample) -> Vec<u64> {
        match self {
            Self::SenderAsInPaper if sample.operation == Operation::Message.name() => Vec::new(),
            Self::SenderAsInPaper => cpu_of_phase(sample, Role::Sender, Phase::Responses),
            Self::SenderFull => cpu_of_all(sample, Role::Sender.name()),
            Self::Recipient => {
                let mut members = cpu_of_all(sample, Role::Recipient.name());
                members.extend(cpu_of_all(sample, Role::Removed.name()));
                members
            }
            Self::Joiner => cpu_of_all(sample, Role::Joiner.name()),
            Self::Group if sample.work.is_empty() => Vec::new(),
            Self::Group => vec![sample.work.iter().flat_map(|work| &work.cpu_ns).sum()],
        }
    }
}

/// CPU time of each member of a role in one phase. A member that did nothing in a phase that counts took no time.
fn cpu_of_phase(sample: &Sample, role: Role, phase: Phase) -> Vec<u64> {
    let found = sample.work.iter().find(|work| work.role == role.name() && work.phase == phase.name());
    match found {
        Some(work) => work.cpu_ns.clone(),
        None => cpu_of_all(sample, role.name()).iter().map(|_| 0).collect(),
    }
}

/// CPU time of each member of a role, all phases together. The members stand in the same order in each.
#[must_use]
pub fn cpu_of_all(sample: &Sample, role: &str) -> Vec<u64> {
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

/// All bytes of the operation, a broadcast counted once.
#[must_use]
pub fn bytes_sent(sample: &Sample) -> u64 {
    sample.traffic.iter().map(|traffic| traffic.bytes_sent).sum()
}

/// CPU time of a role over the time that its counted primitives alone would take. None of a role without CPU time or
/// counts, or where the cost of a primitive that was used is not known. No role means all members.
#[must_use]
pub fn over_floor(sample: &Sample, role: Option<&str>) -> Option<f64> {
    let works: Vec<&Work> = sample.work.iter().filter(|work| role.is_none_or(|role| work.role == role)).collect();
    let cpu: u64 = works.iter().flat_map(|work| &work.cpu_ns).sum();
    let mut floor = 0.0;
    let counts = works.iter().flat_map(|work| &work.counts);
    for (metric, count) in counts.filter(|(metric, count)| metric.starts_with(OPERATIONS) && **count > 0) {
        floor += *count as f64 * sample.primitive_ns.get(metric)?;
    }
    (cpu > 0 && floor > 0.0).then(|| cpu as f64 / floor)
}

/// A cell: what is measured, without the iteration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey {
    /// Backend and variant, as on the command line.
    pub backend: String,
    /// The operation.
    pub operation: String,
    /// The group size.
    pub group_size: u32,
}

/// The runs of a results set that count, by cell.
#[derive(Debug, Default)]
pub struct Cells<'a> {
    runs: BTreeMap<CellKey, Vec<&'a Sample>>,
}

impl<'a> Cells<'a> {
    /// Sorts the samples that count into cells.
    #[must_use]
    pub fn new(samples: &'a [Sample]) -> Self {
        let mut runs: BTreeMap<CellKey, Vec<&Sample>> = BTreeMap::new();
        for sample in samples.iter().filter(|sample| sample.status == Status::Ok) {
            let key = CellKey {
                backend: join(&sample.backend, &sample.variant),
                operation: sample.operation.clone(),
                group_size: sample.group_size,
            };
            runs.entry(key).or_default().push(sample);
        }
        Self { runs }
    }

    /// The cells in order, with their runs.
    pub fn iter(&self) -> impl Iterator<Item = (&CellKey, &[&'a Sample])> {
        self.runs.iter().map(|(key, runs)| (key, runs.as_slice()))
    }

    /// The cells in the order of reports, with their runs.
    #[must_use]
    pub fn in_order_of_reports(&self) -> Vec<(&CellKey, &[&'a Sample])> {
        let mut cells: Vec<_> = self.iter().collect();
        cells.sort_by_key(|(key, _)| (&key.backend, operation_rank(&key.operation), key.group_size));
        cells
    }

    /// The backends, each once.
    #[must_use]
    pub fn backends(&self) -> Vec<String> {
        let mut names: Vec<String> = self.runs.keys().map(|key| key.backend.clone()).collect();
        names.dedup();
        names
    }

    /// The runs of one cell; none where it was not measured.
    #[must_use]
    pub fn runs(&self, backend: &str, operation: &str, group_size: u32) -> &[&'a Sample] {
        let key = CellKey { backend: backend.to_owned(), operation: operation.to_owned(), group_size };
        self.runs.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What a cell's runs come to; `of` gives the values of one.
    #[must_use]
    pub fn summary(
        &self,
        backend: &str,
        operation: &str,
        group_size: u32,
        of: impl Fn(&Sample) -> Vec<f64>,
    ) -> Option<Summary> {
        let runs = self.runs(backend, operation, group_size);
        Summary::of(&runs.iter().map(|sample| of(sample)).collect::<Vec<_>>())
    }

    /// A cell's CPU time in milliseconds.
    #[must_use]
    pub fn cpu_ms(&self, backend: &str, operation: &str, group_size: u32, cost: Cost) -> Option<Summary> {
        self.summary(backend, operation, group_size, |sample| milliseconds(&cost.cpu_ns(sample)))
    }

    /// A cell's bytes, a broadcast counted once.
    #[must_use]
    pub fn bytes(&self, backend: &str, operation: &str, group_size: u32) -> Option<Summary> {
        self.summary(backend, operation, group_size, |sample| vec![bytes_sent(sample) as f64])
    }

    /// A cell's CPU time over its floor.
    #[must_use]
    pub fn over_floor(&self, backend: &str, operation: &str, group_size: u32, role: Role) -> Option<Summary> {
        self.summary(backend, operation, group_size, |sample| {
            over_floor(sample, Some(role.name())).into_iter().collect()
        })
    }

    /// The group sizes that a backend has for an operation, ascending.
    #[must_use]
    pub fn sizes(&self, backend: &str, operation: &str) -> Vec<u32> {
        self.runs
            .keys()
            .filter(|key| key.backend == backend && key.operation == operation)
            .map(|key| key.group_size)
            .collect()
    }
}

fn milliseconds(nanoseconds: &[u64]) -> Vec<f64> {
    nanoseconds.iter().map(|ns| *ns as f64 / 1e6).collect()
}

#[cfg(test)]
#[cfg(feature = "cli")]
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
    fn the_sender_of_a_message_has_no_counterpart_in_the_paper() {
        let mut sample = synthetic::remove();
        sample.operation = "message".to_owned();
        assert!(Cost::SenderAsInPaper.cpu_ns(&sample).is_empty());
        assert_eq!(Cost::SenderFull.cpu_ns(&sample), [1320]);
    }

    #[test]
    fn floor_is_counts_times_cost() {
        let mut sample = synthetic::remove();
        // The sender: 10 DH of 50 ns and 4 signatures of 25 ns are 600 ns; it took 1320.
        assert_eq!(over_floor(&sample, Some("sender")), Some(1320.0 / 600.0));
        assert_eq!(over_floor(&sample, Some("joiner")), None);
        assert!(over_floor(&sample, None).is_some());
        sample.primitive_ns.remove("op.sign");
        assert_eq!(over_floor(&sample, Some("sender")), None);
    }

    #[test]
    fn refused_runs_do_not_count() {
        let mut samples = vec![synthetic::remove(), synthetic::remove()];
        samples[1].status = Status::Refused;
        let cells = Cells::new(&samples);
        assert_eq!(cells.runs("toy", "remove", 4).len(), 1);
        assert_eq!(cells.sizes("toy", "remove"), [4]);
        assert_eq!(cells.backends(), ["toy"]);
    }
}
