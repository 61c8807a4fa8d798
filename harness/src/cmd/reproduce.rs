//! `harness reproduce`: repeats the paper's evaluation.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use protocol::operation::Operation;

use super::failure::{Failure, OK, REGRESSION};
use super::options::{self, Conditions, LATEST, PAPER_SIZES};
use super::output::{complain, print};
use super::running;
use crate::analysis::cell_costs::Cells;
use crate::analysis::claims::{self, Verdict};
use crate::analysis::paper::Paper;
use crate::record::program::Program;
use crate::registry::Registry;
use crate::report::files;
use crate::report::summary::{self, Reproduction};
use crate::run::plan::{Choice, Plan};
use crate::run::schedule::Run;

/// Iterations in the paper.
const ITERATIONS: u32 = 25;
/// Iterations of an update over cold channels, which the paper does not have.
const COLD_ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;

#[derive(Args)]
pub(super) struct Options {
    /// Measure 2 iterations of each operation instead of the paper's 25; no peak memory
    #[arg(long)]
    quick: bool,
    /// Iterations of each operation [default: 25 as in the paper; 5 of update-cold]
    #[arg(long, conflicts_with = "quick", value_parser = options::whole::<u32>(options::ITERATIONS))]
    iterations: Option<u32>,
    /// Backend to measure
    #[arg(long, value_name = "NAME[:VARIANT]", default_value = "dcgka")]
    backend: String,
    /// Directory for the files [default: results/latest; an earlier run there is replaced]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(program: Program, options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let backends = Choice::find_all(registry, std::slice::from_ref(&options.backend))?;
    let name = backends.first().map(|choice| choice.full_name()).unwrap_or_default();
    let out = options.out.clone().unwrap_or_else(|| LATEST.into());
    let (iterations, sizes) = (iterations(options), PAPER_SIZES.to_vec());
    let plan = Plan {
        peak: !options.quick,
        earlier: options.conditions.earlier(options.out.as_ref()),
        ..options.conditions.plan(program, backends, iterations, sizes, Some(out.clone()))?
    };
    let start = Instant::now();
    let run = running::run(&plan)?;
    let measured = start.elapsed();
    let claims_hold = write(&run, &name)?;
    let files = out.display();
    print(format!("\nMeasured in {:.1} s. Files are in {files}.\n", measured.as_secs_f64()).as_bytes())?;
    let verdict = running::verdict(&run.samples);
    if verdict == OK && !claims_hold {
        complain("a claim of the paper does not hold here");
        return Ok(REGRESSION);
    }
    Ok(verdict)
}

/// Writes all files, prints the tables, and returns whether no claim fails.
fn write(run: &Run, backend: &str) -> Result<bool, Failure> {
    let Run { samples, manifest, directory: Some(out) } = run else { return Ok(true) };
    let paper = Paper::load()?;
    let cells = Cells::new(samples);
    let claims = claims::check(&cells, backend);
    let text = summary::reproduction(&Reproduction { samples, manifest, paper: &paper, backend, claims: &claims });
    files::write_measurements(out, samples)?;
    files::write_export(out, samples)?;
    if cells.backends().is_empty() {
        complain("no sample counts, so no figures are drawn");
    } else {
        files::write_figures(out, samples, backend, &paper)?;
    }
    files::write_summary(out, &text)?;
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
