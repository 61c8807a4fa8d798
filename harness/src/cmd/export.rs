//! `harness export`: writes a recorded run in the formats of other programs.

use clap::{Args, Subcommand};

use super::failure::{Failure, OK};
use super::options::Source;
use super::output::print;
use crate::record::recorded::Recorded;
use crate::report::files;

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    form: Form,
}

#[derive(Subcommand)]
enum Form {
    /// Write time.csv and traffic.csv, as the paper's notebook reads them
    Paper(Source),
    /// Write gha.json for github-action-benchmark, in its format customSmallerIsBetter
    Gha(Source),
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let (Form::Paper(source) | Form::Gha(source)) = &options.form;
    let (out, Recorded { samples, .. }) = source.open()?;
    let written = match options.form {
        Form::Paper(_) => files::write_export(&out, &samples)?.to_vec(),
        Form::Gha(_) => vec![files::write_tracked(&out, &samples)?],
    };
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
