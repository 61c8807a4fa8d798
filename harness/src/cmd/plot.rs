//! `harness plot`: the pictures of a recorded run.

use clap::Args;
use harness::paper::Paper;
use harness::recorded::Recorded;
use harness::report;

use super::options::Source;
use super::{Failure, OK, print};

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let recorded = Recorded::open(&options.source.directory)?;
    let written = report::write_figures(options.source.out()?, &recorded.samples, &Paper::load()?)?;
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
