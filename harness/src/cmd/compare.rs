//! `harness compare`: backends side by side.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use harness::child::Launch;
use harness::comparison::{Comparison, with_derived};
use harness::manifest::LargeGroups;
use harness::plan::{Choice, Plan};
use harness::registry::{Registry, full_name};
use harness::schedule::{self, Run};
use harness::{report, summary};
use protocol::operation::Operation;

use super::options::{COMPARED, Conditions, choices, group_size, iterations_of, operation};
use super::{Failure, USAGE, complain, print, running};

const ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;
/// Where messages grow with the square of the group, an iteration of a large one takes many seconds.
const LARGE_GROUPS: LargeGroups = LargeGroups { from: 100, iterations: 3 };
const SIZES: [u32; 3] = [8, 32, 128];
const QUICK_SIZES: [u32; 2] = [8, 32];

#[derive(Args)]
pub(super) struct Options {
    /// The backends, separated by commas [default: all that `harness list` names]
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',')]
    backend: Vec<String>,
    /// The backend that the others are compared with
    #[arg(long, value_name = "NAME[:VARIANT]", default_value = "dcgka")]
    reference: String,
    /// The operations, separated by commas [default: all that `measure` has by default]
    #[arg(long, value_delimiter = ',', value_parser = operation)]
    operation: Vec<Operation>,
    /// Group sizes, separated by commas [default: 8,32,128]
    #[arg(long, value_delimiter = ',', value_parser = group_size)]
    sizes: Vec<u32>,
    /// Iterations of each operation [default: 5, and 3 in groups of 100 and more]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    iterations: Option<u32>,
    /// Two iterations of groups of 8 and 32, where nothing else is said
    #[arg(long)]
    quick: bool,
    /// Where the files go [default: results/compare, whose earlier run is replaced]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let backends = match options.backend.as_slice() {
        [] => choices(registry, &registry.all().map(|backend| full_name(&*backend)).collect::<Vec<_>>())?,
        named => choices(registry, named)?,
    };
    let reference = reference(registry, &options.reference, &backends)?;
    let out = options.out.clone().unwrap_or_else(|| COMPARED.into());
    let plan = Plan {
        backends,
        iterations: iterations_of(&options.operation, options.iterations())?,
        large_groups: (!options.quick && options.iterations.is_none()).then_some(LARGE_GROUPS),
        sizes: options.sizes(),
        seed: options.conditions.seed,
        jobs: options.conditions.jobs(),
        timeout: Duration::from_secs(options.conditions.timeout),
        peak: false,
        conformance: true,
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
    write(&run, &reference, &out)?;
    let files = out.display();
    print(format!("\nMeasured in {:.1} s. Files are in {files}.\n", measured.as_secs_f64()).as_bytes())?;
    Ok(running::verdict(&run.samples))
}

/// The full name of the reference, which must be one of the backends.
fn reference(registry: &Registry, name: &str, backends: &[Choice]) -> Result<String, Failure> {
    let name = full_name(&*registry.find(name)?);
    let measured: Vec<String> = backends.iter().map(Choice::full_name).collect();
    if measured.contains(&name) {
        return Ok(name);
    }
    let message = format!(
        "the reference `{name}` is not among the backends that are measured: add it to --backend, or name one of these \
         with --reference: {}",
        measured.join(", ")
    );
    Err(Failure { code: USAGE, message })
}

/// Writes all files and prints the tables.
fn write(run: &Run, reference: &str, out: &Path) -> Result<(), Failure> {
    let Run { samples, manifest } = run;
    let all = with_derived(samples);
    let compared = Comparison::new(&all, &manifest.options.backends);
    let text = summary::comparison(&compared, reference, samples, manifest);
    report::write_measurements(out, samples)?;
    report::write_comparison(out, &compared, reference)?;
    if compared.nothing_counts() {
        complain("nothing that counts was measured, so there are no pictures");
    } else {
        report::write_comparison_figures(out, &compared)?;
    }
    report::write_summary(out, &text)?;
    print(text.as_bytes())?;
    Ok(())
}

impl Options {
    fn iterations(&self) -> u32 {
        self.iterations.unwrap_or(if self.quick { QUICK_ITERATIONS } else { ITERATIONS })
    }

    fn sizes(&self) -> Vec<u32> {
        match (self.sizes.is_empty(), self.quick) {
            (false, _) => self.sizes.clone(),
            (true, true) => QUICK_SIZES.to_vec(),
            (true, false) => SIZES.to_vec(),
        }
    }
}
