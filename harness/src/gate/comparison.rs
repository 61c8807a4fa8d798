//! Which costs have grown or shrunk, and the likely cause.

use std::collections::BTreeSet;
use std::fmt;

use protocol::operation::Role;

use serde::Serialize;

use super::baseline::RecordedInstructions;
use super::config::Config;
use super::figures::{Cells, Cost, Figures, Key, Of};
use crate::analysis::measurement::{ALL, number};
use crate::record::by_name;
use crate::record::metric::Metric;

/// The most causes that are named for one change.
const MAX_CAUSES: usize = 3;

/// A cost that has changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Backend, operation and group size.
    pub cell: String,
    /// What has changed. In data: `cell`, `metric/kind` or `metric/role`.
    #[serde(serialize_with = "by_name::serialize")]
    pub metric: Subject,
    /// The cost before. `None` if a whole cell has changed.
    pub before: Option<f64>,
    /// The cost now. `None` if a whole cell has changed.
    pub after: Option<f64>,
    /// What the change means for the gate.
    pub verdict: Verdict,
    /// The likely cause, in words: what else has changed in the cell.
    pub cause: String,
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The whole cell: it is new, or its operation is lost or new.
    Cell,
    /// One cost of the cell.
    Cost {
        /// An exact metric, instructions or CPU time.
        metric: Metric,
        /// A kind of message, or the name of a role.
        of: String,
    },
}

impl Subject {
    /// The metric. `None` for a whole cell.
    #[must_use]
    pub fn metric(&self) -> Option<Metric> {
        match self {
            Self::Cell => None,
            Self::Cost { metric, .. } => Some(*metric),
        }
    }
}

impl From<Cost<'_>> for Subject {
    fn from(cost: Cost<'_>) -> Self {
        Self::Cost { metric: cost.metric, of: cost.of.to_owned() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell => f.write_str("cell"),
            Self::Cost { metric, of } => Cost { metric: *metric, of }.fmt(f),
        }
    }
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The cost has grown by more than is tolerated.
    Regression,
    /// The cost has grown by more than is tolerated, but it was measured in a way that may be wrong. This is only reported.
    Advisory,
    /// The baseline has nothing to compare with.
    New,
    /// The cost has shrunk. A new baseline is needed, so that it stays so.
    Improvement,
    /// The cost has grown by no more than is tolerated.
    Tolerated,
}

impl Change {
    /// The relative change: 0.01 is one percent more. `None` if a cost is missing or the cost before is zero.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        (before > 0.0).then(|| after / before - 1.0)
    }
}

/// Compares the exact figures of all measured cells with the recorded ones.
#[must_use]
pub fn exact(config: &Config, before: &Cells, after: &Cells) -> Vec<Change> {
    let mut changes = Vec::new();
    for (cell, now) in after {
        let change = |verdict, cause: &str| Change {
            cell: cell.clone(),
            metric: Subject::Cell,
            before: None,
            after: None,
            verdict,
            cause: cause.to_owned(),
        };
        match (before.get(cell), now) {
            (None, _) => changes.push(change(Verdict::New, "the baseline does not have this cell")),
            (Some(None), None) => (),
            (Some(None), Some(_)) => changes.push(change(Verdict::New, "the backend now has this operation")),
            (Some(Some(_)), None) => {
                changes.push(change(Verdict::Regression, "the backend no longer has this operation"));
            }
            (Some(Some(then)), Some(now)) => changes.extend(of_cell(config, cell, then, now)),
        }
    }
    changes
}

fn of_cell(config: &Config, cell: &str, then: &Figures, now: &Figures) -> Vec<Change> {
    let costs: BTreeSet<Cost<'_>> = then.keys().chain(now.keys()).map(Key::cost).collect();
    let change = |cost: Cost<'_>| {
        let sum = |figures: &Figures| -> u64 {
            figures.iter().filter(|(key, _)| key.cost() == cost).map(|(_, amount)| amount).sum()
        };
        let (before, after) = (sum(then) as f64, sum(now) as f64);
        let verdict = judge(before, after, config.threshold(cost.metric))?;
        Some(Change {
            cell: cell.to_owned(),
            metric: cost.into(),
            before: Some(before),
            after: Some(after),
            verdict,
            cause: exact_cause(cost, then, now),
        })
    };
    costs.into_iter().filter_map(change).collect()
}

/// What a change means. `None` if there is none, or if the cost has shrunk by less than the threshold.
fn judge(before: f64, after: f64, threshold: f64) -> Option<Verdict> {
    if after > before * (1.0 + threshold) {
        Some(Verdict::Regression)
    } else if after > before {
        Some(Verdict::Tolerated)
    } else {
        (after < before * (1.0 - threshold)).then_some(Verdict::Improvement)
    }
}

/// For traffic: whether there are more messages, or longer ones. For other metrics: the phase.
fn exact_cause(cost: Cost<'_>, then: &Figures, now: &Figures) -> String {
    let Cost { metric, of } = cost;
    let figure = |figures: &Figures, key: &Key| figures.get(key).copied().unwrap_or(0);
    if !Metric::TRAFFIC.contains(&metric) {
        let keys: BTreeSet<&Key> = then.keys().chain(now.keys()).filter(|key| key.cost() == cost).collect();
        let moved = keys.into_iter().filter_map(|key| {
            let Of::Members(_, phase) = key.of else { return None };
            let difference = signed(figure(then, key), figure(now, key));
            (difference != 0).then(|| format!("{difference:+} in phase {phase}"))
        });
        return moved.collect::<Vec<_>>().join(", ");
    }
    let key = |metric| Key { metric, of: Of::Kind(of.to_owned()) };
    let (messages_then, messages_now) = (figure(then, &key(Metric::Messages)), figure(now, &key(Metric::Messages)));
    match signed(messages_then, messages_now) {
        0 if metric == Metric::BytesSent => {
            let key = key(metric);
            let each = signed(figure(then, &key), figure(now, &key)) as f64 / messages_now.max(1) as f64;
            let each = number((each * 100.0).round() / 100.0);
            let sign = if each.starts_with('-') { "" } else { "+" };
            match messages_now {
                1 => format!("{sign}{each} B in the one message of kind `{of}`"),
                _ => format!("{sign}{each} B in each of {messages_now} messages of kind `{of}`"),
            }
        }
        0 => format!("the length or the receivers of messages of kind `{of}`"),
        more => format!("{more:+} messages of kind `{of}`"),
    }
}

/// Compares instruction counts. Both must have been made under the same conditions.
#[must_use]
pub fn instructions(
    config: &Config,
    (before, cells_before): (&RecordedInstructions, &Cells),
    (after, cells_after): (&RecordedInstructions, &Cells),
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (cell, now) in &after.cells {
        let Some(then) = before.cells.get(cell) else {
            changes.push(Change {
                cell: cell.clone(),
                metric: Cost { metric: Metric::Instructions, of: ALL }.into(),
                before: None,
                after: None,
                verdict: Verdict::New,
                cause: "the baseline does not have them".to_owned(),
            });
            continue;
        };
        let roles = [(Role::Sender, then.sender, now.sender), (Role::Recipient, then.recipient, now.recipient)];
        for (role, before, after) in roles {
            let (before, after) = (before as f64, after as f64);
            if let Some(verdict) = judge(before, after, config.threshold(Metric::Instructions)) {
                changes.push(Change {
                    cell: cell.clone(),
                    metric: Cost { metric: Metric::Instructions, of: role.name() }.into(),
                    before: Some(before),
                    after: Some(after),
                    verdict,
                    cause: cause(role, flat(cells_before, cell), flat(cells_after, cell)),
                });
            }
        }
    }
    changes
}

fn flat<'a>(cells: &'a Cells, cell: &str) -> Option<&'a Figures> {
    cells.get(cell)?.as_ref()
}

/// Which primitive counts of a role and which kinds of message have changed: those with the largest relative changes.
#[must_use]
pub fn cause(role: Role, then: Option<&Figures>, now: Option<&Figures>) -> String {
    let (Some(then), Some(now)) = (then, now) else { return "unknown: there are no exact figures".to_owned() };
    let keys: BTreeSet<&Key> = then.keys().chain(now.keys()).collect();
    let mut moved: Vec<(f64, String)> = keys
        .into_iter()
        .filter(|key| match (key.metric, &key.of) {
            (Metric::Primitive(_), Of::Members(of, _)) => *of == role,
            (metric, _) => metric == Metric::BytesSent,
        })
        .filter_map(|key| {
            let [before, after] = [then, now].map(|figures| figures.get(key).copied().unwrap_or(0));
            let difference = signed(before, after);
            let weight = difference.unsigned_abs() as f64 / before.max(1) as f64;
            (difference != 0).then(|| (weight, format!("{key} {difference:+}")))
        })
        .collect();
    if moved.is_empty() {
        return "no primitive count and no message has changed: the code around them has".to_owned();
    }
    moved.sort_by(|one, other| other.0.total_cmp(&one.0));
    moved.into_iter().take(MAX_CAUSES).map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

fn signed(before: u64, after: u64) -> i64 {
    let difference = i128::from(after) - i128::from(before);
    i64::try_from(difference).unwrap_or(if difference > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::gate::instructions::{Conditions, Cpu, Instructions};
    use crate::registry::Registry;

    const CONFIG: &str = "seed = 1\ngroup_size = 128\noperations = [\"update\"]\nbackends = [\"dcgka\"]\n\
                          [instructions]\nbackends = [\"dcgka\"]\n[time]\nbackends = []\ngroups = 1\nruns = 2\n";

    fn config() -> Config {
        Config::parse(CONFIG, Path::new("gate.toml"), &Registry::built_in()).unwrap()
    }

    fn cells_of(figures: &[(&str, u64)]) -> Cells {
        let figures = figures.iter().map(|(name, value)| (name.parse().unwrap(), *value)).collect();
        Cells::from([("toy/update/128".to_owned(), Some(figures))])
    }

    const FIGURES: [(&str, u64); 4] = [
        ("messages/ack", 127),
        ("bytes_sent/ack", 127 * 84),
        ("op.dh/recipient/process", 127),
        ("op.kdf/recipient/responses", 1000),
    ];

    /// The verdict, metric and cause of each change where one figure differs.
    fn changes(name: &str, value: u64) -> Vec<(Verdict, String, String)> {
        let mut now = FIGURES.to_vec();
        now.iter_mut().filter(|(other, _)| *other == name).for_each(|figure| figure.1 = value);
        let changes = exact(&config(), &cells_of(&FIGURES), &cells_of(&now));
        changes.into_iter().map(|change| (change.verdict, change.metric.to_string(), change.cause)).collect()
    }

    fn one(verdict: Verdict, metric: &str, cause: &str) -> Vec<(Verdict, String, String)> {
        vec![(verdict, metric.to_owned(), cause.to_owned())]
    }

    #[test]
    fn any_increase_of_an_exact_metric_is_a_regression_and_any_decrease_is_reported() {
        assert_eq!(changes("messages/ack", 127), []);
        let bytes = changes("bytes_sent/ack", 127 * 85);
        assert_eq!(bytes, one(Verdict::Regression, "bytes_sent/ack", "+1 B in each of 127 messages of kind `ack`"));
        let bytes = changes("bytes_sent/ack", 127 * 84 - 127);
        assert_eq!(bytes, one(Verdict::Improvement, "bytes_sent/ack", "-1 B in each of 127 messages of kind `ack`"));
        let dh = changes("op.dh/recipient/process", 254);
        assert_eq!(dh, one(Verdict::Regression, "op.dh/recipient", "+127 in phase process"));
        let messages = changes("messages/ack", 128);
        assert_eq!(messages, one(Verdict::Regression, "messages/ack", "+1 messages of kind `ack`"));
    }

    #[test]
    fn work_that_only_moves_to_another_phase_costs_the_member_the_same() {
        let now = [("op.dh/recipient/process", 100), ("op.dh/recipient/responses", 27)];
        let then = [("op.dh/recipient/process", 127)];
        assert_eq!(exact(&config(), &cells_of(&then), &cells_of(&now)), []);
    }

    #[test]
    fn a_threshold_tolerates_its_increase_and_no_more() {
        let mut config = config();
        config.tolerate("op.kdf", 0.01).unwrap();
        let verdicts = |value| {
            let now = [("op.kdf/recipient/responses", value)];
            let then = [("op.kdf/recipient/responses", 1000)];
            exact(&config, &cells_of(&then), &cells_of(&now))
                .into_iter()
                .map(|change| change.verdict)
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(1000), []);
        assert_eq!(verdicts(1010), [Verdict::Tolerated]);
        assert_eq!(verdicts(1011), [Verdict::Regression]);
    }

    #[test]
    fn an_operation_that_is_lost_is_a_regression_and_one_that_is_new_needs_a_baseline() {
        let there = cells_of(&FIGURES);
        fn verdicts(before: &Cells, after: &Cells) -> Vec<Verdict> {
            exact(&config(), before, after).into_iter().map(|change| change.verdict).collect()
        }
        let lost: Cells = there.keys().map(|cell| (cell.clone(), None)).collect();
        assert_eq!(verdicts(&there, &lost), [Verdict::Regression]);
        assert_eq!(verdicts(&lost, &there), [Verdict::New]);
        assert_eq!(verdicts(&Cells::new(), &there), [Verdict::New]);
        assert_eq!(verdicts(&lost, &lost), []);
    }

    #[test]
    fn instructions_may_grow_by_one_percent_and_the_cause_is_what_was_counted() {
        let counted = |sender, recipient| RecordedInstructions {
            conditions: Conditions {
                rustc: String::new(),
                target: String::new(),
                profile: String::new(),
                rustflags: String::new(),
                libc: String::new(),
                valgrind: String::new(),
                cpu: Cpu { curve_backend: String::new(), features: Vec::new() },
            },
            cells: [("toy/update/128".to_owned(), Instructions { sender, recipient })].into(),
        };
        let found = |sender, recipient, now: &[(&str, u64)]| {
            let (then, now) = (cells_of(&FIGURES), cells_of(now));
            let (before, after) = (counted(1000, 1000), counted(sender, recipient));
            let changes = instructions(&config(), (&before, &then), (&after, &now));
            changes
                .into_iter()
                .map(|change| (change.verdict, change.metric.to_string(), change.cause))
                .collect::<Vec<_>>()
        };
        assert_eq!(found(1000, 991, &FIGURES), []);
        let (none, now) = (RecordedInstructions { cells: BTreeMap::new(), ..counted(1, 1) }, counted(1, 1));
        let cells = cells_of(&FIGURES);
        let new = instructions(&config(), (&none, &cells), (&now, &cells));
        assert_eq!(
            (new.len(), new[0].verdict, new[0].metric.to_string().as_str()),
            (1, Verdict::New, "instructions/all")
        );
        let cause = "no primitive count and no message has changed: the code around them has";
        assert_eq!(found(1010, 991, &FIGURES), one(Verdict::Tolerated, "instructions/sender", cause));
        assert_eq!(found(1000, 1011, &FIGURES), one(Verdict::Regression, "instructions/recipient", cause));
        assert_eq!(found(900, 1000, &FIGURES), one(Verdict::Improvement, "instructions/sender", cause));
        let mut now = FIGURES;
        now[2].1 += 127;
        let cause = "op.dh/recipient/process +127";
        assert_eq!(found(1000, 1500, &now), one(Verdict::Regression, "instructions/recipient", cause));
    }
}
