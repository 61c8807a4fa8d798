//! Backends in programs of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::{complaint, empty_directory, expect, harness};

const DISTANT: &str = r#"
name = "distant"
implementation = "distant 1.2.3"
licence = "MIT"
pulls_in = ["MIT", "Apache-2.0"]
build = ["true"]
run = ["./serve.sh"]
"#;

/// What the program says of itself. Its backend is `pairwise` under another name.
const ABOUT: &str = r#"{"summary":"far away","adapts":"distant 1.2.3","caveats":["no guarantee"],
"concurrent_operations":true,"pcs_update":true,"forward_secrecy":true,"signed":"nothing","ordering":"causal",
"deterministic":true,"public_randomness":[],"threads":false,"counted":"all"}"#;

/// A directory with this external backend. The script gets the subcommand and the rest of the arguments.
fn with_backend(test: &str, toml: &str, script: &str) -> PathBuf {
    let directory = empty_directory(test);
    let backend = directory.join("backends/distant");
    fs::create_dir_all(&backend).unwrap();
    fs::write(backend.join("backend.toml"), toml).unwrap();
    let serve = backend.join("serve.sh");
    fs::write(&serve, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(serve, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A program that describes one backend, and serves it by this command.
fn script(serve: &str) -> String {
    let about = ABOUT.replace('\n', "");
    let described =
        format!(r#"{{"protocol":2,"schema":1,"backends":[{{"backend":"distant","variant":"","about":{about}}}]}}"#);
    format!("case $1 in describe) echo '{described}';; *) {serve};; esac")
}

fn working(test: &str) -> PathBuf {
    claiming(test, "")
}

/// A backend whose file says this too.
fn claiming(test: &str, more: &str) -> PathBuf {
    let program = env!("CARGO_BIN_EXE_harness");
    let renamed = r#"s/pairwise/distant/g; s/"adapts":null/"adapts":"distant 1.2.3"/"#;
    let serve = format!("'{program}' runner --backend pairwise | sed -u '{renamed}'");
    with_backend(test, &format!("{DISTANT}{more}"), &script(&serve))
}

fn measures(backends: &str) -> [&str; 9] {
    ["compare", "--backend", backends, "--operation", "message", "--sizes", "4", "--iterations", "1"]
}

#[test]
fn an_external_backend_is_built_listed_and_compared_with_its_notes() {
    let directory = working("external");
    let before = expect(0, &["backends"], &directory);
    assert!(before.contains("distant 1.2.3") && before.contains("not built"), "{before}");
    let built = expect(0, &["backends", "--build", "all"], &directory);
    assert!(built.contains("| built | distant"), "{built}");
    let list = expect(0, &["list"], &directory);
    assert!(list.contains("far away\n") && list.contains("adapts: distant 1.2.3\n"), "{list}");

    let all = expect(0, &measures("dcgka,distant"), &directory);
    assert!(all.contains("\n| distant [a] "), "{all}");
    let note = all.lines().find(|line| line.starts_with("- **[a] distant**: ")).unwrap();
    assert!(note.ends_with(" (distant 1.2.3); signed: prekey bundles only; needs no order of messages."), "{note}");
    let promised = all.lines().find(|line| line.starts_with("| distant ")).unwrap();
    assert!(promised.contains("| prekey bundles only | causal |"), "{promised}");
    // Sources that are newer than the build.
    fs::create_dir(directory.join("backends/distant/src")).unwrap();
    fs::write(directory.join("backends/distant/src/main.rs"), "").unwrap();
    let old = complaint(4, &["measure", "--backend", "distant"], &directory);
    assert!(
        old.contains("too old: the sources have changed since it was built; try `harness backends --build distant`")
    );
}

#[test]
fn a_backend_that_cannot_be_used_is_left_out_and_the_others_are_measured() {
    let directory = working("external-not-built");
    let output = harness(&measures("dcgka,distant"), &directory);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4));
    let reason = "not measured: the backend `distant` is not built; try `harness backends --build distant`\n";
    assert!(said.contains(reason), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("| dcgka "));
    let list = expect(0, &["list"], &directory);
    assert!(list.contains("distant\n  distant 1.2.3: not built; see `backends`\n"), "{list}");
    let unknown = complaint(2, &["measure", "--backend", "nobody"], &directory);
    assert!(unknown.contains("dcgka") && unknown.contains("distant (not built)"), "{unknown}");
}

#[test]
fn a_program_that_crashes_or_writes_garbage_has_rows_that_say_so() {
    for (test, serve, reason) in [
        ("external-crash", "exit 9", "did not start: the runner ended: exit status: 9"),
        ("external-garbage", "echo nonsense; exec sleep 60", "did not start: its first line has no protocol version"),
    ] {
        let directory = with_backend(test, DISTANT, &script(serve));
        expect(0, &["backends", "--build", "distant"], &directory);
        let others = test == "external-crash";
        let (backends, reference) = if others { ("dcgka,distant", "dcgka") } else { ("distant", "distant") };
        let output = harness(&[&measures(backends)[..], &["--reference", reference]].concat(), &directory);
        assert_eq!(output.status.code(), Some(4), "{test}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("distant (crash)") && said.contains(reason), "{said}");
        assert_eq!(said.contains("| dcgka "), others, "{said}");
    }
}

#[test]
fn a_program_that_does_not_say_what_it_has_is_broken() {
    for (test, script, reason) in [
        ("external-silent", "exit 1", "it does not say which backends it has: exit status: 1"),
        ("external-json", "echo '{}'", "it does not say which backends it has: missing field"),
        ("external-old", r#"echo '{"protocol":1,"schema":1,"backends":[]}'"#, "it speaks cell protocol 1"),
        ("external-empty", r#"echo '{"protocol":2,"schema":1,"backends":[]}'"#, "it has no backend"),
    ] {
        let directory = with_backend(test, DISTANT, script);
        let output = harness(&["backends", "--build", "distant"], &directory);
        assert_eq!(output.status.code(), Some(4), "{test}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("error: `distant` was not built: ") && said.contains(reason), "{said}");
    }
}

#[test]
fn a_claim_of_growth_that_does_not_hold_ends_a_comparison_with_exit_code_3() {
    for (test, claims, code) in [
        ("external-grows", r#"growth = ["message sender bytes linear", "message recipient bytes constant"]"#, 0),
        ("external-lies", r#"growth = ["message sender bytes linear", "message sender bytes constant"]"#, 3),
    ] {
        let directory = claiming(test, claims);
        expect(0, &["backends", "--build", "all"], &directory);
        let sizes = ["--operation", "message", "--sizes", "2,4,8,16", "--iterations", "1"];
        let compare = ["compare", "--backend", "distant", "--reference", "distant"];
        let output = harness(&[&compare[..], &sizes].concat(), &directory);
        let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{said}\n{complained}");
        let holds = said.lines().find(|line| line.contains("| message sender bytes linear ")).unwrap();
        assert!(holds.contains("| linear (±0.0 %) ") && holds.contains("| yes "), "{said}");
        let claimed = said.split("### Claimed growth").nth(1).unwrap();
        assert_eq!(claimed.contains("| **no** "), code == 3, "{said}");
        let refuted = "distant claims `message sender bytes constant`, but its growth is linear (±0.0 %)";
        assert_eq!(complained.contains(refuted), code == 3, "{complained}");
    }
}

#[test]
fn a_declaration_that_is_wrong_says_what_is_right() {
    let wrong = |test: &str, toml: &str| {
        let directory = with_backend(test, toml, "");
        expect(0, &["backends"], Path::new(&directory))
    };
    let name = wrong("external-name", &DISTANT.replace("\"distant\"", "\"far\""));
    assert!(name.contains("`far` cannot be the name; a name is that of the directory"), "{name}");
    let growth = wrong("external-growth", &format!("{DISTANT}growth = [\"update bytes linear\"]"));
    assert!(growth.contains("`update bytes linear` is no claim of growth; try an operation, a role"), "{growth}");
    let run = wrong("external-run", &DISTANT.replace("[\"./serve.sh\"]", "[]"));
    assert!(run.contains("`run` is empty; try the path of a program"), "{run}");
    let field = wrong("external-field", &format!("{DISTANT}\nspeed = 3\n"));
    assert!(field.contains("unknown field `speed`") && field.contains("backend.toml"), "{field}");
    // It does not disturb others.
    let directory = with_backend("external-field", &format!("{DISTANT}\nspeed = 3\n"), "");
    let reference = complaint(2, &["compare", "--backend", "dcgka", "--reference", "nobody"], &directory);
    assert!(reference.contains("there is no backend `nobody`"), "{reference}");
    let output = harness(&measures("dcgka,distant"), &directory);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), said.contains("| dcgka ")), (Some(4), true));
    let reason = "- **Not measured**: the backend `distant` is broken: ";
    assert!(
        said.contains(reason) && said.contains("; try correcting it, and then `harness backends --build"),
        "{said}"
    );
    let none = complaint(2, &["backends"], &empty_directory("external-none"));
    assert!(none.contains("there are no backends in backends/; try the directory of the project"), "{none}");
    let directory = working("external-unknown");
    let unknown = complaint(2, &["backends", "--build", "nobody"], &directory);
    assert!(unknown.contains("there is no backend `nobody` to build; try all, distant"), "{unknown}");
}
