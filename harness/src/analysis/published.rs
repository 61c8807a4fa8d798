//! Counts of public-key operations that others have published; results/published/README.md names the source.

use protocol::operation::{Operation, Role};

use super::paper::{Malformed, lines, parsed};
use crate::record::metric::Metric;

/// Published counts of one implementation, operation, role and group size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The name of the implementation, which is that of the backend.
    pub implementation: String,
    /// Add, remove or update.
    pub operation: Operation,
    /// Sender, recipient or joiner.
    pub role: Role,
    /// Members before the operation.
    pub group_size: u32,
    /// Sums over the members of the role, in the order of [`COUNTS`]; `None` where they were not published.
    pub counts: [Option<u64>; COUNTS.len()],
}

/// The counts that were published: name in the data, and metric.
pub const COUNTS: [(&str, Metric); 4] = [
    ("key_agreements", Metric::Primitive("op.dh")),
    ("key_generations", Metric::Primitive("op.keygen")),
    ("signatures", Metric::Primitive("op.sign")),
    ("verifications", Metric::Primitive("op.verify")),
];

/// Why the counts of this project are others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The name of the implementation.
    pub implementation: String,
    /// The name of the count.
    pub count: String,
    /// The reason in words.
    pub reason: String,
}

/// All published counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// A row for each implementation, operation, group size and role, in this order.
    pub counts: Vec<Counts>,
    /// The reasons that are known.
    pub reasons: Vec<Reason>,
}

impl Published {
    /// Parses the counts that this program contains.
    ///
    /// # Errors
    /// [`Malformed`]; never in a build that passes its tests.
    pub fn load() -> Result<Self, Malformed> {
        let found = include_str!("../../../results/published/keyhive-eval-5af19da.csv");
        let reasons = reasons(include_str!("../../../results/published/reasons.csv"))?;
        Ok(Self { counts: lines("counts", found, counts)?, reasons })
    }

    /// Why a count of an implementation differs. `None` if it is not known.
    #[must_use]
    pub fn reason(&self, implementation: &str, count: &str) -> Option<&str> {
        let mut reasons = self.reasons.iter();
        reasons.find(|it| it.implementation == implementation && it.count == count).map(|it| it.reason.as_str())
    }
}

fn counts(fields: &[&str]) -> Option<Counts> {
    let [implementation, operation, role, group_size, counts @ ..] = fields else { return None };
    let counts: &[&str; COUNTS.len()] = counts.try_into().ok()?;
    let is_count = |field: &&str| field.is_empty() || parsed::<u64>(field).is_some();
    counts.iter().all(is_count).then_some(Counts {
        implementation: (*implementation).to_owned(),
        operation: parsed(operation)?,
        role: parsed(role)?,
        group_size: parsed(group_size)?,
        counts: counts.map(parsed),
    })
}

/// The reasons in a file, in which they may be quoted.
fn reasons(text: &str) -> Result<Vec<Reason>, Malformed> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let parsed = reader.records().enumerate().map(|(index, record)| {
        let malformed = Malformed { file: "counts' reasons", line: index + 2 };
        let record = record.map_err(|_| malformed)?;
        reason(&record.iter().collect::<Vec<_>>()).ok_or(malformed)
    });
    parsed.collect()
}

fn reason(fields: &[&str]) -> Option<Reason> {
    let [implementation, count, reason] = fields else { return None };
    let is_known = COUNTS.iter().any(|(name, _)| name == count) && !reason.is_empty();
    let [implementation, count, reason] = [implementation, count, reason].map(|field| (*field).to_owned());
    is_known.then_some(Reason { implementation, count, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_grid_is_there() {
        let published = Published::load().unwrap();
        for implementation in ["beekem", "openmls"] {
            for operation in [Operation::Add, Operation::Remove, Operation::Update] {
                for size in [8, 32, 128] {
                    let roles: Vec<Role> = published
                        .counts
                        .iter()
                        .filter(|row| row.implementation == implementation)
                        .filter(|row| (row.operation, row.group_size) == (operation, size))
                        .map(|row| row.role)
                        .collect();
                    let all = [Role::Sender, Role::Recipient, Role::Joiner];
                    assert_eq!(roles, all[..if operation == Operation::Add { 3 } else { 2 }]);
                }
            }
        }
        assert_eq!(published.counts.len(), 42);
    }

    #[test]
    fn counts_are_the_published_ones_and_reasons_are_whole() {
        let published = Published::load().unwrap();
        let of = |implementation: &str, operation, role, size| {
            let mut rows = published.counts.iter().filter(|row| row.implementation == implementation);
            rows.find(|row| (row.operation, row.role, row.group_size) == (operation, role, size)).unwrap().counts
        };
        assert_eq!(of("beekem", Operation::Remove, Role::Sender, 128), [Some(12), Some(1), Some(2), Some(0)]);
        assert_eq!(of("openmls", Operation::Add, Role::Recipient, 32), [Some(31), Some(88), None, Some(124)]);
        let reason = published.reason("beekem", "verifications").unwrap();
        assert!(reason.starts_with("an author") && reason.ends_with("updated"), "{reason}");
        assert_eq!(published.reason("openmls", "signatures"), None);
        assert!(!published.reasons.iter().any(|it| it.reason.contains('"')));
    }

    #[test]
    fn malformed_lines_are_refused() {
        assert_eq!(counts(&["beekem", "add", "sender", "8", "1", "x", "", "1"]), None);
        assert_eq!(counts(&["beekem", "add", "sender", "8", "1", "1", "1"]), None);
        assert_eq!(reason(&["beekem", "magic", "why"]), None);
        assert_eq!(reason(&["beekem", "signatures"]), None);
    }
}
