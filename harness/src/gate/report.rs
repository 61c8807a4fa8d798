//! What the gate has found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::baseline::Baseline;
use super::comparison::{Change, Subject, Verdict};
use crate::analysis::measurement::number;
use crate::record::metric::Metric;
use crate::report::summary::table::Table;

/// Version of the JSON format.
pub const SCHEMA: u32 = 1;
/// The most changes that a table shows. More of them would say nothing more, and the length of a comment is limited.
const SHOWN: usize = 60;

/// What the gate has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// The result of the comparison.
    pub outcome: Outcome,
    /// The commit whose costs the baseline has; empty if unknown.
    pub baseline_commit: String,
    /// Why the baseline was recorded.
    pub baseline_reason: String,
    /// How many cells were measured, those of operations that a backend does not have included.
    pub cells: usize,
    /// What has changed, the worst first.
    pub changes: Vec<Change>,
    /// What could not be measured, with the reason.
    pub trouble: Vec<String>,
    /// What else was compared, and what was not compared and why.
    pub notes: Vec<String>,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No cost has grown by more than is tolerated.
    Passed,
    /// At least one cost has grown by more than is tolerated.
    Regression,
    /// No cost has grown by more than is tolerated, but something could not be measured.
    Incomplete,
}

impl Report {
    /// A report that has no changes yet.
    #[must_use]
    pub fn new(baseline: Option<&Baseline>) -> Self {
        Self {
            schema: SCHEMA,
            outcome: Outcome::Passed,
            baseline_commit: baseline.map(|baseline| baseline.build.commit.clone()).unwrap_or_default(),
            baseline_reason: baseline.map(|baseline| baseline.reason.clone()).unwrap_or_default(),
            cells: 0,
            changes: Vec::new(),
            trouble: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Notes why instructions are not compared.
    pub(super) fn skip_instructions(&mut self, why: &str) {
        self.notes.push(format!("instructions are not compared: {why}"));
    }

    /// Sorts the changes and sets the outcome.
    #[must_use]
    pub fn conclude(mut self) -> Self {
        self.changes.sort_by(|one, other| (one.verdict, &one.cell).cmp(&(other.verdict, &other.cell)));
        self.outcome = if self.count(Verdict::Regression) > 0 {
            Outcome::Regression
        } else if self.trouble.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Incomplete
        };
        self
    }

    /// How many changes have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.changes.iter().filter(|change| change.verdict == verdict).count()
    }

    /// The outcome in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let cells = self.cells;
        let regressions = self.count(Verdict::Regression);
        match self.outcome {
            Outcome::Passed => format!("gate passed: no cost has grown in {cells} cells"),
            Outcome::Regression if regressions == 1 => "gate failed: 1 cost has grown".to_owned(),
            Outcome::Regression => format!("gate failed: {regressions} costs have grown"),
            Outcome::Incomplete => format!("gate incomplete: {} of the measurements failed", self.trouble.len()),
        }
    }

    /// The report for a terminal.
    #[must_use]
    pub fn human(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n", self.headline());
        self.body(&mut text);
        text
    }

    /// The report in Markdown, for a comment on a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let commit = self.baseline_commit.get(..12).unwrap_or(&self.baseline_commit);
        let _ = writeln!(text, "### Costs of group operations\n\n**{}**\n", self.headline());
        self.body(&mut text);
        let _ = writeln!(text, "\nBaseline: `{commit}`, recorded because: {}", self.baseline_reason);
        text
    }

    fn body(&self, text: &mut String) {
        let mut table = Table::new(&["verdict", "cell", "metric", "before", "after", "change", "likely cause"]);
        for change in self.changes.iter().take(SHOWN) {
            table.row([
                verdict(change.verdict).to_owned(),
                change.cell.clone(),
                change.metric.to_string(),
                figure(&change.metric, change.before),
                figure(&change.metric, change.after),
                change.relative().map(|relative| format!("{:+.2} %", relative * 100.0)).unwrap_or_default(),
                change.cause.clone(),
            ]);
        }
        if !table.is_empty() {
            let _ = writeln!(text, "{table}");
        }
        if self.changes.len() > SHOWN {
            let _ = writeln!(text, "... and {} more\n", self.changes.len() - SHOWN);
        }
        // The baseline has no times, so what is faster needs no new one.
        let gains = [Verdict::Improvement, Verdict::New];
        if self
            .changes
            .iter()
            .any(|change| gains.contains(&change.verdict) && change.metric.metric() != Some(Metric::CpuNs))
        {
            let _ = writeln!(text, "{NEW_BASELINE}\n");
        }
        for line in self.trouble.iter().map(|trouble| format!("not measured: {trouble}")).chain(self.notes.clone()) {
            let _ = writeln!(text, "- {line}");
        }
    }
}

const NEW_BASELINE: &str = "Record what is cheaper or new as the baseline, so that the gate guards it: `harness gate \
                            --update-baseline --reason \"...\"`.";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regression => "regression",
        Verdict::Advisory => "slower?",
        Verdict::New => "new",
        Verdict::Improvement => "cheaper",
    }
}

/// A cost as the table shows it: times in microseconds, because a nanosecond means nothing; instructions in millions.
fn figure(subject: &Subject, value: Option<f64>) -> String {
    match (value, subject.metric()) {
        (None, _) => String::new(),
        (Some(ns), Some(Metric::CpuNs)) => format!("{:.1} us", ns / 1e3),
        (Some(count), Some(Metric::Instructions)) => format!("{:.3} M", count / 1e6),
        (Some(value), _) => number(value),
    }
}
