//! `harness export`: a recorded run in the forms of other programs.

use clap::{Args, Subcommand};
use harness::recorded::Recorded;
use harness::report;

use super::options::Source;
use super::{Failure, OK, print};

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand)]
enum Form {
    /// time.csv and traffic.csv, as the paper's notebook reads them
    Paper(Source),
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let Form::Paper(source) = &options.form;
    let recorded = Recorded::open(&source.directory)?;
    let written = report::write_export(source.out()?, &recorded.samples)?;
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
