//! `harness report`: the tables of a recorded comparison, put into a Markdown file.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use harness::readme;
use harness::recorded::Recorded;
use harness::report;

use super::options::COMPARED;
use super::{Failure, OK, USAGE, print, running};

#[derive(Args)]
pub(super) struct Options {
    /// The directory of the run
    #[arg(default_value = COMPARED)]
    directory: PathBuf,
    /// The file; the tables go between its lines `<!-- BEGIN compare -->` and `<!-- END compare -->`
    #[arg(long, value_name = "FILE")]
    readme: PathBuf,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let Options { directory, readme: path } = options;
    let recorded = Recorded::open(directory)?;
    let verdict = running::verdict(&recorded.samples);
    if verdict != OK {
        return Ok(verdict);
    }
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| Failure { code: super::ERROR, message: named(&error) })?;
    let section = readme::section(&recorded, path, directory);
    let spliced = readme::splice(&text, &section).map_err(|error| Failure { code: USAGE, message: named(&error) })?;
    report::write(path, spliced.as_bytes())?;
    print(format!("{}\n", path.display()).as_bytes())?;
    Ok(OK)
}
