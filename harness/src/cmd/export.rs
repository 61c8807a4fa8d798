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
    /// gha.json, for github-action-benchmark (its form customSmallerIsBetter)
    Gha(Source),
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let (Form::Paper(source) | Form::Gha(source)) = &options.form;
    let Recorded { samples, .. } = Recorded::open(&source.directory)?;
    let out = source.out()?;
    let written = match options.form {
        Form::Paper(_) => report::write_export(out, &samples)?.to_vec(),
        Form::Gha(_) => vec![report::write_tracked(out, &samples)?],
    };
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
