//! The comparison in a Markdown file is the recorded one, and what is exact of the recorded one is what the protocols do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::cell::{Bench, Cell, Outcome};
use harness::randomness::Origin;
use harness::readme;
use harness::recorded::Recorded;
use harness::registry::{Registry, full_name};
use harness::sample::{Sample, Status};
use protocol::member::Backend;
use protocol::operation::Operation;

/// The largest group that is measured again with every backend. Where messages grow with the square of the group, larger
/// ones take minutes in a test build.
const SMALL: u32 = 32;
/// So many messages for each member in every operation, and a backend is measured again in groups of any size.
const FEW_MESSAGES: u64 = 3;

/// What is wrong with the comparison in this file of this directory, from which the run is named.
fn check(root: &Path, name: &str) -> Result<(), String> {
    let text = fs::read_to_string(root.join(name)).unwrap();
    let directory = readme::source(&text).ok_or("there is no comparison")?;
    let recorded = Recorded::open(&root.join(directory)).map_err(|error| error.to_string())?;
    let section = readme::section(&recorded, Path::new(name), directory);
    if readme::splice(&text, &section).map_err(|error| error.to_string())? != text {
        return Err(format!("{name} differs from {}: `harness report` writes it anew", directory.display()));
    }
    Registry::built_in().all().try_for_each(|backend| check_again(&recorded, &*backend))
}

/// Measures a backend again, once for each operation and group size, and compares what the seed fixes.
fn check_again(recorded: &Recorded, backend: &dyn Backend) -> Result<(), String> {
    let mut bench = Bench::new(backend, 2).unwrap();
    for group_size in recorded.manifest.options.sizes.iter().copied() {
        if group_size > SMALL && !sends_few_messages(backend, group_size as usize) {
            continue;
        }
        for operation in Operation::ALL {
            let (description, size) = (backend.description(), group_size as usize);
            let name = format!("{} {} at {group_size}", full_name(backend), operation.name());
            let is_it = |sample: &&Sample| {
                (sample.backend.as_str(), sample.variant.as_str()) == (description.name, description.variant)
                    && (sample.operation.as_str(), sample.group_size) == (&*operation.name(), group_size)
                    && sample.iteration == 0
            };
            let sample = recorded.samples.iter().find(is_it).ok_or(format!("{name} is not in the recorded run"))?;
            let origin = Origin { seed: recorded.manifest.options.seed, group_size: size, iteration: 0 };
            let same = match backend.expected(operation, size) {
                None => sample.status == Status::Unsupported,
                Some(_) => {
                    let outcome = bench.run(&Cell { operation, origin });
                    same_exactly(sample, &outcome.map_err(|refusal| format!("{name}: {refusal}"))?)
                }
            };
            if !same {
                return Err(format!("{name}: the recorded bytes or operation counts are not those of today"));
            }
        }
    }
    Ok(())
}

fn sends_few_messages(backend: &dyn Backend, group_size: usize) -> bool {
    let messages = |operation| -> u64 {
        let expected = backend.expected(operation, group_size).unwrap_or_default();
        expected.messages.iter().map(|(_, count)| count).sum()
    };
    Operation::ALL.into_iter().all(|operation| messages(operation) <= FEW_MESSAGES * group_size as u64)
}

fn same_exactly(sample: &Sample, outcome: &Outcome) -> bool {
    let work = sample.work.iter().map(|row| (&row.role, &row.phase, &row.counts, row.bytes_fetched));
    let again = outcome.work.iter().map(|row| (&row.role, &row.phase, &row.counts, row.bytes_fetched));
    sample.status == Status::Ok && sample.traffic == outcome.traffic && work.eq(again)
}

fn harness(arguments: &[&str], directory: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let output = command.args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn the_readme_shows_the_recorded_comparison_which_is_exact() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert_eq!(check(root, "README.md"), Ok(()));
}

#[test]
fn an_edited_figure_is_found_in_the_file_and_in_the_run() {
    let root: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let text = "# Title\n\n<!-- BEGIN compare -->\n<!-- END compare -->\n";
    fs::write(root.join("README.md"), text).unwrap();
    assert!(check(&root, "README.md").unwrap_err().contains("no comparison"));
    harness(&["compare", "--sizes", "2,3", "--iterations", "1", "--out", "results/run"], &root);
    let report = || harness(&["report", "--readme", "README.md", "results/run"], &root);
    report();
    assert_eq!(check(&root, "README.md"), Ok(()));
    edit(&root.join("README.md"), " 123 |", " 122 |");
    assert!(check(&root, "README.md").unwrap_err().contains("README.md differs"));
    edit(&root.join("results/run/samples.jsonl"), "\"bytes_sent\":123,", "\"bytes_sent\":122,");
    report();
    assert!(check(&root, "README.md").unwrap_err().contains("not those of today"));
}
