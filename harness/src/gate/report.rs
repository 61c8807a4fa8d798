//! What the gate has found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::baseline::Baseline;
use super::comparison::{Change, Subject, Verdict};
use super::coverage::Coverage;
use crate::analysis::measurement::number;
use crate::record::manifest::Build;
use crate::record::metric::Metric;
use crate::report::summary::table::Table;

/// Version of the JSON format.
pub const SCHEMA: u32 = 2;
/// The most changes that a table shows. More of them would say nothing more, and the length of a comment is limited.
const SHOWN: usize = 60;

/// What the gate has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// The result of the comparison.
    pub outcome: Outcome,
    /// This build in words: package, version, commit, and whether the sources differ from that.
    pub build: String,
    /// The commit of this build; empty if it is unknown.
    pub commit: String,
    /// Whether the sources of this build differ from the commit; null if this is unknown.
    pub dirty: Option<bool>,
    /// The build whose costs the baseline has, in words; empty if there is no baseline.
    pub baseline_build: String,
    /// The commit of that build; empty if it is unknown.
    pub baseline_commit: String,
    /// Whether the sources of that build differed from the commit; null if this is unknown.
    pub baseline_dirty: Option<bool>,
    /// Why the baseline was recorded; empty if there is none.
    pub baseline_reason: String,
    /// The cells whose exact metrics were to be compared.
    pub exact: Coverage,
    /// The cells whose instructions were to be compared.
    pub instructions: Coverage,
    /// The cells that the new baseline does not have any more. Empty if none is recorded.
    pub dropped: Vec<String>,
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
    /// No cost has grown by more than is tolerated, but something was not compared: a recorded cell is missing, a measurement
    /// failed, or there was nothing to compare. A new baseline would lack something, and is not recorded.
    Incomplete,
    /// The costs of this build are the new baseline.
    Recorded,
}

/// What happens to the measured costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// They are only compared.
    No,
    /// They become the baseline, if it then lacks no cell that is recorded now.
    Complete,
    /// They become the baseline.
    Dropping,
}

impl Report {
    /// A report of this build that has no changes yet.
    #[must_use]
    pub fn new(build: &Build, baseline: Option<&Baseline>) -> Self {
        Self {
            schema: SCHEMA,
            outcome: Outcome::Incomplete,
            build: build.described(),
            commit: build.commit.clone(),
            dirty: build.dirty,
            baseline_build: baseline.map(|baseline| baseline.build.described()).unwrap_or_default(),
            baseline_commit: baseline.map(|baseline| baseline.build.commit.clone()).unwrap_or_default(),
            baseline_dirty: baseline.and_then(|baseline| baseline.build.dirty),
            baseline_reason: baseline.map(|baseline| baseline.reason.clone()).unwrap_or_default(),
            exact: Coverage::default(),
            instructions: Coverage::default(),
            dropped: Vec::new(),
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
    pub fn conclude(mut self, record: Record) -> Self {
        self.changes.sort_by(|one, other| (one.verdict, &one.cell).cmp(&(other.verdict, &other.cell)));
        self.note_tolerated();
        let missing = !self.exact.missing.is_empty() || !self.instructions.missing.is_empty();
        let complete = self.trouble.is_empty() && !missing && !self.exact.compared.is_empty();
        self.outcome = match record {
            Record::Complete if !self.dropped.is_empty() => Outcome::Incomplete,
            Record::Complete | Record::Dropping if self.trouble.is_empty() => Outcome::Recorded,
            Record::Complete | Record::Dropping => Outcome::Incomplete,
            Record::No if self.count(Verdict::Regression) > 0 => Outcome::Regression,
            Record::No if complete => Outcome::Passed,
            Record::No => Outcome::Incomplete,
        };
        self
    }

    /// Notes how many costs have grown within their thresholds. They are not in the table.
    fn note_tolerated(&mut self) {
        let tolerated = || self.changes.iter().filter(|change| change.verdict == Verdict::Tolerated);
        let growth = |change: &&Change| change.relative().unwrap_or(0.0);
        let Some(most) = tolerated().max_by(|one, other| growth(one).total_cmp(&growth(other))) else { return };
        let (count, Change { cell, metric, .. }) = (tolerated().count(), most);
        let note = format!(
            "costs that have grown by no more than is tolerated: {count}; the most: {cell} {metric} {:+.2} %",
            growth(&most) * 100.0
        );
        self.notes.push(note);
    }

    /// How many changes have this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.changes.iter().filter(|change| change.verdict == verdict).count()
    }

    /// The outcome in one line, with the numbers of cells.
    #[must_use]
    pub fn headline(&self) -> String {
        let grown = match self.count(Verdict::Regression) {
            0 => "no cost has grown".to_owned(),
            1 => "1 cost has grown".to_owned(),
            regressions => format!("{regressions} costs have grown"),
        };
        let outcome = match self.outcome {
            Outcome::Passed => format!("gate passed: {grown}"),
            Outcome::Regression => format!("gate failed: {grown}"),
            Outcome::Incomplete if self.exact.compared.is_empty() => "gate incomplete: nothing was compared".to_owned(),
            Outcome::Incomplete => format!("gate incomplete: {grown} where it was compared"),
            Outcome::Recorded => format!("baseline recorded: {grown}"),
        };
        let instructions = match &self.instructions {
            none if *none == Coverage::default() => String::new(),
            some => format!("; instructions: {}", some.counts()),
        };
        format!("{outcome} (cells: {}{instructions})", self.exact.counts())
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
        let _ = writeln!(text, "### Costs of group operations\n\n**{}**\n", self.headline());
        self.body(&mut text);
        text
    }

    fn body(&self, text: &mut String) {
        let mut table = Table::new(&["verdict", "cell", "metric", "before", "after", "change", "likely cause"]);
        let shown = || self.changes.iter().filter(|change| change.verdict != Verdict::Tolerated);
        for change in shown().take(SHOWN) {
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
        if shown().count() > SHOWN {
            let _ = writeln!(text, "... and {} more\n", shown().count() - SHOWN);
        }
        // The baseline has no times, so what is faster needs no new one.
        let gains = [Verdict::Improvement, Verdict::New];
        let gained = |change: &Change| gains.contains(&change.verdict) && change.metric.metric() != Some(Metric::CpuNs);
        if self.outcome != Outcome::Recorded && self.dropped.is_empty() && self.changes.iter().any(gained) {
            let _ = writeln!(text, "{NEW_BASELINE}\n");
        }
        if self.outcome == Outcome::Regression {
            let _ = writeln!(text, "{ACCEPTED}\n");
        }
        let missing = |what: &str, coverage: &Coverage| {
            let cells = coverage.missing.join(", ");
            let line = format!("missing: {what}{cells}: in the baseline, but not in the configuration");
            (!cells.is_empty()).then_some(line)
        };
        let missing = [missing("", &self.exact), missing("instructions of ", &self.instructions)];
        let lacks = if self.outcome == Outcome::Recorded { "lacks" } else { "would lack" };
        let dropped = format!("the new baseline {lacks} what the earlier one has: {}", self.dropped.join(", "));
        let dropped = (!self.dropped.is_empty()).then_some(dropped);
        let trouble = self.trouble.iter().map(|trouble| format!("not measured: {trouble}"));
        for line in missing.into_iter().flatten().chain(dropped).chain(trouble).chain(self.notes.clone()) {
            let _ = writeln!(text, "- {line}");
        }
        let _ = writeln!(text, "- this build: {}", self.build);
        let _ = match self.baseline_build.as_str() {
            "" => writeln!(text, "- there was no baseline"),
            build => writeln!(text, "- compared with: {build}, recorded because: {}", self.baseline_reason),
        };
    }
}

const NEW_BASELINE: &str = "Record what is cheaper or new as the baseline, so that the gate guards it: `gate \
                            --update-baseline --reason \"...\"`.";

const ACCEPTED: &str = "If an increase is meant, record it: `gate --update-baseline --reason \"...\"`.";

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Regression => "regression",
        Verdict::Advisory => "slower?",
        Verdict::New => "new",
        Verdict::Improvement => "cheaper",
        Verdict::Tolerated => "tolerated",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::program::Program;

    fn report(verdicts: &[Verdict]) -> Report {
        let build = Build { commit: "0123456789abcdef".to_owned(), dirty: Some(true), ..this() };
        let mut report = Report::new(&build, None);
        report.exact.compared = vec!["toy/update/8".to_owned()];
        let cost = Subject::Cost { metric: Metric::BytesSent, of: "ack".to_owned() };
        report.changes.extend(verdicts.iter().map(|verdict| Change {
            cell: "toy/update/8".to_owned(),
            metric: cost.clone(),
            before: Some(1000.0),
            after: Some(1005.0),
            verdict: *verdict,
            cause: String::new(),
        }));
        report
    }

    fn this() -> Build {
        Build::of_this_program(Program::HARNESS).unwrap()
    }

    fn headline(report: Report, record: Record) -> String {
        report.conclude(record).headline()
    }

    #[test]
    fn what_was_not_compared_is_counted_and_is_no_pass() {
        assert_eq!(
            headline(report(&[]), Record::No),
            "gate passed: no cost has grown (cells: 1 compared, 0 new, 0 missing)"
        );
        let missing =
            Report { exact: Coverage { missing: vec!["toy/add/8".to_owned()], ..report(&[]).exact }, ..report(&[]) };
        assert_eq!(missing.clone().conclude(Record::No).outcome, Outcome::Incomplete);
        let text = missing.conclude(Record::No).human();
        assert!(text.starts_with(
            "gate incomplete: no cost has grown where it was compared (cells: 1 compared, 0 new, 1 missing)"
        ));
        assert!(text.contains("- missing: toy/add/8: in the baseline, but not in the configuration\n"), "{text}");
        let nothing =
            Report { exact: Coverage { new: vec!["toy/add/9".to_owned()], ..Coverage::default() }, ..report(&[]) };
        assert!(
            headline(nothing, Record::No)
                .starts_with("gate incomplete: nothing was compared (cells: 0 compared, 1 new")
        );
        let uncounted = Coverage { missing: vec!["toy/update/8".to_owned()], ..Coverage::default() };
        let uncounted = Report { instructions: uncounted, ..report(&[]) };
        assert!(
            uncounted.conclude(Record::No).human().contains("- missing: instructions of toy/update/8: in the baseline")
        );
    }

    #[test]
    fn recording_an_accepted_increase_is_no_failure_and_dropping_cells_must_be_asked_for() {
        assert!(headline(report(&[Verdict::Regression]), Record::No).starts_with("gate failed: 1 cost has grown ("));
        let recorded = headline(report(&[Verdict::Regression]), Record::Complete);
        assert!(recorded.starts_with("baseline recorded: 1 cost has grown (") && !recorded.contains("failed"));
        let dropping = Report { dropped: vec!["toy/add/8".to_owned()], ..report(&[]) };
        assert_eq!(dropping.clone().conclude(Record::Complete).outcome, Outcome::Incomplete);
        assert_eq!(dropping.conclude(Record::Dropping).outcome, Outcome::Recorded);
        let failed = Report { trouble: vec!["toy/add/8: a reason".to_owned()], ..report(&[]) };
        assert_eq!(failed.conclude(Record::Dropping).outcome, Outcome::Incomplete);
    }

    #[test]
    fn a_tolerated_increase_is_noted_and_the_state_of_the_tree_is_in_every_form() {
        let report = report(&[Verdict::Tolerated]).conclude(Record::No);
        let note =
            "costs that have grown by no more than is tolerated: 1; the most: toy/update/8 bytes_sent/ack +0.50 %";
        assert!(report.outcome == Outcome::Passed && report.human().contains(note) && !report.human().contains("| "));
        for form in [report.human(), report.markdown()] {
            assert!(
                form.contains("- this build: harness 0.1.0, commit 0123456789ab with uncommitted changes\n"),
                "{form}"
            );
            assert!(form.contains("- there was no baseline\n"), "{form}");
        }
        assert_eq!(serde_json::to_value(&report).unwrap()["dirty"], true);
    }
}
