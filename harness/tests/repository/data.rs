//! docs/DATA.md describes every file, field and column that the program writes, and nothing else.

use std::collections::BTreeSet;
use std::fs;

use crate::texts::root;
use harness::analysis::{comparison, measurement};
use harness::gate::comparison::{Change, Subject, Verdict};
use harness::gate::report::{Outcome, Report};
use harness::record::exposure::{self, Findings, Order};
use harness::record::manifest::Build;
use harness::record::metric::Metric;
use harness::record::program::Program;
use harness::record::recorded::Recorded;
use harness::record::sample::Sample;
use harness::report::{export, files};
use protocol::operation::{Phase, Role};
use serde_json::Value;

const RUN: &str = "results/2026-11-28-compare-amd-epyc-2-cores";

/// The rows of the tables below a heading, each as its cells.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/DATA.md")).unwrap();
    let section = text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The names in backticks in one cell.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names in the first column of the tables below a heading.
fn described(heading: &str) -> BTreeSet<String> {
    rows(heading).iter().flat_map(|row| names(&row[0])).collect()
}

fn set<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

fn fields(value: &Value) -> BTreeSet<String> {
    set(value.as_object().unwrap().keys())
}

fn header(write: impl FnOnce(&mut Vec<u8>) -> csv::Result<()>) -> Vec<String> {
    let mut text = Vec::new();
    write(&mut text).unwrap();
    String::from_utf8(text).unwrap().lines().next().unwrap().split(',').map(str::to_owned).collect()
}

fn recorded() -> Recorded {
    Recorded::open(&root().join(RUN)).unwrap()
}

#[test]
fn what_attacks_have_found_is_described() {
    let order = Order { seed: 1, quick: true };
    let (program, argv, cpu, backends) = (String::new(), Vec::new(), String::new(), Vec::new());
    let findings = Findings { version: exposure::VERSION, program, argv, cpu, order, backends };
    assert_eq!(described(files::SITUATIONS), set(header(|out| export::write_situations(&findings, out))));
    assert_eq!(described(files::EXPOSURE), set(header(|out| export::write_exposure(&findings, out))));
    assert_eq!(described(files::ABSENCE), set(header(|out| export::write_absence(&findings, out))));
    assert_eq!(described(files::FINDINGS), fields(&serde_json::to_value(&findings).unwrap()));
}

#[test]
fn every_column_of_a_csv_file_is_described() {
    assert_eq!(described("measurements.csv"), set(measurement::COLUMNS));
    assert_eq!(described("compare.csv"), set(comparison::COLUMNS));
    let samples = &recorded().samples[..1];
    let paper = [header(|out| export::write_time(samples, out)), header(|out| export::write_traffic(samples, out))];
    assert_eq!(described("time.csv and traffic.csv"), set(paper.concat()));
}

#[test]
fn recorded_files_have_the_columns_that_are_described() {
    for (file, columns) in [("measurements.csv", &measurement::COLUMNS[..]), ("compare.csv", &comparison::COLUMNS[..])]
    {
        let text = fs::read_to_string(root().join(RUN).join(file)).unwrap();
        assert_eq!(text.lines().next(), Some(columns.join(",").as_str()), "{file}");
    }
}

#[test]
fn every_field_of_a_sample_is_described() {
    let recorded = recorded();
    let ok = recorded.samples.iter().find(|sample| !sample.work.is_empty()).unwrap();
    // What the recorded run is too old for is described too.
    let sample = serde_json::to_value(Sample { rounds: Some(1), ..(*ok).clone() }).unwrap();
    let inner = |list: &str| -> BTreeSet<String> {
        let entry = &sample[list][0];
        fields(entry)
            .iter()
            .filter(|name| !["role", "phase", "kind"].contains(&name.as_str()))
            .map(|name| format!("{list}.{name}"))
            .collect()
    };
    let all: BTreeSet<String> = [fields(&sample), inner("traffic"), inner("work")].into_iter().flatten().collect();
    assert_eq!(described("samples.jsonl"), all);
    assert_eq!(described("manifest.json"), fields(&serde_json::to_value(&recorded.manifest).unwrap()));
}

#[test]
fn every_role_phase_and_metric_is_described_with_its_unit() {
    let heading = "Roles, phases and metrics";
    let of_roles = Role::ALL.map(Role::name).into_iter().chain([measurement::GROUP]);
    let of_phases = Phase::ALL.map(Phase::name).into_iter().chain([measurement::ALL]);
    let metrics = || Metric::all().map(Metric::name);
    assert_eq!(described(heading), set(of_roles.chain(of_phases).chain(metrics())));
    for metric in Metric::all() {
        let rows = rows(heading);
        let row = rows.iter().find(|row| names(&row[0]).first().map(String::as_str) == Some(metric.name())).unwrap();
        assert_eq!(row[1], metric.unit(), "{metric}");
    }
}

#[test]
fn every_field_of_the_gates_report_is_described() {
    let mut report = Report::new(&Build::of_this_program(Program::HARNESS).unwrap(), None);
    report.changes.push(Change {
        cell: String::new(),
        metric: Subject::Cell,
        before: None,
        after: None,
        verdict: Verdict::New,
        cause: String::new(),
    });
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(described("gate.json"), fields(&report));
    let rows = rows("gate.json");
    let described =
        |name: &str| set(names(&rows.iter().find(|row| names(&row[0]).contains(&name.to_owned())).unwrap()[1]));
    assert!(described("changes").is_superset(&fields(&report["changes"][0])));
    assert_eq!(described("exact"), fields(&report["exact"]));
    let outcomes = [Outcome::Passed, Outcome::Regression, Outcome::Incomplete, Outcome::Recorded];
    let outcomes = outcomes.map(|outcome| serde_json::to_value(outcome).unwrap().as_str().unwrap().to_owned());
    assert_eq!(described("outcome"), set(outcomes));
}

#[test]
fn every_file_is_listed_and_no_other() {
    let text = fs::read_to_string(root().join("docs/DATA.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| file |")).skip(2);
    let mut listed = BTreeSet::new();
    for row in table.take_while(|line| line.starts_with("| ")) {
        let cell = row.trim_matches('|').split(" | ").next().unwrap().trim().to_owned();
        match cell.split_once(" (") {
            None => listed.extend(cell.split(", ").map(str::to_owned)),
            Some((stems, endings)) => {
                let endings: Vec<&str> = endings.trim_end_matches(')').split(", ").collect();
                listed.extend(
                    stems.split(", ").flat_map(|stem| endings.iter().map(move |ending| format!("{stem}{ending}"))),
                );
            }
        }
    }
    let others = ["samples.jsonl", "manifest.json", "gate.json", "gate.md"].map(str::to_owned);
    assert_eq!(listed, files::names().into_iter().chain(others).collect());
}

#[test]
fn every_field_inside_the_manifest_is_described() {
    let manifest = serde_json::to_value(&recorded().manifest).unwrap();
    let rows = rows("manifest.json");
    for name in ["options", "build", "machine"] {
        let row = rows.iter().find(|row| row[0] == format!("`{name}`")).unwrap();
        assert_eq!(set(names(row.last().unwrap())), fields(&manifest[name]), "{name}");
    }
}
