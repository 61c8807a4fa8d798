//! `harness measure`: any cells of any backends.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use protocol::operation::Operation;

use super::failure::Failure;
use super::options::{self, Conditions, Format, PAPER_SIZES, group_size, iterations_of};
use super::output::print;
use super::running;
use crate::analysis::measurement;
use crate::record::program::Program;
use crate::registry::Registry;
use crate::report::{files, summary};
use crate::run::external::Catalog;
use crate::run::plan::Plan;
use crate::run::schedule::Run;

const ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;
const QUICK_SIZES: [u32; 3] = [8, 16, 32];

#[derive(Args)]
pub(super) struct Options {
    /// Backends to measure, separated by commas; see `list`
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "dcgka")]
    backend: Vec<String>,
    /// Operations to measure, separated by commas [default: create, create-mesh, add, remove, update, update-cold, message,
    /// message-after-remove]; by name only: concurrent-updates:K (K members update concurrently), partition-heal (the
    /// group splits into halves, both change, and the partition heals), partition-recovery:P:U (the group splits into P
    /// parts, in which U updates are made; it heals, and members update until no conflict is left), add-after:H,
    /// update-after:H, remove-together and update-together (each member gets the messages of a round in one call)
    #[arg(long, value_delimiter = ',')]
    operation: Vec<Operation>,
    /// Measure add and update after this number of updates by the members in turn (add-after:H, update-after:H)
    #[arg(long, value_name = "H", value_parser = options::whole::<usize>(options::HISTORY))]
    history: Option<usize>,
    /// Group sizes, separated by commas [default: those of the paper: 8,11,16,22,32,45,64,90,128]
    #[arg(long, value_delimiter = ',', value_parser = group_size)]
    sizes: Vec<u32>,
    /// Iterations of each operation [default: 5]
    #[arg(long, value_parser = options::whole::<u32>(options::ITERATIONS))]
    iterations: Option<u32>,
    /// Measure 2 iterations in groups of 8, 16 and 32, unless --iterations or --sizes say otherwise; no peak memory
    #[arg(long)]
    quick: bool,
    /// Directory for samples.jsonl, manifest.json and measurements.csv [default: no files]
    #[arg(long, value_name = "DIRECTORY", required_if_eq("resume", "true"))]
    out: Option<PathBuf>,
    /// Format of the data on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(program: Program, options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let catalog = Catalog::load(registry, &options.backend)?;
    let (backends, left_out) = options::usable(&catalog, &options.backend)?;
    let iterations = iterations_of(
        &options.operation,
        &Operation::ALL,
        options.iterations(),
        options.history.and_then(NonZeroUsize::new),
    )?;
    let plan = Plan {
        peak: !options.quick,
        external: catalog.launches(&backends),
        growth: catalog.growth(),
        left_out,
        ..options.conditions.plan(program, backends, iterations, options.sizes(), options.out.clone())?
    };
    let run = running::run(&plan)?;
    if let Some(out) = &run.directory {
        files::write_measurements(out, &run.samples)?;
    }
    print(&data(&run, options.format)?)?;
    Ok(running::ended(&run))
}

fn data(run: &Run, format: Format) -> Result<Vec<u8>, Failure> {
    let Run { samples, manifest, .. } = run;
    let mut data = Vec::new();
    match format {
        Format::Human => data = summary::overview(samples, &manifest.machine).into_bytes(),
        Format::Csv => measurement::write_csv(&measurement::rows(samples), &mut data)?,
        Format::Json => {
            for sample in samples {
                serde_json::to_writer(&mut data, sample)?;
                data.push(b'\n');
            }
        }
    }
    Ok(data)
}

impl Options {
    fn iterations(&self) -> u32 {
        self.iterations.unwrap_or(if self.quick { QUICK_ITERATIONS } else { ITERATIONS })
    }

    fn sizes(&self) -> Vec<u32> {
        match (self.sizes.is_empty(), self.quick) {
            (false, _) => self.sizes.clone(),
            (true, true) => QUICK_SIZES.to_vec(),
            (true, false) => PAPER_SIZES.to_vec(),
        }
    }
}
