//! Backends behind a pipe, from end to end: the toy in Python, as it is and with faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::{empty_directory, expect, harness};

const TOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/python-toy");
/// Where a call begins.
const CALL: &str = "    call, number = request[\"call\"], request.get(\"member\")\n";

/// Whether there is a Python. Without it, these tests show nothing.
fn python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED: there is no python3, so nothing is tested here");
    }
    found
}

/// A directory with a copy of the toy, which does this at the beginning of a call.
fn with_toy(test: &str, fault: &str) -> PathBuf {
    let directory = empty_directory(test);
    let copy = directory.join("backends/python-toy");
    fs::create_dir_all(copy.join("src")).unwrap();
    fs::copy(Path::new(TOY).join("backend.toml"), copy.join("backend.toml")).unwrap();
    let text = fs::read_to_string(Path::new(TOY).join("src/toy.py")).unwrap();
    assert_eq!(text.matches(CALL).count(), 1);
    let fault = if fault.is_empty() { String::new() } else { format!("    import time\n    if {fault}\n") };
    fs::write(copy.join("src/toy.py"), text.replace(CALL, &format!("{CALL}{fault}"))).unwrap();
    directory
}

fn measures(backends: &str) -> [&str; 9] {
    ["compare", "--backend", backends, "--operation", "update,message", "--sizes", "4", "--iterations", "1"]
}

#[test]
fn a_backend_in_python_is_built_listed_and_compared() {
    if !python() {
        return;
    }
    let directory = with_toy("piped", "");
    let before = expect(0, &["backends"], &directory);
    assert!(before.contains("python-toy 1") && before.contains("not built"), "{before}");
    let built = expect(0, &["backends", "--build", "all"], &directory);
    assert!(built.contains("| built | python-toy"), "{built}");
    let list = expect(0, &["list"], &directory);
    assert!(list.contains("adapts: python-toy 1\n") && list.contains("counted: nothing\n"), "{list}");

    let all = expect(0, &measures("dcgka,python-toy"), &directory);
    assert!(all.contains("\n| python-toy [a] "), "{all}");
    assert!(all.contains("in another program, whose CPU time includes its JSON and base64"), "{all}");
    assert!(!all.contains("FAILS") && !all.contains("python-toy fails"), "{all}");
    // What is not built is as new as its sources.
    fs::write(directory.join("backends/python-toy/src/more.py"), "").unwrap();
    let still = expect(0, &["backends"], &directory);
    assert!(still.contains("| built | python-toy"), "{still}");
}

#[test]
fn a_program_that_fails_has_rows_that_say_so_and_the_others_are_measured() {
    if !python() {
        return;
    }
    for (test, fault, status, reason) in [
        ("piped-crash", "call == \"create\": sys.exit(3)", "crash", "in `create`: it has ended: exit status: 3"),
        ("piped-garbage", "call == \"create\": print(\"nonsense\", flush=True)", "crash", "its line is no answer"),
        ("piped-hang", "call == \"create\": time.sleep(600)", "timeout", "no answer within 3s"),
        ("piped-busy", "call == \"create\":\n        while True: pass", "timeout", "no answer within 3s"),
        ("piped-lies", "call == \"create\": return {\"outgoing\": []}", "refused", "no participant is in a group"),
        ("piped-late", "call == \"new-user\" and number > 1: sys.exit(4)", "crash", "in `new-user`: it has ended"),
    ] {
        let directory = with_toy(test, fault);
        expect(0, &["backends", "--build", "python-toy"], &directory);
        // One that hangs would keep the others waiting too, if they were as slow.
        let (limit, others) = (if status == "timeout" { "3" } else { "600" }, test == "piped-crash");
        let (backends, reference) = if others { ("dcgka,python-toy", "dcgka") } else { ("python-toy", "python-toy") };
        let more = ["--timeout", limit, "--reference", reference];
        let output = harness(&[&measures(backends)[..], &more].concat(), &directory);
        assert_eq!(output.status.code(), Some(4), "{test}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(&format!(" | {status} ")) && said.contains(reason), "{test}: {said}");
        assert_eq!(said.contains("| dcgka "), others, "{test}: {said}");
        // Nothing is left of it, not even of one that does not read its input.
        assert_eq!(processes_in(&directory), [""; 0], "{test}");
    }
}

/// The programs that run in a directory.
fn processes_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let of = |entry: fs::DirEntry| {
        let working = fs::read_link(entry.path().join("cwd")).ok()?;
        working.starts_with(directory).then(|| fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default())
    };
    entries.filter_map(of).collect()
}

#[test]
fn a_program_that_is_not_what_it_should_be_is_broken_and_says_why() {
    if !python() {
        return;
    }
    for (test, fault, reason) in [
        (
            "piped-version",
            "True: HELLO[\"protocol\"] = 2",
            "speaks version 2 of the member protocol, and this one version 1",
        ),
        ("piped-name", "True: HELLO[\"name\"] = \"other\"", "the program is the backend `other`"),
        ("piped-silent", "True: sys.exit(5)", "it has ended: exit status: 5"),
    ] {
        let directory = with_toy(test, fault);
        let output = harness(&["backends", "--build", "python-toy"], &directory);
        assert_eq!(output.status.code(), Some(4), "{test}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("error: `python-toy` was not built: broken: ") && said.contains(reason), "{said}");
        let output = harness(&measures("dcgka,python-toy"), &directory);
        assert_eq!(output.status.code(), Some(4), "{test}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("not measured: the backend `python-toy` is broken"));
    }
}

/// A program that fails is said to, in each situation, and the others are attacked.
#[test]
fn a_program_that_fails_under_attack_keeps_no_other_from_being_attacked() {
    if !python() {
        return;
    }
    let directory = with_toy("piped-attack", "call == \"update\": sys.exit(3)");
    expect(0, &["backends", "--build", "python-toy"], &directory);
    let attack = ["security", "--quick", "--backend", "sender-keys:lazy,python-toy", "--out", "found"];
    let output = harness(&attack, &directory);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("python-toy, own-update: ") && said.contains("it has ended: exit status: 3"), "{said}");
    let rows = fs::read_to_string(directory.join("found/situations.csv")).unwrap();
    assert!(
        rows.contains("\nsender-keys:lazy,own-update,measured,") && rows.contains("\npython-toy,own-update,failed,"),
        "{rows}"
    );
    assert_eq!(processes_in(&directory), [""; 0]);
}
