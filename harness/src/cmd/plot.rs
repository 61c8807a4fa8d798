//! `harness plot`: draws the figures of a recorded run: of one backend beside the published figures, or of several backends.

use super::failure::{Failure, INCOMPLETE, OK};
use super::options::Source;
use super::output::print;
use crate::analysis::comparison::{Comparison, with_derived};
use crate::analysis::paper::Paper;
use crate::report::files;
use clap::Args;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let (out, recorded) = options.source.open()?;
    let samples = &recorded.samples;
    let backends = recorded.manifest.options.backends.as_slice();
    let written = match backends {
        [backend] if !files::is_comparison(&options.source.directory, backends) => {
            files::write_figures(&out, samples, backend, &Paper::load()?)?
        }
        backends => files::write_comparison_figures(&out, &Comparison::new(&with_derived(samples), backends))?,
    };
    if written.is_empty() {
        let message = "there is nothing to draw: no operation of one member was measured; try another run".to_owned();
        return Err(Failure { code: INCOMPLETE, message });
    }
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
