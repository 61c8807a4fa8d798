//! What the gate has found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::comparison::{Change, Verdict};
use super::exact::INSTRUCTIONS;
use super::time::CPU_NS;
use crate::measurement::number;
use crate::summary::table::Table;

/// Version of the JSON form.
pub const SCHEMA: u32 = 1;
/// Changes that a table shows. More of them say nothing more, and a comment on a pull request has a limit.
const SHOWN: usize = 60;

/// What the gate has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What came of it.
    pub outcome: Outcome,
    /// The commit whose costs the baseline has; empty where it is unknown.
    pub baseline_commit: String,
    /// Why the baseline was recorded.
    pub baseline_reason: String,
    /// How many cells were compared exactly.
    pub cells: usize,
    /// What is not as it was, the worst first.
    pub changes: Vec<Change>,
    /// Cells that could not be measured, and why.
    pub trouble: Vec<String>,
    /// What was compared besides, and what was not and why.
    pub notes: Vec<String>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing is dearer.
    Passed,
    /// Something is.
    Regression,
    /// Nothing is, but something could not be measured.
    Incomplete,
}

impl Report {
    /// Orders the changes and says what came of it all.
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

    /// How many changes mean this.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.changes.iter().filter(|change| change.verdict == verdict).count()
    }

    /// One line: what came of it.
    #[must_use]
    pub fn headline(&self) -> String {
        let cells = self.cells;
        let regressions = self.count(Verdict::Regression);
        match self.outcome {
            Outcome::Passed => format!("gate passed: nothing is dearer in {cells} cells"),
            Outcome::Regression => format!("gate failed: {regressions} costs are higher"),
            Outcome::Incomplete => format!("gate incomplete: {} cells could not be measured", self.trouble.len()),
        }
    }

    /// To read in a terminal.
    #[must_use]
    pub fn human(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{}\n", self.headline());
        self.body(&mut text);
        text
    }

    /// For a comment on a pull request.
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
                change.metric.clone(),
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
        // The baseline has no times.
        let gains = [Verdict::Improvement, Verdict::New];
        if self.changes.iter().any(|change| gains.contains(&change.verdict) && !change.metric.starts_with(CPU_NS)) {
            let _ = writeln!(text, "{NEW_BASELINE}\n");
        }
        for line in self.trouble.iter().map(|trouble| format!("not measured: {trouble}")).chain(self.notes.clone()) {
            let _ = writeln!(text, "- {line}");
        }
    }
}

const NEW_BASELINE: &str = "What is cheaper or new wants a new baseline, so that it stays so: `harness gate \
                            --update-baseline --reason \"...\"`.";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regression => "dearer",
        Verdict::Advisory => "slower?",
        Verdict::New => "new",
        Verdict::Improvement => "cheaper",
    }
}

/// Times in microseconds, since a nanosecond of them means nothing; all else as it is.
fn figure(metric: &str, value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(ns) if metric.starts_with(CPU_NS) => format!("{:.1} us", ns / 1e3),
        Some(count) if metric.starts_with(INSTRUCTIONS) => format!("{:.3} M", count / 1e6),
        Some(value) => number(value),
    }
}
