//! The backend passes the conformance suite, its costs are those of its formulas, and the command line has it beside the
//! others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::measure::cell::{Bench, Cell};
use harness::measure::randomness::Origin;
use protocol::conformance;
use protocol::member::Backend as _;
use protocol::operation::Operation;
use template::Boxes;

#[test]
fn it_conforms() {
    let report = conformance::check(&|| Box::new(Boxes)).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.attacks.iter().any(|attack| attack.tried > 0), "{report}");
}

#[test]
fn its_primitive_counts_equal_its_formulas_in_every_operation() {
    let mut bench = Bench::new(&Boxes, 1).unwrap();
    for group_size in [2, 3, 8] {
        for operation in Operation::ALL {
            let supported = Boxes.supports(operation, group_size);
            let result = bench.run(&Cell { operation, origin: Origin { seed: 1, group_size, iteration: 0 } });
            let said = result.as_ref().map_or_else(ToString::to_string, |outcome| outcome.validation.clone());
            assert_eq!(result.is_ok(), supported, "{operation} at {group_size}: {said}");
        }
    }
}

#[test]
fn the_program_measures_compares_and_guards_it_beside_the_others() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("template");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_template"));
        let output = command.args(arguments).current_dir(&directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["--version"]), concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(run(&["measure", "--help"]).contains("\nUsage: template measure "));
    let list = run(&["list", "--format", "csv"]);
    assert!(["\nboxes,", "\ndcgka,"].iter().all(|row| list.contains(row)), "{list}");
    let table = run(&["measure", "--backend", "boxes", "--operation", "add", "--sizes", "4", "--iterations", "1"]);
    assert!(table.contains("| boxes "), "{table}");
    let tables = run(&["compare", "--backend", "boxes,dcgka", "--quick", "--sizes", "4"]);
    assert!(tables.contains("## 4 members") && tables.contains("boxes"), "{tables}");
    let not_made =
        "boxes**: Not made: whether used one-time prekeys are deleted, because users publish no one-time prekeys.";
    assert!(tables.contains(not_made), "{tables}");
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/gate.toml");
    let gate = ["gate", "--exact", "--config", config, "--baseline", "b.json"];
    run(&[&gate[..], &["--update-baseline", "--reason", "a test"]].concat());
    let report = run(&gate);
    assert!(report.contains("gate passed"), "{report}");
}
