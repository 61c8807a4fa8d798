//! What has become dearer or cheaper, and the likely cause.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::baseline::RecordedInstructions;
use super::config::Config;
use super::exact::{Figures, INSTRUCTIONS, Key, Measured, figures};
use crate::sample::Status;

/// Causes that are named for one change.
const MAX_CAUSES: usize = 3;

/// A cost that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Backend, operation and group size.
    pub cell: String,
    /// The metric, and of which kind of message or role.
    pub metric: String,
    /// What it was; None where there was nothing to compare with.
    pub before: Option<f64>,
    /// What it is; None where it is not there any more.
    pub after: Option<f64>,
    /// What that means.
    pub verdict: Verdict,
    /// What has moved, in words.
    pub cause: String,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Dearer by more than is tolerated.
    Regression,
    /// The same, measured in a way that may be wrong, so that it decides nothing.
    Advisory,
    /// Not there before.
    New,
    /// Cheaper: a new baseline is wanted, so that it stays so.
    Improvement,
}

impl Change {
    /// The relative change; None where there is nothing to divide by.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        let (before, after) = (self.before?, self.after?);
        (before > 0.0).then(|| after / before - 1.0)
    }
}

/// Compares the exact figures of all cells of the samples, which are those of the configuration.
#[must_use]
pub fn exact(config: &Config, before: &Cells, after: &Cells) -> Vec<Change> {
    let mut changes = Vec::new();
    for (cell, now) in after {
        let change = |verdict, cause: &str| Change {
            cell: cell.clone(),
            metric: "cell".to_owned(),
            before: None,
            after: None,
            verdict,
            cause: cause.to_owned(),
        };
        match (before.get(cell), now) {
            (None, _) => changes.push(change(Verdict::New, "the baseline does not have it")),
            (Some(None), None) => (),
            (Some(None), Some(_)) => changes.push(change(Verdict::New, "the backend has this operation now")),
            (Some(Some(_)), None) => {
                changes.push(change(Verdict::Regression, "the backend does not have this operation any more"));
            }
            (Some(Some(then)), Some(now)) => changes.extend(of_cell(config, cell, then, now)),
        }
    }
    changes
}

/// Exact figures by cell; None where the backend does not have the operation.
pub type Cells = BTreeMap<String, Option<Figures>>;

/// The exact figures of these cells, and why some are not among them.
#[must_use]
pub fn cells(measured: Vec<Measured>) -> (Cells, Vec<String>) {
    let (mut cells, mut trouble) = (Cells::new(), Vec::new());
    for (cell, sample) in measured {
        match sample {
            Ok(sample) => drop(cells.insert(cell, (sample.status == Status::Ok).then(|| figures(&sample)))),
            Err(reason) => trouble.push(format!("{cell}: {reason}")),
        }
    }
    (cells, trouble)
}

/// A cost that does not care for phases.
type Cost<'a> = (&'a str, &'a str);

fn of_cell(config: &Config, cell: &str, then: &Figures, now: &Figures) -> Vec<Change> {
    let costs: BTreeSet<Cost<'_>> =
        then.keys().chain(now.keys()).map(|key| (key.metric.as_str(), key.of.as_str())).collect();
    let change = |(metric, of): Cost<'_>| {
        let sum = |figures: &Figures| -> u64 {
            figures
                .iter()
                .filter(|(key, _)| (key.metric.as_str(), key.of.as_str()) == (metric, of))
                .map(|(_, n)| n)
                .sum()
        };
        let (before, after) = (sum(then) as f64, sum(now) as f64);
        let verdict = judge(before, after, config.threshold(metric))?;
        Some(Change {
            cell: cell.to_owned(),
            metric: format!("{metric}/{of}"),
            before: Some(before),
            after: Some(after),
            verdict,
            cause: exact_cause(metric, of, then, now),
        })
    };
    costs.into_iter().filter_map(change).collect()
}

/// None where the change is tolerated.
fn judge(before: f64, after: f64, threshold: f64) -> Option<Verdict> {
    if after > before * (1.0 + threshold) {
        Some(Verdict::Regression)
    } else {
        (after < before * (1.0 - threshold)).then_some(Verdict::Improvement)
    }
}

/// Of bytes: whether messages became more or longer. Of counts: in which phase.
fn exact_cause(metric: &str, of: &str, then: &Figures, now: &Figures) -> String {
    let figure = |figures: &Figures, key: &Key| figures.get(key).copied().unwrap_or(0);
    if metric.starts_with("op.") || metric == "bytes_fetched" {
        let keys: BTreeSet<&Key> = then
            .keys()
            .chain(now.keys())
            .filter(|key| (key.metric.as_str(), key.of.as_str()) == (metric, of))
            .collect();
        let moved = keys.into_iter().filter_map(|key| {
            let difference = signed(figure(then, key), figure(now, key));
            (difference != 0).then(|| format!("{difference:+} in phase {}", key.phase))
        });
        return moved.collect::<Vec<_>>().join(", ");
    }
    let messages = Key { metric: "messages".to_owned(), of: of.to_owned(), phase: String::new() };
    let (messages_then, messages_now) = (figure(then, &messages), figure(now, &messages));
    match signed(messages_then, messages_now) {
        0 if metric == "bytes_sent" => {
            let key = Key { metric: metric.to_owned(), ..messages };
            let each = signed(figure(then, &key), figure(now, &key)) as f64 / messages_now.max(1) as f64;
            let each = crate::measurement::number((each * 100.0).round() / 100.0);
            format!("each of {messages_now} `{of}` by {}{each} B", if each.starts_with('-') { "" } else { "+" })
        }
        0 => format!("messages of kind `{of}`"),
        more => format!("{more:+} messages of kind `{of}`"),
    }
}

/// Compares instructions that were counted under the same conditions.
#[must_use]
pub fn instructions(
    config: &Config,
    (before, cells_before): (&RecordedInstructions, &Cells),
    (after, cells_after): (&RecordedInstructions, &Cells),
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (cell, now) in &after.cells {
        let Some(then) = before.cells.get(cell) else { continue };
        let roles = [("sender", then.sender, now.sender), ("recipient", then.recipient, now.recipient)];
        for (role, before, after) in roles {
            let (before, after) = (before as f64, after as f64);
            if let Some(verdict) = judge(before, after, config.threshold(INSTRUCTIONS)) {
                changes.push(Change {
                    cell: cell.clone(),
                    metric: format!("{INSTRUCTIONS}/{role}"),
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

/// Which counted operations of a role, and which kinds of message, have moved.
#[must_use]
pub fn cause(role: &str, then: Option<&Figures>, now: Option<&Figures>) -> String {
    let (Some(then), Some(now)) = (then, now) else { return "unknown: there are no exact figures".to_owned() };
    let keys: BTreeSet<&Key> = then.keys().chain(now.keys()).collect();
    let mut moved: Vec<(f64, String)> = keys
        .into_iter()
        .filter(|key| (key.metric.starts_with("op.") && key.of == role) || key.metric == "bytes_sent")
        .filter_map(|key| {
            let [before, after] = [then, now].map(|figures| figures.get(key).copied().unwrap_or(0));
            let difference = signed(before, after);
            let weight = difference.unsigned_abs() as f64 / before.max(1) as f64;
            (difference != 0).then(|| (weight, format!("{} {difference:+}", key.name())))
        })
        .collect();
    if moved.is_empty() {
        return "no counted operation and no message: the code around them".to_owned();
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
        let figures = figures.iter().map(|(name, value)| (Key::parse(name).unwrap(), *value)).collect();
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
        changes.into_iter().map(|change| (change.verdict, change.metric, change.cause)).collect()
    }

    fn one(verdict: Verdict, metric: &str, cause: &str) -> Vec<(Verdict, String, String)> {
        vec![(verdict, metric.to_owned(), cause.to_owned())]
    }

    #[test]
    fn any_increase_of_an_exact_metric_is_a_regression_and_any_decrease_is_told() {
        assert_eq!(changes("messages/ack", 127), []);
        let bytes = changes("bytes_sent/ack", 127 * 85);
        assert_eq!(bytes, one(Verdict::Regression, "bytes_sent/ack", "each of 127 `ack` by +1 B"));
        let bytes = changes("bytes_sent/ack", 127 * 84 - 127);
        assert_eq!(bytes, one(Verdict::Improvement, "bytes_sent/ack", "each of 127 `ack` by -1 B"));
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
    fn a_threshold_tolerates_so_much_and_no_more() {
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
        assert_eq!(verdicts(1010), []);
        assert_eq!(verdicts(1011), [Verdict::Regression]);
    }

    #[test]
    fn an_operation_that_is_lost_is_a_regression_and_one_that_is_new_wants_a_baseline() {
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
    fn instructions_have_one_percent_and_the_cause_is_what_was_counted() {
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
            changes.into_iter().map(|change| (change.verdict, change.metric, change.cause)).collect::<Vec<_>>()
        };
        assert_eq!(found(1010, 991, &FIGURES), []);
        let cause = "no counted operation and no message: the code around them";
        assert_eq!(found(1000, 1011, &FIGURES), one(Verdict::Regression, "instructions/recipient", cause));
        assert_eq!(found(900, 1000, &FIGURES), one(Verdict::Improvement, "instructions/sender", cause));
        let mut now = FIGURES;
        now[2].1 += 127;
        let cause = "op.dh/recipient/process +127";
        assert_eq!(found(1000, 1500, &now), one(Verdict::Regression, "instructions/recipient", cause));
    }
}
