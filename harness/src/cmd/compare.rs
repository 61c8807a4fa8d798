//! `harness compare`: backends side by side.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use protocol::operation::Operation;

use super::failure::{Failure, OK, REGRESSION, USAGE};
use super::options::{self, COMPARED, Conditions, REFERENCE, group_size, iterations_of, operation};
use super::output::{complain, print};
use super::running;
use crate::analysis::comparison::{Checked, Comparison, with_derived};
use crate::analysis::published::Published;
use crate::record::manifest::LargeGroups;
use crate::record::program::Program;
use crate::registry::Registry;
use crate::report::{files, summary};
use crate::run::external::Catalog;
use crate::run::plan::{Choice, Plan};
use crate::run::schedule::Run;

const ITERATIONS: u32 = 5;
const QUICK_ITERATIONS: u32 = 2;
/// In protocols whose messages grow with the square of the group size, an iteration of a large group takes many seconds.
const LARGE_GROUPS: LargeGroups = LargeGroups { from: 100, iterations: 3 };
const SIZES: [u32; 3] = [8, 32, 128];
const QUICK_SIZES: [u32; 2] = [8, 32];

#[derive(Args)]
pub(super) struct Options {
    /// Backends to compare, separated by commas [default: all that `list` shows]
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',')]
    backend: Vec<String>,
    /// Backend that the others are compared with
    #[arg(long, value_name = "NAME[:VARIANT]", default_value = REFERENCE)]
    reference: String,
    /// Operations to measure, separated by commas [default: those of `measure`, remove-together and update-together]
    #[arg(long, value_delimiter = ',', value_parser = operation)]
    operation: Vec<Operation>,
    /// Measure add and update after this number of updates by the members in turn (add-after:H, update-after:H)
    #[arg(long, value_name = "H", value_parser = options::whole::<usize>(options::HISTORY))]
    history: Option<usize>,
    /// Group sizes, separated by commas [default: 8,32,128]
    #[arg(long, value_delimiter = ',', value_parser = group_size)]
    sizes: Vec<u32>,
    /// Iterations of each operation [default: 5; at most 3 in groups of 100 or more]
    #[arg(long, value_parser = options::whole::<u32>(options::ITERATIONS))]
    iterations: Option<u32>,
    /// Measure 2 iterations in groups of 8 and 32, unless --iterations or --sizes say otherwise
    #[arg(long)]
    quick: bool,
    /// Directory for the files [default: results/compare; an earlier run there is replaced]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    #[command(flatten)]
    conditions: Conditions,
}

pub(super) fn run(program: Program, options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let catalog = Catalog::load(registry, &options.backend)?;
    let (backends, left_out) = match options.backend.as_slice() {
        [] => (catalog.usable().collect(), BTreeMap::new()),
        named => options::usable(&catalog, named)?,
    };
    if options.backend.is_empty() {
        tell_of_unusable(&catalog);
    }
    let reference = reference(&catalog, &options.reference, &backends)?;
    let out = options.out.clone().unwrap_or_else(|| COMPARED.into());
    let iterations = iterations_of(
        &options.operation,
        &Operation::COMPARED,
        options.iterations(),
        options.history.and_then(NonZeroUsize::new),
    )?;
    let plan = Plan {
        large_groups: (!options.quick && options.iterations.is_none()).then_some(LARGE_GROUPS),
        earlier: options.conditions.earlier(options.out.as_ref()),
        external: catalog.launches(&backends),
        growth: catalog.growth(),
        left_out,
        ..options.conditions.plan(program, backends, iterations, options.sizes(), Some(out.clone()))?
    };
    let start = Instant::now();
    let run = running::run(&plan)?;
    let measured = start.elapsed();
    let refuted = write(&run, &reference)?;
    let files = out.display();
    print(format!("\nMeasured in {:.1} s. Files are in {files}.\n", measured.as_secs_f64()).as_bytes())?;
    Ok(match running::ended(&run) {
        OK if refuted => REGRESSION,
        code => code,
    })
}

/// Says which backends are not measured because they have not been built.
fn tell_of_unusable(catalog: &Catalog<'_>) {
    let unusable = catalog.unusable().map(|it| format!("{} ({})", it.declared.name, it.state.words()));
    let unusable: Vec<String> = unusable.collect();
    if !unusable.is_empty() {
        complain(&format!("not measured: {}; try `harness backends --build all`", unusable.join(", ")));
    }
}

/// The full name of the reference. It must be one of the measured backends.
fn reference(catalog: &Catalog<'_>, name: &str, backends: &[Choice]) -> Result<String, Failure> {
    let name = catalog.find(name)?.full_name();
    let measured: Vec<String> = backends.iter().map(Choice::full_name).collect();
    if measured.contains(&name) {
        return Ok(name);
    }
    let message = format!(
        "the reference `{name}` is not among the measured backends; add it to --backend, or try --reference with \
         one of these: {}",
        measured.join(", ")
    );
    Err(Failure { code: USAGE, message })
}

/// Writes all files and prints the tables. Returns whether a claim of growth does not hold.
fn write(run: &Run, reference: &str) -> Result<bool, Failure> {
    let Run { samples, manifest, directory: Some(out) } = run else { return Ok(false) };
    let all = with_derived(samples);
    let compared = Comparison::new(&all, &manifest.options.backends);
    let text = summary::comparison(&compared, reference, samples, manifest, &Published::load()?);
    files::write_measurements(out, samples)?;
    files::write_comparison(out, &compared, reference)?;
    files::write_summary(out, &text)?;
    print(text.as_bytes())?;
    if compared.nothing_counts() {
        complain("no sample counts, so no figures are drawn");
    } else {
        files::write_comparison_figures(out, &compared)?;
    }
    let claims = compared.claims(&manifest.backends);
    let refuted = claims.iter().find(|claim| claim.holds == Some(false));
    if let Some(Checked { row, claim, measured, .. }) = refuted {
        complain(&format!("{row} claims `{claim}`, but its growth is {measured}"));
    }
    Ok(refuted.is_some())
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
