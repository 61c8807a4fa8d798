//! `harness measure`: any cells of any backends.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use harness::child::Launch;
use harness::measurement;
use harness::plan::Plan;
use harness::registry::Registry;
use harness::sample::Sample;
use harness::{report, summary};
use protocol::operation::Operation;

use super::options::{Conditions, Format, PAPER_SIZES, choices, group_size, iterations_of};
use super::{Failure, print, running};

const ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;
const QUICK_SIZES: [u32; 3] = [8, 16, 32];

#[derive(Args)]
pub(super) struct Options {
    /// The backends, separated by commas; `harness list` names them all
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',', default_value = "dcgka")]
    backend: Vec<String>,
    /// The operations, separated by commas [default: create, create-mesh, add, remove, update, update-cold, message,
    /// message-after-remove]; by name only: concurrent-updates:K (so many members update at once), partition-heal (two
    /// halves of the group go on by themselves and meet again)
    #[arg(long, value_delimiter = ',')]
    operation: Vec<Operation>,
    /// Group sizes, separated by commas [default: the paper's, 8,11,16,22,32,45,64,90,128]
    #[arg(long, value_delimiter = ',', value_parser = group_size)]
    sizes: Vec<u32>,
    /// Iterations of each operation [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,
    /// Two iterations of groups of 8, 16 and 32, where nothing else is said, and no peak memory
    #[arg(long)]
    quick: bool,
    /// Where samples.jsonl, manifest.json and measurements.csv go [default: no files]
    #[arg(long, value_name = "DIRECTORY", required_if_eq("resume", "true"))]
    out: Option<PathBuf>,
    /// The form of the data on standard output
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let plan = Plan {
        backends: choices(registry, &options.backend)?,
        iterations: iterations_of(&options.operation, options.iterations())?,
        large_groups: None,
        sizes: options.sizes(),
        seed: options.conditions.seed,
        jobs: options.conditions.jobs(),
        conformance: true,
        timeout: Duration::from_secs(options.conditions.timeout),
        peak: !options.quick,
        out: options.out.clone(),
        resume: options.conditions.resume,
        launch: Launch::this_program()?,
        argv: running::argv(),
    };
    let run = running::run(&plan)?;
    if let Some(out) = &options.out {
        report::write_measurements(out, &run.samples)?;
    }
    print(&data(&run.samples, options.format)?)?;
    Ok(running::verdict(&run.samples))
}

fn data(samples: &[Sample], format: Format) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    match format {
        Format::Human => data = summary::overview(samples).into_bytes(),
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
