//! The gate from end to end: what it finds, what it prints, its exit codes, and that no file is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use harness::system::command::command;

/// Of the three operations, dcgka does not have `create-mesh`.
const CONFIG: &str = "seed = 1\ngroup_size = 4\noperations = [\"create\", \"update\", \"create-mesh\"]\n\
                      backends = [\"dcgka\"]\n[instructions]\nbackends = [\"dcgka\"]\n\
                      [time]\nbackends = [\"dcgka\"]\ngroups = 1\nruns = 2\n";
const GATE: &[&str] = &["gate", "--exact", "--baseline", "baseline.json"];
/// Instructions in a baseline, recorded under other conditions.
const INSTRUCTIONS: &str = "\"instructions\": {\"conditions\": {\"rustc\": \"rustc of tomorrow\", \"target\": \"\", \"profile\": \"\", \
                            \"rustflags\": \"\", \"libc\": \"\", \"valgrind\": \"\", \"cpu\": {\"curve_backend\": \"\", \"features\": []}}, \
                            \"cells\": {\"dcgka/update/4\": {\"sender\": 1, \"recipient\": 1}}}";
const UPDATE: &[&str] = &["--update-baseline", "--reason", "a test"];

fn harness(arguments: &[&[&str]], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments.concat()).current_dir(directory);
    command.output().unwrap()
}

/// Runs the program and returns its standard output. Its exit code must be `code`.
fn expect(code: i32, arguments: &[&[&str]], directory: &Path) -> String {
    let output = harness(arguments, directory);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program and returns its standard error. Its exit code must be `code`.
fn complaint(code: i32, arguments: &[&[&str]], directory: &Path) -> String {
    let output = harness(arguments, directory);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
    complaint
}

/// A directory with a configuration.
fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("gate.toml"), CONFIG).unwrap();
    directory
}

/// A directory with a configuration and the baseline of this build, which is recorded once.
fn directory_with_baseline(name: &str) -> PathBuf {
    static RECORDED: OnceLock<String> = OnceLock::new();
    let text = RECORDED.get_or_init(|| {
        let directory = directory("recorded");
        expect(0, &[GATE, UPDATE], &directory);
        baseline(&directory)
    });
    let directory = directory(name);
    fs::write(directory.join("baseline.json"), text).unwrap();
    directory
}

fn baseline(directory: &Path) -> String {
    fs::read_to_string(directory.join("baseline.json")).unwrap()
}

/// Replaces a part of the baseline. The baseline must contain it.
fn alter(directory: &Path, from: &str, to: &str) {
    let text = baseline(directory);
    assert!(text.contains(from), "{from}");
    fs::write(directory.join("baseline.json"), text.replace(from, to)).unwrap();
}

#[test]
fn a_build_passes_its_own_baseline_and_what_has_changed_is_named() {
    let directory = directory_with_baseline("own");
    let text = baseline(&directory);
    assert!(
        text.contains("\"reason\": \"a test\"") && text.contains("\"commit\"") && text.contains("\"dirty\""),
        "{text}"
    );
    assert!(text.contains("\"dcgka/create-mesh/4\": null"), "{text}");
    let said = expect(0, &[&GATE[..1], &GATE[2..]], &directory);
    let counts =
        "cells: 2 compared, 0 new, 0 missing, 1 unsupported; instructions: 0 compared, 0 new, 0 missing, 1 skipped";
    assert!(said.starts_with(&format!("gate passed: no cost has grown ({counts})\n")), "{said}");
    assert!(said.contains("instructions are not compared: the baseline has none"), "{said}");

    // As if acknowledgements had been a byte shorter, and recipients had generated more keys.
    alter(&directory, "\"bytes_sent/ack\": 252", "\"bytes_sent/ack\": 249");
    alter(&directory, "\"op.keygen/recipient/process\": 3", "\"op.keygen/recipient/process\": 6");
    let table = expect(3, &[GATE, &["--out", "report"]], &directory);
    assert!(table.contains("gate failed: 2 costs"), "{table}");
    let row = table.lines().find(|line| line.contains("dcgka/update/4") && line.contains("bytes_sent/ack")).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let cause = "+1 B in each of 3 messages of kind `ack`";
    let expected = ["regression", "dcgka/update/4", "bytes_sent/ack", "249", "252", "+1.20 %", cause];
    assert_eq!(cells, expected);
    let row = table.lines().find(|line| line.contains("op.keygen/recipient")).unwrap();
    assert!(row.contains("cheaper") && row.contains("-3 in phase process"), "{row}");
    assert!(table.contains("Record what is cheaper or new as the baseline"), "{table}");
    assert!(table.contains("If an increase is meant, record it: `gate --update-baseline"), "{table}");
    let markdown = fs::read_to_string(directory.join("report/gate.md")).unwrap();
    assert!(
        markdown.contains("### Costs of group operations") && markdown.contains("recorded because: a test"),
        "{markdown}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(directory.join("report/gate.json")).unwrap()).unwrap();
    assert_eq!(json["outcome"], "regression");
    assert_eq!(json["changes"].as_array().unwrap().len(), 3);
    // An increase that is tolerated is no regression.
    let tolerated = &["--threshold", "bytes_sent=0.02"];
    let said = expect(0, &[GATE, tolerated], &directory);
    assert!(said.contains("gate passed") && said.contains("grown by no more than is tolerated: 2; "), "{said}");
    // Recording it is no failure either.
    let said = expect(0, &[GATE, UPDATE, &["--out", "report"]], &directory);
    assert!(said.contains("baseline recorded: 2 costs have grown") && !said.contains("failed"), "{said}");
    let json = fs::read_to_string(directory.join("report/gate.json")).unwrap();
    assert!(json.contains("\"outcome\": \"recorded\"") && json.contains("\"dirty\": "), "{json}");
    assert!(expect(0, &[GATE], &directory).contains("gate passed"));
}

#[test]
fn a_cell_that_is_not_compared_is_named_and_the_gate_is_incomplete() {
    let directory = directory_with_baseline("coverage");
    let before = baseline(&directory);
    let with_config = |from: &str, to: &str| {
        assert!(CONFIG.contains(from));
        fs::write(directory.join("gate.toml"), CONFIG.replace(from, to)).unwrap();
    };
    let narrowed = "\"create\", ";
    with_config("group_size = 4", "group_size = 5");
    let said = expect(4, &[GATE], &directory);
    assert!(said.starts_with("gate incomplete: nothing was compared (cells: 0 compared, 3 new, 3 missing; "), "{said}");
    let missing =
        "missing: dcgka/create-mesh/4, dcgka/create/4, dcgka/update/4: in the baseline, but not in the config";
    assert!(said.contains(missing), "{said}");
    // A narrower baseline must be asked for.
    with_config(narrowed, "");
    let said = complaint(4, &[GATE, UPDATE], &directory);
    assert!(said.contains("is left as it was, because it has cells") && said.contains("try --drop-missing"), "{said}");
    assert_eq!(baseline(&directory), before);
    // A recorded cell with another name.
    alter(&directory, "\"dcgka/update/4\"", "\"old/update/4\"");
    with_config("", "");
    let said = expect(4, &[GATE], &directory);
    assert!(
        said.contains("missing: old/update/4: ") && said.contains("(cells: 1 compared, 1 new, 1 missing, 1 unsup"),
        "{said}"
    );
    assert!(said.lines().any(|line| line.starts_with("| new ") && line.contains("| dcgka/update/4 ")), "{said}");
    with_config(narrowed, "");
    let said = expect(0, &[GATE, UPDATE, &["--drop-missing"]], &directory);
    assert!(said.starts_with("baseline recorded: no cost has grown (cells: 0 compared, 1 new, 2 missing, "), "{said}");
    assert!(said.contains("the new baseline lacks what the earlier one has: dcgka/create/4, old/update/4"), "{said}");
    // A cell without figures has nothing to compare with, and is not made of one that had some without a word.
    with_config("", "");
    let mut value: serde_json::Value = serde_json::from_str(&before).unwrap();
    let cell = value["cells"]["dcgka/update/4"].take();
    fs::write(directory.join("baseline.json"), value.to_string()).unwrap();
    assert!(expect(0, &[GATE], &directory).contains("(cells: 1 compared, 1 new, 0 missing, 1 unsupported; "));
    value["cells"]["dcgka/create/4"] = serde_json::Value::Null;
    fs::write(directory.join("baseline.json"), value.to_string()).unwrap();
    assert!(expect(4, &[GATE], &directory).contains("nothing was compared (cells: 0 compared, 2 new, 0 missing, "));
    value["cells"]["dcgka/create-mesh/4"] = cell;
    fs::write(directory.join("baseline.json"), value.to_string()).unwrap();
    let said = expect(4, &[GATE, UPDATE], &directory);
    assert!(said.contains("the new baseline would lack what the earlier one has: dcgka/create-mesh/4\n"), "{said}");
    // Instructions are no longer asked for.
    fs::write(directory.join("baseline.json"), before).unwrap();
    alter(&directory, "\"instructions\": null", INSTRUCTIONS);
    with_config("[instructions]\nbackends = [\"dcgka\"]", "[instructions]\nbackends = []");
    let said = expect(4, &[GATE], &directory);
    assert!(said.contains("missing: instructions of dcgka/update/4: "), "{said}");
    with_config("", "");
    let said = expect(4, &[GATE, UPDATE], &directory);
    assert!(said.contains("earlier one has: instructions of dcgka/update/4"), "{said}");
}

#[test]
fn a_directory_that_is_written_is_left_to_one_gate() {
    use harness::system::directory::Directory;
    let directory = directory_with_baseline("locked");
    let report = Directory::lock(&directory.join("report")).unwrap();
    let said = complaint(1, &[GATE, &["--out", "report"]], &directory);
    assert!(said.contains("is writing to report"), "{said}");
    expect(0, &[GATE], &directory);
    drop(report);
    let here = Directory::lock(&directory).unwrap();
    assert!(complaint(1, &[GATE, UPDATE], &directory).contains(" is writing to "));
    expect(0, &[GATE, &["--out", "report"]], &directory);
    drop(here);
    // A file that is read is not taken for an earlier report.
    let text = baseline(&directory);
    fs::create_dir_all(directory.join("report")).unwrap();
    fs::copy(directory.join("baseline.json"), directory.join("report/gate.json")).unwrap();
    let named = &["gate", "--exact", "--baseline", "report/gate.json", "--out", "report"];
    for arguments in [&[&named[..]][..], &[named, UPDATE]] {
        assert!(complaint(2, arguments, &directory).contains("would be overwritten by the report; try another --out"));
    }
    assert_eq!(fs::read_to_string(directory.join("report/gate.json")).unwrap(), text);
    // Both files may be in one directory. A report of an earlier gate does not stay if this one cannot begin.
    expect(0, &[GATE, UPDATE, &["--out", "."]], &directory);
    assert!(directory.join("gate.md").exists());
    fs::write(directory.join("baseline.json"), "{}").unwrap();
    complaint(1, &[GATE, &["--out", "."]], &directory);
}

#[test]
fn instructions_are_not_compared_under_other_conditions() {
    let directory = directory_with_baseline("conditions");
    let gate = &["gate", "--baseline", "baseline.json"];
    alter(&directory, "\"instructions\": null", INSTRUCTIONS);
    let said = expect(0, &[gate], &directory);
    let why = said.lines().find(|line| line.contains("instructions are not compared")).unwrap();
    assert!(why.contains("was `rustc of tomorrow`") || why.contains("no valgrind"), "{why}");
}

#[test]
fn bad_files_are_named_and_left_alone() {
    let directory = directory_with_baseline("bad");
    let good = baseline(&directory);
    let broken = [
        (good[..good.len() / 2].to_owned(), "EOF"),
        ("{}".to_owned(), "it has no `schema`"),
        (
            good.replace("\"schema\": 1", "\"schema\": 0"),
            "has version 0 of the format, but this program reads and writes version 1",
        ),
        (good.replace("bytes_sent/ack", "bytes_lost/ack"), "there is no metric `bytes_lost/ack`"),
        (good.replace("\"seed\": 1", "\"seed\": 1, \"sed\": 1"), "unknown field `sed`"),
        (
            good.replacen("\"bytes_sent/ack\":", "\"bytes_sent/ack\": 1, \"bytes_sent/ack\":", 1),
            "`bytes_sent/ack` is there twice",
        ),
        (good.replace("\"dcgka/create-mesh/4\"", "\"dcgka/update/4\""), "`dcgka/update/4` is there twice"),
    ];
    for (text, reason) in broken {
        fs::write(directory.join("baseline.json"), &text).unwrap();
        for arguments in [&[GATE][..], &[GATE, UPDATE]] {
            let said = complaint(1, arguments, &directory);
            assert!(said.contains("baseline.json") && said.contains(reason) && said.contains("try "), "{said}");
            assert_eq!(baseline(&directory), text);
        }
    }
    fs::remove_file(directory.join("baseline.json")).unwrap();
    assert!(complaint(1, &[GATE], &directory).contains("gate --update-baseline --reason"));
    fs::write(directory.join("baseline.json"), good.replace("\"seed\": 1", "\"seed\": 2")).unwrap();
    assert!(complaint(5, &[GATE], &directory).contains("recorded with seed 2"));

    let bad_config = |from: &str, to: &str| {
        fs::write(directory.join("gate.toml"), CONFIG.replace(from, to)).unwrap();
        complaint(2, &[GATE], &directory)
    };
    assert!(
        bad_config("[time]", "[thresholds]\n\"op.magic\" = 0.1\n[time]")
            .contains("no metric `op.magic`; try one of these: messages")
    );
    assert!(bad_config("[time]", "[thresholds]\ninstructions = -0.1\n[time]").contains("try a fraction"));
    assert!(bad_config("[\"dcgka\"]\n[i", "[\"nobody\"]\n[i").contains("`nobody`"));
    assert!(bad_config("\"update\"", "\"updat\"").contains("`updat`"));
    assert!(bad_config("seed = 1", "sed = 1").contains("gate.toml"));
    assert!(bad_config("group_size = 4", "group_size = 1").contains("at least 2"));
    assert!(bad_config("group_size = 4", "group_size = 4294967295").contains("at most 2048"));
    assert!(bad_config("runs = 2", "runs = 4294967295").contains("more than 10000 pairs"));
    assert!(bad_config("\"update\"", "\"create\"").contains("operation create is named twice"));
    assert!(bad_config("[\"dcgka\"]\n[i", "[\"dcgka\", \"dcgka\"]\n[i").contains("backend dcgka is named twice"));
    assert!(complaint(2, &[GATE, &["--config", "none.toml"]], &directory).contains("cannot read none.toml"));
}

#[test]
fn wrong_usage_says_what_to_try() {
    let directory = directory("usage");
    assert!(complaint(2, &[GATE, &["--update-baseline"]], &directory).contains("--reason"));
    assert!(complaint(2, &[GATE, &["--update-baseline", "--reason", ""]], &directory).contains("--reason"));
    assert!(complaint(2, &[GATE, &["--reason", "why"]], &directory).contains("--update-baseline"));
    assert!(complaint(2, &[GATE, &["--time-gates"]], &directory).contains("--against"));
    assert!(complaint(2, &[GATE, &["--threshold", "instructions"]], &directory).contains("instructions=0.02"));
    assert!(complaint(2, &[GATE, &["--threshold", "magic=0.1"]], &directory).contains("no metric `magic`"));
    // Outside of the repository around the tests.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("gate.toml"), CONFIG).unwrap();
    let said = complaint(2, &[GATE, &["--against", "HEAD"]], outside.path());
    assert!(said.contains("not a git repository") && said.contains("; try "), "{said}");
    let made = command("git").args(["init", "--quiet"]).current_dir(outside.path()).status().unwrap();
    assert!(made.success());
    let said = complaint(2, &[GATE, &["--against", "no-such-branch"]], outside.path());
    assert!(said.contains("no revision `no-such-branch`") && said.contains("try "), "{said}");
}

#[test]
fn a_gate_that_cannot_measure_updates_nothing() {
    let directory = directory_with_baseline("incomplete");
    let before = baseline(&directory);
    // A group of this size takes dcgka longer to create than the time limit.
    let timeout = &["--timeout", "1"];
    fs::write(directory.join("gate.toml"), CONFIG.replace("group_size = 4", "group_size = 600")).unwrap();
    let said = complaint(4, &[GATE, UPDATE, timeout], &directory);
    assert!(said.contains("left as it was"), "{said}");
    assert_eq!(baseline(&directory), before);
}
