//! `harness backends`: the backends in programs of their own, and their builds.

use std::time::Instant;

use clap::Args;

use super::failure::{Failure, INCOMPLETE, OK, USAGE};
use super::output::{complain, print};
use super::running;
use crate::registry::Registry;
use crate::report::summary::table::Table;
use crate::run::external::{Catalog, DIRECTORY, External};
use crate::run::plan::Choice;

/// Means every backend.
const ALL: &str = "all";

#[derive(Args)]
pub(super) struct Options {
    /// Backends to build, separated by commas, or `all`. This fetches what they need
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    build: Vec<String>,
}

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let mut catalog = Catalog::load(registry, &[])?;
    if catalog.external.is_empty() {
        let message = format!("there are no backends in {DIRECTORY}/; try the directory of the project");
        return Err(Failure { code: USAGE, message });
    }
    running::end_on_interrupt(None)?;
    let known: Vec<String> = catalog.external.iter().map(|it| it.declared.name.clone()).collect();
    if let Some(unknown) = options.build.iter().find(|name| *name != ALL && !known.contains(name)) {
        let message = format!("there is no backend `{unknown}` to build; try {ALL}, {}", known.join(", "));
        return Err(Failure { code: USAGE, message });
    }
    let wanted = |it: &External| options.build.iter().any(|name| name == ALL || *name == it.declared.name);
    let mut code = OK;
    for external in catalog.external.iter_mut().filter(|it| wanted(it)) {
        let start = Instant::now();
        match external.build() {
            Ok(()) => complain(&format!("built {} in {:.0} s", external.declared.name, start.elapsed().as_secs_f64())),
            Err(error) => {
                complain(&format!("error: {error}"));
                code = INCOMPLETE;
            }
        }
    }
    print(list(&catalog).as_bytes())?;
    Ok(code)
}

fn list(catalog: &Catalog<'_>) -> String {
    let mut table = Table::new(&["backend", "implementation", "licence", "it pulls in", "state", "variants"]);
    for external in &catalog.external {
        let declared = &external.declared;
        let variants: Vec<String> = external.built().iter().map(|it| Choice::from(it).full_name()).collect();
        table.row([
            declared.name.clone(),
            declared.implementation.clone(),
            declared.licence.clone(),
            declared.pulls_in.join(", "),
            external.state.words(),
            variants.join(", "),
        ]);
    }
    table.to_string()
}
