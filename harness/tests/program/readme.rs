//! The tables in a Markdown file are those of the recorded runs, and the exact figures of the runs are those of today.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::gate::baseline::Baseline;
use harness::gate::figures::{cell_name, figures};
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::record::name::join;
use harness::record::recorded::Recorded;
use harness::record::sample::{Sample, Status};
use harness::registry::{Registry, full_name};
use harness::report::readme;
use protocol::member::Backend;
use protocol::operation::Operation;

use super::cli::comparison;

/// The largest group that is measured again with every backend. Larger ones take minutes in a test build; they are compared
/// with the baseline.
const SMALL: u32 = 16;

/// Checks the parts of a file that are made from recorded runs. The file names the runs.
fn check(root: &Path, name: &str) -> Result<(), String> {
    let text = fs::read_to_string(root.join(name)).unwrap();
    let sources = readme::sources(&text);
    if sources.is_empty() {
        return Err("there is no part made from a run".to_owned());
    }
    if text.lines().any(|line| line.starts_with("<!-- BEGIN") && !line.contains("harness report")) {
        return Err("a part does not say how it was made".to_owned());
    }
    let mut runs = Vec::new();
    for directory in sources {
        let recorded = Recorded::open(&root.join(&directory)).map_err(|error| error.to_string())?;
        let spliced =
            readme::splice(&text, &recorded, Path::new(name), &directory).map_err(|error| error.to_string())?;
        if spliced != text {
            return Err(format!("{name} differs from {}: `harness report` writes it again", directory.display()));
        }
        runs.push(recorded);
    }
    // The run of the most backends of this program is measured again; what the others have in common with it must be the same.
    let has_others = |run: &Recorded| run.manifest.backends.values().any(|about| about.adapts.is_some());
    runs.sort_by_key(|run| (has_others(run), std::cmp::Reverse(run.manifest.options.backends.len())));
    let (largest, others) = runs.split_first().unwrap();
    let measured = &largest.manifest.options.backends;
    let registry = Registry::built_in();
    // A backend that this program has not is an error; one that the run has not was added since.
    let backends: Result<Vec<_>, _> = measured.iter().map(|name| registry.find(name)).collect();
    let backends = backends.map_err(|unknown| unknown.to_string())?;
    backends.iter().try_for_each(|backend| check_again(largest, &**backend))?;
    let baseline = root.join("results/baseline.json");
    if baseline.exists() {
        same_as_baseline(largest, &Baseline::read(&baseline).map_err(|error| error.to_string())?)?;
    }
    others.iter().try_for_each(|run| same_where_both_have(run, largest))
}

/// Compares what the seed fixes in the samples that two runs have in common, of which there must be some.
fn same_where_both_have(run: &Recorded, other: &Recorded) -> Result<(), String> {
    let exact = |sample: &Sample| {
        let work = sample.work.iter().map(|row| (row.role, row.phase, row.counts.clone(), row.bytes_fetched));
        (sample.traffic.clone(), work.collect::<Vec<_>>())
    };
    let mut common = 0;
    for sample in &run.samples {
        let is_it = |found: &&Sample| (&found.cell_id, found.seed) == (&sample.cell_id, sample.seed);
        if let Some(found) = other.samples.iter().find(is_it) {
            common += 1;
            if exact(found) != exact(sample) {
                return Err(format!("{} is not the same in both recorded runs", sample.cell_id));
            }
        }
    }
    if common > 0 { Ok(()) } else { Err("the recorded runs have no sample in common".to_owned()) }
}

/// Measures a backend again, once for each operation and group size, and compares what the seed fixes.
fn check_again(recorded: &Recorded, backend: &dyn Backend) -> Result<(), String> {
    let mut bench = Bench::new(backend, 2).unwrap();
    let options = &recorded.manifest.options;
    for group_size in options.sizes.iter().copied().filter(|size| *size <= SMALL) {
        for operation in options.iterations.keys().map(|name| name.parse::<Operation>().unwrap()) {
            let (description, size) = (backend.description(), group_size as usize);
            let name = format!("{} {} at {group_size}", full_name(backend), operation.name());
            let is_it = |sample: &&Sample| {
                (sample.backend.as_str(), sample.variant.as_str()) == (description.name, description.variant)
                    && (sample.operation, sample.group_size) == (operation, group_size)
                    && sample.iteration == 0
            };
            let sample = recorded.samples.iter().find(is_it).ok_or(format!("{name} is not in the recorded run"))?;
            let origin = Origin { seed: options.seed, group_size: size, iteration: 0 };
            let same = match backend.expected(operation.one_by_one(), size) {
                None => sample.status == Status::Unsupported,
                Some(_) => {
                    let outcome = bench.run(&Cell { operation, origin });
                    same_exactly(sample, &outcome.map_err(|refusal| format!("{name}: {refusal}"))?)
                }
            };
            if !same {
                return Err(format!("{name}: the recorded bytes or primitive counts are not those of today"));
            }
        }
    }
    Ok(())
}

/// Compares the samples that the baseline has cells for, which CI measures with every change.
fn same_as_baseline(recorded: &Recorded, baseline: &Baseline) -> Result<(), String> {
    let mut compared = 0;
    // The gate measures iteration 1.
    for sample in recorded.samples.iter().filter(|sample| sample.iteration == 1 && sample.seed == baseline.seed) {
        let cell = cell_name(&join(&sample.backend, &sample.variant), sample.operation, sample.group_size);
        if let Some(expected) = baseline.cells.get(&cell) {
            compared += 1;
            if *expected != (sample.status == Status::Ok).then(|| figures(sample)) {
                return Err(format!("{cell}: the recorded bytes or primitive counts are not those of the baseline"));
            }
        }
    }
    if compared == baseline.cells.len() { Ok(()) } else { Err("the run lacks cells of the baseline".to_owned()) }
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
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    for part in ["findings", "compare", "implementations", "reproduction"] {
        assert!(text.contains(&format!("<!-- BEGIN {part}: ")), "{part}");
    }
    assert!(root.join("results/baseline.json").exists());
}

#[test]
fn an_edited_figure_is_found_in_the_file_and_in_the_run() {
    let root: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).unwrap();
    let text = "# Title\n\n<!-- BEGIN compare -->\n<!-- END compare -->\n";
    fs::write(root.join("README.md"), text).unwrap();
    assert!(check(&root, "README.md").unwrap_err().contains("no part made from a run"));
    comparison(&root, "results/run");
    let report = || harness(&["report", "--readme", "README.md", "results/run"], &root);
    report();
    assert_eq!(check(&root, "README.md"), Ok(()));
    edit(&root.join("README.md"), " 123 |", " 122 |");
    assert!(check(&root, "README.md").unwrap_err().contains("README.md differs"));
    edit(&root.join("results/run/samples.jsonl"), "\"bytes_sent\":123,", "\"bytes_sent\":122,");
    report();
    assert!(check(&root, "README.md").unwrap_err().contains("not those of today"));
}
