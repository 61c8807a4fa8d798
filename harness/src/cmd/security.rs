//! `harness security`: attacks backends with stolen states, and shows what is read beside what it costs.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Args;
use protocol::security::SITUATIONS;
use rayon::prelude::*;

use super::failure::{Failure, INCOMPLETE, OK, USAGE};
use super::options::{self, SEED, whole};
use super::output::{complain, print};
use super::running;
use super::time_left::TimeLeft;
use crate::record::exposure::{Attacked, Ended, Findings, Order, Played, VERSION};
use crate::record::manifest::{Build, Machine};
use crate::record::program::Program;
use crate::record::store;
use crate::registry::{Constructor, Registry};
use crate::report::{files, summary};
use crate::run::attacks;
use crate::run::external::Catalog;
use crate::run::plan::{self, Choice};
use crate::run::schedule::MeasureError;
use crate::system::directory::Directory;

/// The directory of the files by default.
const SECURITY: &str = "results/security";

#[derive(Args)]
pub(super) struct Options {
    /// Backends to attack, separated by commas [default: all that `list` shows]
    #[arg(long, value_name = "NAME[:VARIANT]", value_delimiter = ',')]
    backend: Vec<String>,
    /// Seed of all randomness; one seed always exposes the same messages
    #[arg(long, default_value_t = 1, value_parser = whole::<u64>(SEED))]
    seed: u64,
    /// Smaller groups and shorter conversations
    #[arg(long)]
    quick: bool,
    /// Directory for the files [default: results/security; earlier ones there are replaced]
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
}

pub(super) fn run(program: Program, options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let catalog = Catalog::load(registry, &options.backend)?;
    let (choices, left_out) = match options.backend.as_slice() {
        [] => (catalog.usable().collect(), false),
        named => {
            let (choices, left_out) = options::usable(&catalog, named)?;
            (choices, !left_out.is_empty())
        }
    };
    let names: Vec<String> = choices.iter().map(|choice| format!("backend {}", choice.full_name())).collect();
    plan::no_twice(&names).map_err(MeasureError::from)?;
    let path = options.out.clone().unwrap_or_else(|| SECURITY.into());
    let out = Directory::lock(&path)?;
    let taken = [files::FINDINGS, files::SUMMARY, store::SAMPLES].into_iter().find(|name| path.join(name).exists());
    if let Some(name) = taken.filter(|_| options.out.is_some()) {
        let message = format!("{} has a {name} already; try another --out", path.display());
        return Err(Failure { code: USAGE, message });
    }
    running::end_on_interrupt(None)?;
    // A panic of a backend is a finding like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let order = Order { seed: options.seed, quick: options.quick };
    let backends = attack_all(&catalog, registry, &choices, order)?;
    let findings = Findings {
        version: VERSION,
        program: Build::of_this_program(program)?.described(),
        argv: running::argv(),
        cpu: Machine::this().cpu,
        order,
        backends,
    };
    files::write_exposure(&out, &findings)?;
    let text = summary::exposure(&findings);
    files::write_summary(&out, &text)?;
    print(text.as_bytes())?;
    print(format!("Made in {:.1} s. Files are in {}.\n", start.elapsed().as_secs_f64(), path.display()).as_bytes())?;
    Ok(if left_out || failed(&findings) { INCOMPLETE } else { OK })
}

/// Makes all attacks on all backends.
fn attack_all(
    catalog: &Catalog<'_>,
    registry: &Registry,
    choices: &[Choice],
    order: Order,
) -> Result<Vec<Attacked>, Failure> {
    let launches = catalog.launches_of(attacks::VERB, choices);
    let (external, own): (Vec<&Choice>, Vec<&Choice>) =
        choices.iter().partition(|choice| launches.contains_key(&choice.backend));
    let makes: Vec<(&Choice, Constructor)> = own
        .into_iter()
        .map(|choice| Ok((choice, registry.constructor(&choice.full_name())?)))
        .collect::<Result<_, Failure>>()?;
    let bar = running::bar(0, Arc::new(Mutex::new(TimeLeft::default())));
    let count = makes.len() * (SITUATIONS.len() + 1);
    let runs: usize = makes.iter().map(|(_, make)| attacks::workloads(&make, order).len()).sum();
    bar.set_length((count + runs + external.len()) as u64);
    bar.set_message("situations");
    let mut found: Vec<Attacked> = makes
        .par_iter()
        .map(|(choice, make)| {
            let play = |situation| {
                let played = attacks::play(make, situation, order);
                bar.inc(1);
                played
            };
            let situations: Vec<Played> = SITUATIONS.par_iter().map(play).collect();
            let (absence, absence_reason) = attacks::absence(make, order);
            bar.inc(1);
            let (backend, derived) = (choice.full_name(), attacks::derives(&*make()));
            Attacked { backend, derived, situations, workloads: Vec::new(), absence, absence_reason }
        })
        .collect();
    // From here on calls are timed, so one thing happens at a time.
    for (attacked, (_, make)) in found.iter_mut().zip(&makes) {
        for workload in attacks::workloads(make, order) {
            let every =
                workload.update_every.map_or_else(|| "no update".to_owned(), |every| format!("update every {every}"));
            bar.set_message(format!("{}, {every}", attacked.backend));
            attacked.workloads.push(attacks::run(make, &workload));
            bar.inc(1);
        }
    }
    for choice in external {
        let name = choice.full_name();
        bar.set_message(name.clone());
        let Some(launch) = launches.get(&choice.backend) else { continue };
        match attacks::ask(launch, (&choice.backend, &choice.variant), order) {
            Ok(attacked) => found.push(attacked),
            // The others are shown all the same.
            Err(absence_reason) => found.push(Attacked {
                backend: name,
                derived: false,
                situations: Vec::new(),
                workloads: Vec::new(),
                absence: Vec::new(),
                absence_reason,
            }),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(found)
}

/// Whether something could not be measured that should have been. Says what.
fn failed(findings: &Findings) -> bool {
    let mut failed = false;
    for attacked in &findings.backends {
        let situations = attacked.situations.iter().map(|it| (it.situation.clone(), it.status, &it.reason));
        let workloads = attacked.workloads.iter().map(|it| ("conversation".to_owned(), it.status, &it.reason));
        for (what, _, reason) in situations.chain(workloads).filter(|(_, status, _)| *status == Ended::Failed) {
            complain(&format!("{}, {what}: {reason}", attacked.backend));
            failed = true;
        }
        if !attacked.absence_reason.is_empty() {
            complain(&format!("{}, absence: {}", attacked.backend, attacked.absence_reason));
            failed = true;
        }
    }
    failed
}
