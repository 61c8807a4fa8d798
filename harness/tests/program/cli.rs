//! The command line from end to end: what it writes, what it prints, and its exit codes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use harness::registry::Registry;

const RUN: &[&str] = &["measure", "--operation", "create,remove,update", "--sizes", "4,6", "--iterations", "2"];

pub(crate) fn harness(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).current_dir(directory).output().unwrap()
}

/// Runs the program and returns its standard output. Its exit code must be `code`.
pub(crate) fn expect(code: i32, arguments: &[&str], directory: &Path) -> String {
    let output = harness(arguments, directory);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program and returns its standard error. Its exit code must be `code`, and its standard output empty.
pub(crate) fn complaint(code: i32, arguments: &[&str], directory: &Path) -> String {
    let output = harness(arguments, directory);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn empty_directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// The tables, without what is said about a busy machine.
fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with('|')).collect()
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

#[test]
fn usage_errors_say_what_to_try() {
    let directory = empty_directory("usage");
    let sizes = complaint(2, &["measure", "--sizes", "0"], &directory);
    assert!(sizes.contains("at least 2 members") && sizes.contains("--sizes 8,16,32"), "{sizes}");
    let range = complaint(2, &["measure", "--sizes", "8-16"], &directory);
    assert!(range.contains("a whole number") && range.contains("try --sizes 8,16,32"), "{range}");
    let backend = complaint(2, &["measure", "--backend", "nobody"], &directory);
    assert!(backend.contains("`nobody`") && backend.contains("dcgka"), "{backend}");
    let operation = complaint(2, &["measure", "--operation", "updat"], &directory);
    assert!(operation.contains("update-cold"), "{operation}");
    assert!(operation.contains("concurrent-updates:8") && operation.contains("partition-heal"), "{operation}");
    let number = complaint(2, &["measure", "--operation", "concurrent-updates"], &directory);
    assert!(number.contains("try concurrent-updates:8"), "{number}");
    let several = ["measure", "--operation", "update,concurrent-updates:16", "--sizes", "32,8"];
    let few = complaint(2, &several, &directory);
    assert!(few.contains("concurrent-updates:16 needs a group of at least 16 members"), "{few}");
    assert!(few.contains("--sizes 16"), "{few}");
    let halves = complaint(2, &["measure", "--operation", "partition-heal", "--sizes", "5"], &directory);
    assert!(halves.contains("at least 6 members") && halves.contains("--sizes 6"), "{halves}");
    let compared = complaint(2, &["compare", "--operation", "partition-heal"], &directory);
    assert!(compared.contains("`measure --operation partition-heal`"), "{compared}");
    assert!(complaint(2, &["measure", "--resume"], &directory).contains("--out"));
    assert!(complaint(2, &["measure", "--iterations", "0"], &directory).contains("iterations"));
    assert!(complaint(2, &["measure", "--sizes", "8,8"], &directory).contains("group size 8 is named twice"));
    assert!(complaint(2, &["measure", "--operation", "add,add"], &directory).contains("operation add is named twice"));
    let twice = complaint(2, &["measure", "--backend", "dcgka,pairwise,dcgka"], &directory);
    assert!(twice.contains("backend dcgka is named twice"), "{twice}");
    assert!(complaint(2, &["frobnicate"], &directory).contains("frobnicate"));
}

#[test]
fn every_number_has_an_upper_bound_that_the_error_names() {
    let directory = empty_directory("bounds");
    fs::write(directory.join("gate.toml"), "").unwrap();
    for (arguments, bound) in [
        (["measure", "--iterations"], "10000"),
        (["compare", "--iterations"], "10000"),
        (["reproduce", "--iterations"], "10000"),
        (["measure", "--sizes"], "2048"),
        (["compare", "--sizes"], "2048"),
        (["measure", "--timeout"], "604800"),
        (["conformance", "--size"], "2048"),
        (["measure", "--jobs"], "65535"),
        (["soak", "--jobs"], "65535"),
        (["soak", "--seconds"], "604800"),
        (["soak", "--steps"], "from 1 to "),
        (["soak", "--schedules"], "10000000000"),
        (["soak", "--seed"], "18446744073709551615"),
        (["measure", "--seed"], "18446744073709551615"),
        (["gate", "--timeout"], "604800"),
        (["gate", "--jobs"], "65535"),
    ] {
        let small = !["18446744073709551615", "10000000000"].contains(&bound);
        let values = ["99999999999999999999", "-1", "many"].into_iter().chain(small.then_some("4294967295"));
        for value in values {
            let said = complaint(2, &[arguments[0], &format!("{}={value}", arguments[1])], &directory);
            assert!(said.contains(bound), "{arguments:?} {value}: {said}");
        }
    }
    let many = ["measure", "--iterations", "10000", "--backend", "dcgka,pairwise"];
    let said = complaint(2, &many, &directory);
    assert!(said.contains("1440000 samples would be measured, but a run can have at most 1000000"), "{said}");
}

#[test]
fn too_many_threads_are_reduced_with_a_word() {
    let directory = empty_directory("threads");
    let output = harness(&with(RUN, &["--jobs", "20000"]), &directory);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("--jobs 20000 is more than 4 for each of "), "{said}");
}

#[test]
fn nothing_measured_is_no_success() {
    let directory = empty_directory("nothing");
    let run = ["measure", "--operation", "create-mesh", "--sizes", "4", "--out", "run"];
    let output = harness(&run, &directory);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("nothing was measured: dcgka/create-mesh/4/0: the backend has no such"), "{said}");
    for made in [&["plot", "run"][..], &["report", "run"], &["export", "paper", "run"], &["export", "gha", "run"]] {
        assert!(complaint(4, made, &directory).contains("no sample of the run in run counts"), "{made:?}");
    }
    let several =
        ["measure", "--backend", "dcgka,dcgka:published", "--operation", "concurrent-updates:2", "--sizes", "3"];
    expect(0, &with(&several, &["--iterations", "1", "--out", "several"]), &directory);
    assert!(complaint(4, &["plot", "several"], &directory).contains("nothing to draw"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_on_a_busy_machine_says_so_in_its_table_and_its_manifest() {
    let directory = empty_directory("busy");
    let mut other = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let table = expect(0, &["measure", "--operation", "update", "--sizes", "16", "--out", "run"], &directory);
    other.kill().unwrap();
    other.wait().unwrap();
    let manifest = fs::read_to_string(directory.join("run/manifest.json")).unwrap();
    for text in [&table, &manifest] {
        assert!(text.contains("other processes kept ") && text.contains(" processors busy of "), "{text}");
    }
    // It is not forgotten if the run is resumed when the machine is quiet.
    let resume = ["measure", "--operation", "update", "--sizes", "16", "--out", "run", "--resume"];
    assert!(expect(0, &resume, &directory).contains("other processes kept "));
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let directory = empty_directory("bytes");
    let name = std::ffi::OsStr::from_bytes(b"d\xff");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = command.args(arguments).arg(name).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&with(RUN, &["--out"]));
    let manifest = fs::read_to_string(directory.join(name).join("manifest.json")).unwrap();
    assert!(manifest.contains("\"d\\\\xff\""), "{manifest}");
    run(&["plot"]);
    run(&["report"]);
    run(&["export", "paper"]);
}

#[test]
fn a_second_run_in_a_directory_is_refused_and_the_first_is_whole() {
    let directory = empty_directory("second");
    let backends = "dcgka,dcgka:published";
    let first = ["compare", "--backend", backends, "--operation", "update", "--sizes", "8", "--iterations", "20"];
    let mut running = Command::new(env!("CARGO_BIN_EXE_harness"));
    let mut running = running.args(first).current_dir(&directory).stdout(std::process::Stdio::null()).spawn().unwrap();
    let samples = directory.join("results/compare/samples.jsonl");
    wait_for(&samples);
    for second in [&with(&first, &["--seed", "2"])[..], &with(&first, &["--resume"]), &["plot", "results/compare"]] {
        let said = complaint(1, second, &directory);
        assert!(said.contains(&format!("process {} is writing to results/compare", running.id())));
    }
    assert!(running.wait().unwrap().success());
    expect(0, &["plot", "results/compare"], &directory);
    expect(0, &with(&first, &["--resume"]), &directory);
    assert_eq!(fs::read_to_string(samples).unwrap().lines().count(), 40);
}

/// As a build does that goes on meanwhile. Runners start one after the other.
#[cfg(target_os = "linux")]
#[test]
fn a_run_goes_on_with_its_own_program_if_another_takes_its_place() {
    let directory = empty_directory("replaced");
    let program = directory.join("harness");
    fs::copy(env!("CARGO_BIN_EXE_harness"), &program).unwrap();
    let arguments = ["measure", "--operation", "update", "--sizes", "4,5,6,7,8", "--iterations", "3", "--out", "run"];
    let mut running = Command::new(&program);
    let running = running.args(arguments).current_dir(&directory).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for(&directory.join("run/manifest.json"));
    fs::write(directory.join("another"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::rename(directory.join("another"), &program).unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(directory.join("run/samples.jsonl")).unwrap().lines().count(), 15);
}

fn wait_for(file: &Path) {
    let start = std::time::Instant::now();
    while !file.exists() && start.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_unwritable_directory_is_an_error() {
    let directory = empty_directory("unwritable");
    fs::write(directory.join("file"), "").unwrap();
    let text = complaint(1, &with(RUN, &["--out", "file/run"]), &directory);
    assert!(text.contains("cannot write to file/run") && text.contains("; try a directory"), "{text}");
    assert!(complaint(1, &["reproduce", "--quick", "--out", "file"], &directory).contains("file"));
    assert_eq!(fs::read(directory.join("file")).unwrap(), b"");
}

#[test]
fn a_run_is_measured_recorded_drawn_and_exported() {
    let directory = empty_directory("whole");
    let table = expect(0, &with(RUN, &["--out", "run"]), &directory);
    assert!(table.lines().any(|line| line.starts_with("| dcgka   | update    |       6 |       2 |")), "{table}");
    assert_eq!(rows(&table).len(), 2 + 6);
    // Another run does not replace it. The same run, resumed, has nothing left to do.
    assert!(complaint(2, &with(RUN, &["--out", "run"]), &directory).contains("already holds a run"));
    assert!(complaint(2, &with(RUN, &["--out", "run", "--resume", "--seed", "9"]), &directory).contains("seed"));
    assert_eq!(rows(&expect(0, &with(RUN, &["--out", "run", "--resume"]), &directory)), rows(&table));
    expect(0, &["plot", "run"], &directory);
    expect(0, &["export", "paper", "run", "--out", "paper"], &directory);
    let mut names: Vec<String> = fs::read_dir(directory.join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let made = "cpu.png cpu.svg manifest.json measurements.csv samples.jsonl traffic.png traffic.svg";
    assert_eq!(names.join(" "), made);
    let time = fs::read_to_string(directory.join("paper/time.csv")).unwrap();
    // Remove and update, each in two iterations: a row for each member of the groups of 4 and 6.
    assert_eq!(time.lines().count(), 1 + 2 * 2 * (4 + 6));
    assert_eq!(fs::read_to_string(directory.join("paper/traffic.csv")).unwrap().lines().count(), 1 + 2 * 2 * 2);
}

#[test]
fn data_comes_in_three_forms_and_repeats() {
    let directory = empty_directory("forms");
    let csv = expect(0, &with(RUN, &["--format", "csv"]), &directory);
    assert!(csv.starts_with("backend,variant,operation,group_size,role,phase,kind,metric,of,unit,samples,min,"));
    let exact = |csv: &str| -> Vec<String> {
        csv.lines()
            .filter(|line| !line.contains("cpu_ns") && !line.contains("_floor") && !line.contains("peak_"))
            .map(str::to_owned)
            .collect()
    };
    assert!(
        exact(&csv).iter().any(|line| line.starts_with("dcgka,-,update,6,group,all,all,bytes_sent,role,B,2,")),
        "{csv}"
    );
    assert_eq!(exact(&csv), exact(&expect(0, &with(RUN, &["--format", "csv", "--jobs", "1"]), &directory)));
    let json = expect(0, &with(RUN, &["--format", "json"]), &directory);
    assert_eq!(json.lines().count(), 3 * 2 * 2);
    assert!(json.lines().all(|line| line.starts_with("{\"schema\":1,") && line.contains("\"status\":\"ok\"")));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "without --out there are no files");
    assert!(expect(0, &["list", "--format", "csv"], &directory).contains("\ndcgka,-,true,"));
}

#[test]
fn operations_of_several_members_are_measured_by_name() {
    let directory = empty_directory("several");
    let run = ["measure", "--operation", "concurrent-updates:10,partition-heal,concurrent-updates:2", "--sizes", "10"];
    let table = expect(0, &with(&run, &["--iterations", "1", "--out", "run"]), &directory);
    let starts = |start: &str| table.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    let found = starts("| dcgka ");
    // Each is in the table of all operations and in that of operations of several members. Fewer updates precede more.
    assert!(found.len() == 6 && found[0].contains("updates:2 ") && found[4].contains("updates:10 "), "{table}");
    assert!(found[3].contains(" 18 ack (1512 B), 2 update (2992 B) "), "{table}");
    assert!(found[5].contains("|       1 | ") && found[5].contains(", 3 update ("), "{table}");
    let csv = fs::read_to_string(directory.join("run/measurements.csv")).unwrap();
    for row in [
        "sender,speak,update,messages,role,messages,1,1,",
        "joiner,heal,-,cpu_ns,member,ns,2,",
        "sender,all,-,cpu_ns,member,ns,2,",
    ] {
        assert!(csv.contains(&format!("\ndcgka,-,partition-heal,10,{row}")), "{row}: {csv}");
    }
    let again = expect(0, &with(&run, &["--iterations", "1", "--out", "run", "--resume"]), &directory);
    assert_eq!(rows(&again), rows(&table));
}

/// Copies a small comparison of the library's backends, which is made once, to `root`/`name`. Returns its command line and
/// what was printed.
pub(super) fn comparison(root: &Path, name: &str) -> (Vec<String>, String) {
    static MADE: OnceLock<(PathBuf, Vec<String>, String)> = OnceLock::new();
    let (made, run, printed) = MADE.get_or_init(|| {
        let directory = empty_directory("comparison");
        // The program may have more backends than the library.
        let backends = Registry::built_in().names().collect::<Vec<_>>().join(",");
        let run = ["compare", "--backend", &backends, "--sizes", "2,3", "--iterations", "1", "--out", "run"];
        let printed = expect(0, &run, &directory);
        (directory.join("run"), run.map(str::to_owned).to_vec(), printed)
    });
    let directory = root.join(name);
    fs::create_dir_all(&directory).unwrap();
    for entry in fs::read_dir(made).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
    }
    (run.clone(), printed.clone())
}

#[test]
fn backends_are_compared_side_by_side() {
    let directory = empty_directory("compare");
    let (run, tables) = comparison(&directory, "run");
    let run: Vec<&str> = run.iter().map(String::as_str).collect();
    assert!(tables.contains("## 3 members") && tables.contains("| dcgka without acks"), "{tables}");
    let names = || {
        let files = fs::read_dir(directory.join("run")).unwrap();
        let mut names: Vec<String> = files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    let figures = "compare-cpu.png compare-cpu.svg compare-overview.png compare-overview.svg compare-traffic.png \
                   compare-traffic.svg";
    let data = "manifest.json measurements.csv samples.jsonl summary.md";
    assert_eq!(names(), format!("{figures} compare.csv {data}"));
    let csv = fs::read_to_string(directory.join("run/compare.csv")).unwrap();
    assert!(csv.contains("\nmessage,3,dcgka,whole,group,bytes_sent,B,123,,,,1,ok\n"), "{csv}");
    fs::remove_file(directory.join("run/compare-cpu.svg")).unwrap();
    expect(0, &["plot", "run"], &directory);
    assert_eq!(names(), format!("{figures} compare.csv {data}"));
    assert!(complaint(2, &run, &directory).contains("already holds a run"));
    assert!(complaint(2, &["report", "--readme", "run/summary.md", "run"], &directory).contains("BEGIN compare"));
    assert!(complaint(1, &["report", "--readme", "nowhere.md", "run"], &directory).contains("nowhere.md"));
}

#[test]
fn a_comparison_need_not_have_what_a_readme_shows() {
    let directory = empty_directory("part");
    let alone = ["compare", "--backend", "dcgka", "--operation", "add", "--sizes", "3", "--iterations", "1"];
    let tables = expect(0, &with(&alone, &["--out", "alone"]), &directory);
    // It stays a comparison, although it has one backend.
    assert!(expect(0, &["report", "alone"], &directory).contains("alone/compare.csv"));
    let again = fs::read_to_string(directory.join("alone/summary.md")).unwrap();
    assert!(tables.starts_with(&again) && again.starts_with("# Backends side by side"), "{again}");
    assert!(expect(0, &["plot", "alone"], &directory).contains("alone/compare-traffic.svg"));
    let backends = "dcgka,dcgka:published";
    let run = ["compare", "--backend", backends, "--operation", "create", "--sizes", "2,3", "--out", "run"];
    let run = with(&run, &["--iterations", "1", "--reference", "dcgka:published"]);
    let tables = expect(0, &run, &directory);
    assert!(tables.contains("with dcgka:published as the reference") && tables.contains("### create"), "{tables}");
    assert!(directory.join("run/compare-traffic.svg").exists() && !directory.join("run/compare-overview.svg").exists());
    // The tables are made again with the same reference.
    let read = |name: &str| fs::read_to_string(directory.join("run").join(name)).unwrap();
    let before = (read("summary.md"), read("compare.csv"));
    expect(0, &["report", "run"], &directory);
    assert_eq!((read("summary.md"), read("compare.csv")), before);
}

#[test]
fn the_reference_must_be_measured() {
    let directory = empty_directory("reference");
    let unknown = complaint(2, &["compare", "--reference", "nobody"], &directory);
    assert!(unknown.contains("`nobody`") && unknown.contains("try dcgka, dcgka:published"), "{unknown}");
    let other = complaint(2, &["compare", "--backend", "pairwise,sender-keys"], &directory);
    assert!(other.contains("`dcgka` is not among") && other.contains("pairwise, sender-keys:eager"), "{other}");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn torn_runs_and_runs_of_other_versions_are_refused() {
    let directory = empty_directory("torn");
    assert!(complaint(1, &["plot", "run"], &directory).contains("holds no run"));
    expect(0, &with(RUN, &["--out", "run"]), &directory);
    let samples = directory.join("run/samples.jsonl");
    let whole = fs::read_to_string(&samples).unwrap();
    fs::write(&samples, &whole[..whole.len() - 30]).unwrap();
    assert!(complaint(4, &["plot", "run"], &directory).contains("--resume"));
    assert!(complaint(4, &["export", "paper", "run"], &directory).contains("11 of 12"));
    expect(0, &with(RUN, &["--out", "run", "--resume"]), &directory);
    expect(0, &["plot", "run"], &directory);
    fs::write(&samples, whole.replace("\"schema\":1", "\"schema\":2")).unwrap();
    assert!(complaint(5, &["plot", "run"], &directory).contains("not comparable"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_so_and_can_be_resumed() {
    use std::io::Read as _;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    for signal in ["-INT", "-TERM"] {
        let directory = empty_directory("interrupted");
        let arguments = ["measure", "--operation", "update", "--sizes", "8", "--iterations", "60", "--out", "run"];
        let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(arguments)
            .current_dir(&directory)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let samples = directory.join("run/samples.jsonl");
        let start = Instant::now();
        while fs::metadata(&samples).map_or(0, |file| file.len()) == 0 && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(status.code(), Some(130), "{text}");
        assert!(text.contains("--resume"), "{text}");
        let before = fs::read_to_string(&samples).unwrap();
        complaint(4, &["plot", "run"], &directory);
        expect(0, &with(&arguments, &["--resume"]), &directory);
        expect(0, &["plot", "run"], &directory);
        let after = fs::read_to_string(&samples).unwrap();
        assert!(after.starts_with(&before) && after.lines().count() == 60);
    }
}

#[test]
fn the_suite_alone_says_what_it_checked_and_what_an_attacker_tried() {
    let directory = empty_directory("conformance");
    let printed = expect(0, &["conformance", "--backend", "sender-keys:lazy"], &directory);
    assert!(printed.starts_with("# sender-keys:lazy: passes "), "{printed}");
    let row = |start: &str| rows(&printed).into_iter().find(|row| row.contains(start)).map(str::to_owned);
    assert!(row("hostile network").is_some() && row("operations").is_some(), "{printed}");
    let removed = row("the state of a removed member").unwrap_or_default();
    assert!(removed.contains("2, 3, 5, 8") && removed.contains("from before the removal"), "{printed}");
    // It declares no update, so there is nothing to heal.
    assert!(!printed.contains("update"), "{printed}");
    let large = expect(0, &["conformance", "--backend", "sender-keys:lazy", "--size", "9"], &directory);
    let large = large.strip_prefix(&printed).unwrap_or_default();
    assert!(large.starts_with("# sender-keys:lazy in a group of 9: passes ") && large.contains("secrecy"), "{large}");
    let unknown = complaint(2, &["conformance", "--backend", "nobody"], &directory);
    assert!(unknown.contains("`nobody`") && unknown.contains("dcgka"), "{unknown}");
}

#[test]
fn attacks_are_recorded_and_drawn() {
    let directory = empty_directory("attacks");
    let attack = ["security", "--quick", "--backend", "sender-keys:lazy", "--out", "found"];
    let text = expect(0, &attack, &directory);
    assert!(text.contains("| own-update ") && text.contains("| sender-keys:lazy | never "), "{text}");
    assert!(text.contains("`taken-twice`: a state is taken, its owner updates"), "{text}");
    let found = directory.join("found");
    assert_eq!(fs::read_to_string(found.join("summary.md")).unwrap(), text.split("Made in ").next().unwrap());
    let rows = fs::read_to_string(found.join("situations.csv")).unwrap();
    assert!(rows.contains("\nsender-keys:lazy,own-update,measured,6,6,6,6,5,5,true,\n"), "{rows}");
    let exposed = fs::read_to_string(found.join("exposure.csv")).unwrap();
    assert!(
        exposed.lines().count() == 2 && exposed.contains("\nsender-keys:lazy,true,never,measured,16,200,"),
        "{exposed}"
    );
    for name in ["absence.csv", "findings.json", "exposure-bytes.svg", "exposure-cpu.png"] {
        assert!(found.join(name).exists(), "{name}");
    }
    // The same seed exposes the same messages.
    let again = ["security", "--quick", "--backend", "sender-keys:lazy", "--out", "again"];
    expect(0, &again, &directory);
    for name in ["situations.csv", "absence.csv"] {
        assert_eq!(fs::read(found.join(name)).unwrap(), fs::read(directory.join("again").join(name)).unwrap());
    }
    let figure = fs::read(found.join("exposure-cpu.svg")).unwrap();
    fs::remove_file(found.join("exposure-cpu.svg")).unwrap();
    assert_eq!(expect(0, &["plot", "found"], &directory).lines().count(), 4);
    assert_eq!(fs::read(found.join("exposure-cpu.svg")).unwrap(), figure);
    let earlier = complaint(2, &attack, &directory);
    assert!(earlier.contains("found has a findings.json already; try another --out"), "{earlier}");
    let unknown = complaint(2, &["security", "--backend", "dcgka,nobody"], &directory);
    assert!(unknown.contains("`nobody`") && unknown.contains("dcgka"), "{unknown}");
    let twice = complaint(2, &["security", "--backend", "dcgka,dcgka"], &directory);
    assert!(twice.contains("backend dcgka is named twice"), "{twice}");
    assert!(!directory.join("results").exists());
}
