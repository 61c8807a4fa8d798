//! Runner processes, the schedule and the files of a run. This program is its own runner: with `runner` as its first
//! argument it serves the toy protocol, otherwise it runs the tests below, or those whose name contains the argument.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(unreachable_pub, reason = "it is public in its own crate")]
#[path = "../../../examples/template/src/lib.rs"]
mod boxes;
#[path = "../faulty/mod.rs"]
mod faulty;
mod names;
#[path = "../toy/mod.rs"]
mod toy;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boxes::Boxes;
use faulty::{ConstantKey, Faulty, OnlyInLargeGroups, Recrypted, WrongFormulas};
use harness::record::manifest::{Build, RunStatus};
use harness::record::metric::Metric;
use harness::record::name::join;
use harness::record::program::Program;
use harness::record::sample::{Sample, Status};
use harness::record::store::{self, MANIFEST, SAMPLES, StoreError};
use harness::registry::Registry;
use harness::run::child::{Launch, StartError};
use harness::run::plan::{Choice, Earlier, Plan};
use harness::run::runner::{self, ServeError};
use harness::run::schedule::{self, MeasureError, Progress, Run};
use harness::system::directory::DirectoryError;
use libtest_mimic::{Arguments, Trial};
use protocol::operation::Operation;
use toy::{Flaw, Toy, VARIANTS};

const TOYS: Registry = Registry::new(&VARIANTS);
const PROTOCOLS: Registry = Registry::new(&[|| Box::new(Boxes)]);
const WRONG: Registry = Registry::new(&[|| Box::new(Faulty::new(Box::new(Boxes), WrongFormulas))]);
const WRONG_IN_LARGE: Registry = Registry::new(&[|| {
    Box::new(Faulty::new(Box::new(Boxes), OnlyInLargeGroups::of(10, Recrypted::with(ConstantKey))))
}]);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wrong-in-large", ..] => runner::serve(&WRONG_IN_LARGE, "boxes", "", None).unwrap(),
        ["wrong-formulas", ..] => runner::serve(&WRONG, "boxes", "", None).unwrap(),
        ["runner", "--backend", "boxes", ..] => runner::serve(&PROTOCOLS, "boxes", "", None).unwrap(),
        ["runner", "--backend", name, "--variant", variant] => runner::serve(&TOYS, name, variant, None).unwrap(),
        ["other-seed", "--backend", name, "--variant", variant] => {
            serve_altered(name, variant, |line| Some(line.replace(r#""seed":1"#, r#""seed":2"#)));
        }
        ["no-verdict", "--backend", name, "--variant", variant] => {
            serve_altered(name, variant, |line| Some(line.replace(r#""conformance":true"#, r#""conformance":false"#)));
        }
        ["no-peak", "--backend", name, "--variant", variant] => {
            serve_altered(name, variant, |line| Some(line).filter(|line| !line.contains(r#""peak":true"#)));
        }
        ["greedy", "--backend", name, "--variant", variant] => {
            let mut hello = String::new();
            std::io::stdin().read_line(&mut hello).unwrap();
            let make = TOYS.constructor(&join(name, variant)).unwrap();
            runner::serve_on(&make, Cursor::new(hello), std::io::stdout().lock()).unwrap();
            loop {
                println!("\"begin\"");
            }
        }
        ["one-start", marker, "--backend", name, "--variant", variant] => {
            fs::File::create_new(marker).unwrap();
            runner::serve(&TOYS, name, variant, None).unwrap();
        }
        ["hanging-parent"] => {
            let _ = measure(&hanging());
        }
        ["other-version", ..] => println!(r#"{{"protocol":99}}"#),
        _ => run_tests(),
    }
}

/// A runner whose requests are altered before it reads them. It ends if `alter` returns `None`.
fn serve_altered(name: &str, variant: &str, alter: fn(String) -> Option<String>) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(|line| alter(line.unwrap()));
        lines.for_each(|line| writeln!(writer, "{line}").unwrap());
    });
    let make = TOYS.constructor(&join(name, variant)).unwrap();
    runner::serve_on(&make, BufReader::new(reader), std::io::stdout().lock()).unwrap();
}

fn run_tests() {
    let tests: [(&str, fn()); 25] = [
        ("a_runner_answers_line_by_line", a_runner_answers_line_by_line),
        ("a_runner_asks_for_its_turn_if_it_must", a_runner_asks_for_its_turn_if_it_must),
        ("a_runner_that_asks_for_its_turn_for_ever_is_ended", a_runner_that_asks_for_its_turn_for_ever_is_ended),
        ("a_runner_refuses_other_versions", a_runner_refuses_other_versions),
        ("a_parent_refuses_other_versions", a_parent_refuses_other_versions),
        ("a_run_has_a_row_for_each_task", a_run_has_a_row_for_each_task),
        ("one_seed_gives_the_same_samples_at_any_jobs", one_seed_gives_the_same_samples_at_any_jobs),
        ("an_interrupted_run_is_resumed", an_interrupted_run_is_resumed),
        ("only_the_same_run_is_resumed", only_the_same_run_is_resumed),
        ("a_directory_has_one_run_at_a_time", a_directory_has_one_run_at_a_time),
        ("an_earlier_run_is_replaced_as_a_whole", an_earlier_run_is_replaced_as_a_whole),
        ("time_outs_are_rows_and_the_second_one_skips", time_outs_are_rows_and_the_second_one_skips),
        ("crashes_are_rows", crashes_are_rows),
        ("answers_to_other_requests_are_rows", answers_to_other_requests_are_rows),
        ("what_conforms_is_measured_and_the_manifest_says_so", what_conforms_is_measured_and_the_manifest_says_so),
        ("a_large_group_is_checked_before_any_is_measured", a_large_group_is_checked_before_any_is_measured),
        ("what_does_not_conform_is_refused_in_all_its_rows", what_does_not_conform_is_refused_in_all_its_rows),
        (
            "wrong_formulas_are_all_named_at_once_in_all_rows_and_in_the_gate",
            wrong_formulas_are_all_named_at_once_in_all_rows_and_in_the_gate,
        ),
        ("a_suite_that_does_not_end_is_a_time_out", a_suite_that_does_not_end_is_a_time_out),
        ("a_runner_ends_with_its_parent", a_runner_ends_with_its_parent),
        ("peak_memory_stays_unknown_if_its_runner_fails", peak_memory_stays_unknown_if_its_runner_fails),
        ("names_of_backends_are_resolved", names::names_of_backends_are_resolved),
        ("added_backends_are_found_beside_the_others", names::added_backends_are_found_beside_the_others),
        ("a_name_that_means_another_backend_is_an_error", names::a_name_that_means_another_backend_is_an_error),
        ("a_name_is_a_word_that_is_distinct_in_every_file", names::a_name_is_a_word_that_is_distinct_in_every_file),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn plan(variants: &[&str]) -> Plan {
    let choice = |variant: &&str| Choice { backend: "toy".to_owned(), variant: (*variant).to_owned() };
    Plan {
        backends: variants.iter().map(choice).collect(),
        iterations: Operation::REPRODUCED.into_iter().map(|operation| (operation, 2)).collect(),
        large_groups: None,
        sizes: vec![3, 5],
        seed: 1,
        jobs: 2,
        // The toys are no protocols and would not pass the suite.
        conformance: false,
        timeout: Duration::from_secs(60),
        peak: false,
        out: None,
        earlier: Earlier::Refuse,
        program: Program::HARNESS,
        launch: Launch::this_program().unwrap(),
        external: BTreeMap::new(),
        growth: BTreeMap::new(),
        left_out: BTreeMap::new(),
        argv: vec!["test".to_owned()],
    }
}

fn measure(plan: &Plan) -> Result<Run, MeasureError> {
    watched(plan, &mut |_| ())
}

/// Measures, and unlocks the run's directory.
fn watched(plan: &Plan, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Run, MeasureError> {
    schedule::measure(plan, progress).map(|run| Run { directory: None, ..run })
}

/// A directory that does not exist yet.
fn fresh_directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    directory
}

/// What a seed fixes, by cell.
fn exact(samples: &[Sample]) -> BTreeMap<String, String> {
    let of = |sample: &Sample| {
        let work: Vec<_> = sample
            .work
            .iter()
            .map(|row| (&row.role, &row.phase, row.members, &row.counts, row.bytes_fetched))
            .collect();
        format!("{:?} {} {:?} {work:?} {:?}", sample.status, sample.reason, sample.traffic, sample.state_bytes)
    };
    samples.iter().map(|sample| (sample.cell_id.clone(), of(sample))).collect()
}

fn serve(lines: &str) -> (Result<(), ServeError>, Vec<String>) {
    let mut output = Vec::new();
    let result = runner::serve_on(&|| Box::new(Toy(Flaw::None)), Cursor::new(lines.to_owned()), &mut output);
    (result, String::from_utf8(output).unwrap().lines().map(str::to_owned).collect())
}

fn a_runner_answers_line_by_line() {
    let request = r#"{"run_id":"r","operation":"add","group_size":4,"iteration":2,"seed":9,"peak":true}"#;
    let (result, lines) =
        serve(&format!("{}\n{request}\n{request}\n", r#"{"protocol":2,"jobs":1,"conformance":false}"#));
    result.unwrap();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains(r#""backend":"toy""#));
    let samples: Vec<Sample> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples[0].cell_id, "toy/add/4/2");
    assert_eq!((samples[0].status, samples[0].seed), (Status::Ok, 9));
    assert!(samples[0].peak_bytes.is_some() || cfg!(not(target_os = "linux")));
    assert_eq!(exact(&samples[..1]), exact(&samples[1..]));
}

fn a_runner_asks_for_its_turn_if_it_must() {
    let (hello, go) = (r#"{"protocol":2,"jobs":1,"conformance":false}"#, r#""go""#);
    let request = |rest: &str| {
        format!(r#"{{"run_id":"r","operation":"add","group_size":4,"iteration":2,"seed":9,"peak":false{rest}}}"#)
    };
    let (result, lines) = serve(&format!("{hello}\n{}\n{go}\n{}\n", request(r#","asks":true"#), request("")));
    result.unwrap();
    assert_eq!((lines[1].as_str(), lines[2].as_str(), lines.len()), (r#""begin""#, r#""end""#, 5));
    let samples: Vec<Sample> = lines[3..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(samples.iter().all(|sample| sample.status == Status::Ok));
}

fn a_runner_that_asks_for_its_turn_for_ever_is_ended() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut plan =
        Plan { sizes: vec![3], iterations: BTreeMap::from([(Operation::Update, 2)]), ..plan(&["", "hidden"]) };
    plan.launch.args = vec!["greedy".to_owned()];
    let run = measure(&plan).unwrap();
    assert_eq!(run.samples.len(), 4);
    for sample in &run.samples {
        assert_eq!(sample.status, Status::Crash);
        assert_eq!(sample.reason, "the runner asks for its turn too often");
    }
}

fn a_runner_refuses_other_versions() {
    let (result, lines) = serve("{\"protocol\":1,\"threads\":[1]}\n");
    assert!(matches!(result, Err(ServeError::NotComparable(_))));
    assert_eq!(lines.len(), 1, "the runner says its own version");
    assert!(matches!(serve("hello\n").0, Err(ServeError::NoVersion)));
    let unknown = r#"{"run_id":"r","operation":"sing","group_size":4,"iteration":2,"seed":9,"peak":true}"#;
    let (result, _) = serve(&format!("{}\n{unknown}\n", r#"{"protocol":2,"jobs":1,"conformance":false}"#));
    assert!(result.unwrap_err().to_string().contains("there is no operation `sing`"));
}

fn is_other_version(error: &MeasureError) -> bool {
    matches!(error, MeasureError::Start(StartError::NotComparable(_)))
}

fn a_parent_refuses_other_versions() {
    let mut plan = plan(&[""]);
    plan.launch.args = vec!["other-version".to_owned()];
    let error = measure(&plan).unwrap_err();
    assert!(is_other_version(&error), "{error}");
    let out = fresh_directory("checked");
    let replacing = Plan { out: Some(out.clone()), earlier: Earlier::Replace(Vec::new()), ..plan.clone() };
    assert!(is_other_version(&measure(&replacing).unwrap_err()));
    assert!(!out.exists());
    // A run that has not begun can begin again, and leaves no empty file.
    plan.out = Some(fresh_directory("versions"));
    assert!(is_other_version(&measure(&plan).unwrap_err()));
    let out = plan.out.clone().unwrap();
    assert!(!out.join(SAMPLES).exists());
    assert_eq!(store::read_manifest(&out.join(MANIFEST)).unwrap().status, RunStatus::Running);
    let begun =
        measure(&Plan { earlier: Earlier::Resume, launch: Launch::this_program().unwrap(), ..plan.clone() }).unwrap();
    assert_eq!(begun.samples.len(), 2 * 6 * 2);
    assert!(error.to_string().starts_with("not comparable"), "{error}");
}

fn a_run_has_a_row_for_each_task() {
    let plan = Plan { peak: true, out: Some(fresh_directory("rows")), ..plan(&["", "hidden"]) };
    let (mut total, mut seen) = (0, 0);
    let run = watched(&plan, &mut |progress| match progress {
        Progress::Start { total: tasks, left } => (total, seen) = (tasks, tasks - left.len()),
        Progress::Conformance | Progress::Task(_) => {}
        Progress::Sample(_) => seen += 1,
    })
    .unwrap();
    assert_eq!((total, seen), (2 * 2 * 6 * 2, total));
    for sample in &run.samples {
        let supported = sample.operation != Operation::UpdateCold;
        let expected = if supported { Status::Ok } else { Status::Unsupported };
        assert_eq!(sample.status, expected, "{}: {}", sample.cell_id, sample.reason);
        assert_eq!(sample.run_id, run.manifest.run_id);
        assert_eq!(sample.peak_bytes.is_some(), supported && sample.iteration == 0 && cfg!(target_os = "linux"));
        let counted = sample.work.iter().flat_map(|work| &work.counts).filter(|(_, count)| **count > 0);
        let used: BTreeSet<Metric> = counted.map(|(metric, _)| *metric).collect();
        let priced: BTreeSet<Metric> = sample.primitive_ns.keys().copied().collect();
        assert!(priced.is_superset(&used) && priced.len() <= used.len() + 1, "{priced:?} {used:?}");
    }
    let out = plan.out.unwrap();
    assert_eq!(store::read_samples(&out.join(SAMPLES)).unwrap(), run.samples);
    let manifest = store::read_manifest(&out.join(MANIFEST)).unwrap();
    assert_eq!(manifest, run.manifest);
    assert_eq!(manifest.status, RunStatus::Complete);
    assert_eq!(manifest.runners.len(), 4);
    assert!(manifest.build.rustc.starts_with("rustc"));
}

fn one_seed_gives_the_same_samples_at_any_jobs() {
    let one = measure(&Plan { jobs: 1, ..plan(&["", "hidden"]) }).unwrap();
    let many = measure(&Plan { jobs: 3, ..plan(&["", "hidden"]) }).unwrap();
    assert_eq!(exact(&one.samples), exact(&many.samples));
    let ids = |run: &Run| run.samples.iter().map(|sample| sample.cell_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&one), ids(&many));
    // A group is the same if its create is not among the cells.
    let mut alone = plan(&["", "hidden"]);
    alone.iterations.remove(&Operation::Create);
    let all = exact(&one.samples);
    assert!(exact(&measure(&alone).unwrap().samples).iter().all(|(cell, row)| all[cell] == *row));
}

fn an_interrupted_run_is_resumed() {
    let plan = Plan { out: Some(fresh_directory("resume")), ..plan(&[""]) };
    let whole = measure(&plan).unwrap();
    let (samples, manifest) = (plan.out.clone().unwrap().join(SAMPLES), plan.out.clone().unwrap().join(MANIFEST));
    // As if the run had been killed while it wrote its eighth row.
    let text = fs::read_to_string(&samples).unwrap();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    fs::write(&samples, &text[..ends[6] + 40]).unwrap();
    let running = fs::read_to_string(&manifest).unwrap().replace(r#""complete""#, r#""running""#);
    fs::write(&manifest, running).unwrap();
    assert_eq!(store::read_samples(&samples).unwrap(), whole.samples[..7]);

    let mut measured = 0;
    let resumed = watched(&Plan { earlier: Earlier::Resume, ..plan.clone() }, &mut |progress| {
        measured += usize::from(matches!(progress, Progress::Sample(_)));
    })
    .unwrap();
    assert_eq!(measured, whole.samples.len() - 7);
    assert_eq!(resumed.samples[..7], whole.samples[..7]);
    assert_eq!(resumed.samples.len(), whole.samples.len());
    assert_eq!(exact(&resumed.samples), exact(&whole.samples));
    assert_eq!(store::read_samples(&samples).unwrap(), resumed.samples);
    assert_eq!(resumed.manifest.run_id, whole.manifest.run_id);
    assert_eq!(store::read_manifest(&manifest).unwrap().status, RunStatus::Complete);

    // A complete line that is not a sample is not taken for a torn line.
    fs::write(&samples, "{\"schema\":1}\n").unwrap();
    assert!(store::read_samples(&samples).unwrap_err().to_string().contains("line 1"));
    fs::write(&samples, "{\"schema\":2}\n").unwrap();
    assert!(store::read_samples(&samples).unwrap_err().to_string().contains("not comparable"));
}

fn only_the_same_run_is_resumed() {
    let plan = Plan { out: Some(fresh_directory("same")), sizes: vec![3], ..plan(&[""]) };
    let run = measure(&plan).unwrap();
    let other = |change: &dyn Fn(&mut Plan)| {
        let mut other = Plan { earlier: Earlier::Resume, ..plan.clone() };
        change(&mut other);
        measure(&other).unwrap_err()
    };
    assert!(other(&|plan| plan.earlier = Earlier::Refuse).to_string().contains("already holds a run"));
    let error = other(&|plan| (plan.seed, plan.sizes) = (2, vec![3, 4]));
    let said = "because it has seed 1, not 2; sizes [3], not [3,4]; try what it was started with, `test`, or another";
    assert!(error.to_string().contains(said), "{error}");
    assert!(matches!(error, MeasureError::OtherRun { .. }));
    let again = measure(&Plan { earlier: Earlier::Resume, jobs: 1, ..plan.clone() }).unwrap();
    assert_eq!(again.samples, run.samples);

    let manifest = plan.out.clone().unwrap().join(MANIFEST);
    let hash = run.manifest.build.binary_hash;
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap().replace(&hash, "another")).unwrap();
    let error = other(&|_| ()).to_string();
    assert!(
        error.contains("it has another program (harness 0.1.0, commit ") && error.contains("not this one"),
        "{error}"
    );
}

/// Also after it has been measured, as long as files are made from it.
fn a_directory_has_one_run_at_a_time() {
    let plan = Plan { out: Some(fresh_directory("one")), sizes: vec![3], ..plan(&[""]) };
    let others = |plan: &Plan| {
        for earlier in [Earlier::Refuse, Earlier::Resume, Earlier::Replace(Vec::new())] {
            let error = measure(&Plan { earlier, ..plan.clone() }).unwrap_err();
            let busy = matches!(&error, MeasureError::Store(StoreError::Directory(DirectoryError::Busy { .. })));
            assert!(busy && error.to_string().contains("is writing to"), "{error}");
        }
    };
    let run = schedule::measure(&plan, &mut |progress| {
        if let Progress::Start { .. } = progress {
            others(&plan);
        }
    })
    .unwrap();
    others(&plan);
    drop(run.directory);
    let resumed = measure(&Plan { earlier: Earlier::Resume, ..plan.clone() }).unwrap();
    assert_eq!(resumed.samples, run.samples);
    // Samples of another run are not taken for those of this one.
    let samples = plan.out.clone().unwrap().join(SAMPLES);
    fs::write(&samples, fs::read_to_string(&samples).unwrap().replace(&run.manifest.run_id, "another")).unwrap();
    let error = measure(&Plan { earlier: Earlier::Resume, ..plan }).unwrap_err();
    assert!(matches!(error, MeasureError::Store(StoreError::Mixed { .. })), "{error}");
}

fn an_earlier_run_is_replaced_as_a_whole() {
    let out = fresh_directory("replaced");
    let plan = Plan { out: Some(out.clone()), sizes: vec![3], ..plan(&[""]) };
    measure(&plan).unwrap();
    for name in ["derived", "other"] {
        fs::write(out.join(name), name).unwrap();
    }
    // Without a run, a file of that name is somebody's own.
    let empty = fresh_directory("not-a-run");
    fs::create_dir_all(&empty).unwrap();
    fs::write(empty.join("derived"), "mine").unwrap();
    let beside =
        Plan { out: Some(empty.clone()), earlier: Earlier::Replace(vec!["derived".to_owned()]), ..plan.clone() };
    measure(&beside).unwrap();
    assert!(empty.join("derived").exists());
    let replacing = Plan { seed: 2, earlier: Earlier::Replace(vec!["derived".to_owned()]), ..plan };
    let run = measure(&replacing).unwrap();
    assert_eq!(store::read_samples(&out.join(SAMPLES)).unwrap(), run.samples);
    assert!(!out.join("derived").exists() && out.join("other").exists());
}

fn time_outs_are_rows_and_the_second_one_skips() {
    let mut plan = Plan { timeout: Duration::from_secs(2), sizes: vec![3], ..plan(&["hangs"]) };
    plan.iterations.values_mut().for_each(|count| *count = 3);
    let run = measure(&plan).unwrap();
    let rows = |operation| run.samples.iter().filter(move |sample| sample.operation == operation);
    assert!(rows(Operation::Update).all(|sample| sample.status == Status::Timeout && sample.work.is_empty()));
    let reasons: Vec<&str> = rows(Operation::Update).map(|sample| sample.reason.as_str()).collect();
    assert_eq!(reasons, ["no answer within 2s", "no answer within 2s", "skipped: the cell has timed out 2 times"]);
    // The other cells continue in a new runner.
    assert!(rows(Operation::Remove).chain(rows(Operation::Message)).all(|sample| sample.status == Status::Ok));
}

fn crashes_are_rows() {
    let plan = Plan { sizes: vec![3], out: Some(fresh_directory("crashes")), ..plan(&["crashes"]) };
    let run = measure(&plan).unwrap();
    for sample in &run.samples {
        let expected = match sample.operation {
            Operation::Update => Status::Crash,
            Operation::UpdateCold => Status::Unsupported,
            _ => Status::Ok,
        };
        assert_eq!(sample.status, expected, "{}", sample.reason);
        assert_eq!(sample.reason.contains("the toy crashes as planned"), expected == Status::Crash);
    }
    // A resumed run measures them again, and still has one row for each.
    let mut again = Vec::new();
    let resumed = watched(&Plan { earlier: Earlier::Resume, ..plan.clone() }, &mut |progress| {
        if let Progress::Sample(sample) = progress {
            again.push(sample.operation);
        }
    })
    .unwrap();
    assert_eq!(again, [Operation::Update; 2]);
    assert_eq!(resumed.samples.len(), run.samples.len());
    assert_eq!(store::read_samples(&plan.out.unwrap().join(SAMPLES)).unwrap(), resumed.samples);
}

fn answers_to_other_requests_are_rows() {
    let mut plan = Plan { sizes: vec![3], ..plan(&[""]) };
    plan.launch.args = vec!["other-seed".to_owned()];
    let run = measure(&plan).unwrap();
    assert_eq!(run.samples.len(), 6 * 2);
    for sample in &run.samples {
        assert_eq!((sample.status, sample.seed), (Status::Crash, 1));
        let right = format!("asked for {} with seed 1", sample.cell_id);
        assert!(sample.reason.contains(&right) && sample.reason.contains("with seed 2"), "{}", sample.reason);
    }
}

fn what_conforms_is_measured_and_the_manifest_says_so() {
    let boxes = Choice { backend: "boxes".to_owned(), variant: String::new() };
    let plan = Plan { conformance: true, backends: vec![boxes], out: Some(fresh_directory("conforms")), ..plan(&[]) };
    let run = measure(&plan).unwrap();
    assert!(run.samples.iter().all(|sample| matches!(sample.status, Status::Ok | Status::Unsupported)));
    assert!(run.samples.iter().any(|sample| sample.status == Status::Ok));
    let passed = &run.manifest.conformance["boxes"];
    assert!(passed.checks["operations"] > 10 && passed.checks["healing"] == 0, "{passed:?}");
    assert_eq!(passed.large_group, None);
    assert_eq!(store::read_manifest(&plan.out.unwrap().join(MANIFEST)).unwrap().conformance, run.manifest.conformance);
}

fn a_large_group_is_checked_before_any_is_measured() {
    let boxes = Choice { backend: "boxes".to_owned(), variant: String::new() };
    let mut plan = Plan { conformance: true, backends: vec![boxes], sizes: vec![3, 12], ..plan(&[]) };
    let run = measure(&plan).unwrap();
    assert!(run.samples.iter().any(|sample| sample.status == Status::Ok));
    let large = run.manifest.conformance["boxes"].large_group.clone().unwrap();
    assert_eq!((large.group_size, large.checks["secrecy"], large.checks["healing"]), (12, 2, 0));

    plan.launch.args = vec!["wrong-in-large".to_owned()];
    let run = measure(&plan).unwrap();
    assert!(!run.samples.is_empty() && run.manifest.conformance.is_empty());
    for sample in &run.samples {
        let reason = "conformance: what is sent: two messages are encrypted with the same keystream: a key and nonce ";
        assert_eq!(sample.status, Status::Refused);
        assert!(
            sample.reason.starts_with(reason) && sample.reason.contains(" (all operations, 12 members"),
            "{sample:?}"
        );
    }
    let small = measure(&Plan { sizes: vec![3], ..plan }).unwrap();
    assert!(small.samples.iter().any(|sample| sample.status == Status::Ok), "no large group is measured");
}

fn what_does_not_conform_is_refused_in_all_its_rows() {
    let mut plan = Plan { conformance: true, ..plan(&[""]) };
    plan.backends.push(Choice { backend: "boxes".to_owned(), variant: String::new() });
    let run = measure(&plan).unwrap();
    assert_eq!(run.samples.len(), 2 * 2 * 6 * 2);
    for sample in run.samples.iter().filter(|sample| sample.backend == "toy") {
        assert_eq!(sample.status, Status::Refused);
        assert!(
            sample.reason.starts_with("conformance: operations: the capability `pcs_update` is false"),
            "{}",
            sample.reason
        );
    }
    assert!(run.samples.iter().any(|sample| sample.backend == "boxes" && sample.status == Status::Ok));
    assert_eq!(run.manifest.conformance.keys().collect::<Vec<_>>(), ["boxes"]);
}

fn wrong_formulas_are_all_named_at_once_in_all_rows_and_in_the_gate() {
    let make = WRONG.constructor("boxes").unwrap();
    let violation = protocol::conformance::check(&make).unwrap_err();
    let both = format!("{}; {}", faulty::said_of(Operation::Create), faulty::said_of(Operation::Remove));
    assert_eq!(
        violation.to_string(),
        format!("operations: {both} (all operations, 2 members, seed {})", violation.seed)
    );

    let boxes = Choice { backend: "boxes".to_owned(), variant: String::new() };
    let mut plan = Plan { conformance: true, backends: vec![boxes], ..plan(&[]) };
    plan.launch.args = vec!["wrong-formulas".to_owned()];
    let run = measure(&plan).unwrap();
    let reason = format!("conformance: {violation}");
    assert!(!run.samples.is_empty() && run.samples.iter().all(|sample| sample.reason == reason), "{:?}", run.samples);
    #[cfg(feature = "cli")]
    assert!(gate_report(&plan).contains(&format!("\n- not measured: boxes/create/4: {reason}\n")));

    // Without the suite, each operation still names all that differs in it.
    let run = measure(&Plan { conformance: false, ..plan }).unwrap();
    let mut removes = run.samples.iter().filter(|sample| sample.operation == Operation::Remove);
    let said = faulty::said_of(Operation::Remove);
    assert!(removes.all(|sample| sample.reason == said.split_once(": ").unwrap().1), "{said}");
}

/// What the gate prints of boxes.
#[cfg(feature = "cli")]
fn gate_report(plan: &Plan) -> String {
    use harness::gate::config::Config;
    use harness::gate::exact;
    use harness::gate::report::{Record, Report};

    let text = "seed = 1\ngroup_size = 4\noperations = [\"create\"]\nbackends = [\"boxes\"]\n\
                [instructions]\nbackends = []\n[time]\nbackends = []\ngroups = 1\nruns = 2\n";
    let file = fresh_directory("gate").with_extension("toml");
    fs::write(&file, text).unwrap();
    let config = Config::read(&file, &WRONG).unwrap();
    let trouble = exact::measure(&config, &plan.launch, plan.timeout, &|| ()).unwrap().trouble;
    Report { trouble, ..Report::new(&Build::of_this_program(Program::HARNESS).unwrap(), None) }
        .conclude(Record::No)
        .human()
}

fn a_suite_that_does_not_end_is_a_time_out() {
    let mut plan = Plan { conformance: true, timeout: Duration::from_secs(1), ..plan(&[""]) };
    plan.launch.args = vec!["no-verdict".to_owned()];
    let start = Instant::now();
    let run = measure(&plan).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "the suite is tried once, not in each cell");
    for sample in &run.samples {
        assert_eq!((sample.status, sample.reason.as_str()), (Status::Timeout, "conformance: no answer within 1s"));
    }
}

fn peak_memory_stays_unknown_if_its_runner_fails() {
    let marker = fresh_directory("one-start");
    let _ = fs::remove_file(&marker);
    let ends = vec!["no-peak".to_owned()];
    let does_not_start = vec!["one-start".to_owned(), marker.to_str().unwrap().to_owned()];
    for args in [ends, does_not_start] {
        let mut plan = Plan { peak: true, sizes: vec![3], ..plan(&[""]) };
        plan.iterations.remove(&Operation::UpdateCold);
        plan.launch.args = args;
        let run = measure(&plan).unwrap();
        assert_eq!(run.samples.len(), 5 * 2);
        assert!(run.samples.iter().all(|sample| sample.status == Status::Ok && sample.peak_bytes.is_none()));
    }
}

/// A run whose one cell never ends.
fn hanging() -> Plan {
    Plan { iterations: BTreeMap::from([(Operation::Update, 1)]), sizes: vec![3], ..plan(&["hangs"]) }
}

/// Even in the middle of a cell. Only Linux notifies a process when its parent ends, and lists processes in files.
fn a_runner_ends_with_its_parent() {
    if !cfg!(target_os = "linux") {
        return;
    }
    // The state and the parent follow the name, which is in brackets.
    let status_of = |process: &Path| {
        let stat = fs::read_to_string(process.join("stat")).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        Some((fields.next()?.to_owned(), fields.next()?.parse::<u32>().ok()?))
    };
    let mut parent =
        Command::new(std::env::current_exe().unwrap()).arg("hanging-parent").stderr(Stdio::null()).spawn().unwrap();
    let child_of = |parent: u32| {
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes.into_iter().find(|process| status_of(process).is_some_and(|status| status.1 == parent))
    };
    let runner = wait_for(|| child_of(parent.id()));
    // The runner needs time to reach its cell.
    std::thread::sleep(Duration::from_secs(1));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_for(|| status_of(&runner).is_none_or(|status| status.0 == "Z").then_some(()));
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the condition is not met within 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
