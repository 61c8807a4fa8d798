//! `harness plot`: draws the figures of a recorded run: of one backend beside the published figures, of several backends, or of what
//! attacks have found.

use std::fs;
use std::path::PathBuf;

use super::failure::{ERROR, Failure, INCOMPLETE, OK};
use super::options::Source;
use super::output::print;
use crate::analysis::comparison::{Comparison, with_derived};
use crate::analysis::paper::Paper;
use crate::record::exposure::Findings;
use crate::report::files;
use crate::system::directory::Directory;
use clap::Args;

#[derive(Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let Source { directory, out } = &options.source;
    if let Ok(findings) = fs::read(directory.join(files::FINDINGS)) {
        let findings: Findings = serde_json::from_slice(&findings).map_err(|error| Failure::new(ERROR, &error))?;
        let out = Directory::lock(out.as_deref().unwrap_or(directory))?;
        return tell(&files::write_exposure_figures(&out, &findings)?);
    }
    let (out, recorded) = options.source.open()?;
    let samples = &recorded.samples;
    let backends = recorded.manifest.options.backends.as_slice();
    let written = match backends {
        [backend] if !files::is_comparison(&options.source.directory, backends) => {
            files::write_figures(&out, samples, backend, &Paper::load()?)?
        }
        backends => files::write_comparison_figures(&out, &Comparison::new(&with_derived(samples), backends))?,
    };
    tell(&written)
}

/// Prints the paths of the figures.
fn tell(written: &[PathBuf]) -> Result<u8, Failure> {
    if written.is_empty() {
        let message = "there is nothing to draw: no operation of one member was measured; try another run".to_owned();
        return Err(Failure { code: INCOMPLETE, message });
    }
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}
