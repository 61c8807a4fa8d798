//! `harness reproduce`: the paper's evaluation.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use harness::cell_costs::Cells;
use harness::child::Launch;
use harness::claims::{self, Verdict};
use harness::paper::Paper;
use harness::plan::Plan;
use harness::registry::Registry;
use harness::report;
use harness::schedule::{self, Run};
use harness::summary::{self, Reproduction};
use protocol::operation::Operation;

use super::options::{Conditions, LATEST, PAPER_SIZES, choices};
use super::{Failure, OK, REGRESSION, complain, print, running};

/// Iterations of the paper.
const ITERATIONS: u32 = 25;
/// Iterations of an update over fresh channels, which the paper does not have.
const COLD_ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;

#[derive(Args)]
pub(super) struct Options {
    /// Two iterations of everything instead of the paper's 25
    #[arg(long)]
    quick: bool,
    /// Iterations of each operation [default: 25, and 5 of update-cold]
    #[arg(long, conflicts_with = "quick", value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,
    /// The backend
    #[arg(long, value_name = "NAME[:VARIANT]", default_value = "dcgka")]
    backend: String,
    /// Where the files go [default: results/latest, whose earlier run is replaced]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let backends = choices(registry, std::slice::from_ref(&options.backend))?;
    let name = backends.first().map(|choice| choice.full_name()).unwrap_or_default();
    let out = options.out.clone().unwrap_or_else(|| LATEST.into());
    let plan = Plan {
        backends,
        iterations: iterations(options),
        large_groups: None,
        sizes: PAPER_SIZES.to_vec(),
        seed: options.conditions.seed,
        jobs: options.conditions.jobs(),
        conformance: true,
        timeout: Duration::from_secs(options.conditions.timeout),
        peak: !options.quick,
        out: Some(out.clone()),
        resume: options.conditions.resume,
        launch: Launch::this_program()?,
        argv: running::argv(),
    };
    if options.out.is_none() && !options.conditions.resume {
        // The earlier run goes only once nothing stands in the way of another.
        schedule::check(&plan)?;
        running::clear(&out)?;
    }
    let start = Instant::now();
    let run = running::run(&plan)?;
    let measured = start.elapsed();
    let claims_hold = write(&run, &name, &out)?;
    let files = out.display();
    print(format!("\nMeasured in {:.1} s. Files are in {files}.\n", measured.as_secs_f64()).as_bytes())?;
    let verdict = running::verdict(&run.samples);
    if verdict == OK && !claims_hold {
        complain("a claim of the paper does not hold here");
        return Ok(REGRESSION);
    }
    Ok(verdict)
}

/// Writes all files, prints the tables, and says whether no claim fails.
fn write(run: &Run, backend: &str, out: &Path) -> Result<bool, Failure> {
    let Run { samples, manifest } = run;
    let paper = Paper::load()?;
    let cells = Cells::new(samples);
    let claims = claims::check(&cells, backend);
    let text = summary::reproduction(&Reproduction { samples, manifest, paper: &paper, backend, claims: &claims });
    report::write_measurements(out, samples)?;
    report::write_export(out, samples)?;
    if cells.backends().is_empty() {
        complain("nothing that counts was measured, so there are no pictures");
    } else {
        report::write_figures(out, samples, backend, &paper)?;
    }
    report::write_summary(out, &text)?;
    print(text.as_bytes())?;
    Ok(claims.iter().all(|claim| claim.verdict != Verdict::Fail))
}

fn iterations(options: &Options) -> BTreeMap<Operation, u32> {
    let count = |operation| match (options.quick, options.iterations, operation) {
        (true, ..) => QUICK_ITERATIONS,
        (_, Some(count), _) => count,
        (.., Operation::UpdateCold) => COLD_ITERATIONS,
        _ => ITERATIONS,
    };
    Operation::REPRODUCED.into_iter().map(|operation| (operation, count(operation))).collect()
}
