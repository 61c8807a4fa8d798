//! `harness plot`: the pictures of a recorded run: of one backend beside the published figures, or of several.

use clap::Args;
use harness::comparison::{Comparison, with_derived};
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
    let (out, samples) = (options.source.out()?, &recorded.samples);
    let written = match recorded.manifest.options.backends.as_slice() {
        [backend] => report::write_figures(out, samples, backend, &Paper::load()?)?,
        several => report::write_comparison_figures(out, &Comparison::new(&with_derived(samples), several))?,
    };
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
