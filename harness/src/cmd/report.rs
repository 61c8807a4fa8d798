//! `harness report`: writes the tables of a recorded run again, or puts them into a Markdown file.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::failure::{ERROR, Failure, OK, USAGE};
use super::options::{COMPARED, REFERENCE, directory_of, name_of, open};
use super::output::print;
use super::running;
use crate::analysis::cell_costs::Cells;
use crate::analysis::claims;
use crate::analysis::comparison::{Comparison, with_derived};
use crate::analysis::paper::Paper;
use crate::analysis::published::Published;
use crate::record::recorded::Recorded;
use crate::report::summary::{self, Reproduction};
use crate::report::{files, readme};
use crate::system::directory::Directory;

#[derive(Args)]
pub(super) struct Options {
    /// Directory of the run
    #[arg(default_value = COMPARED)]
    directory: PathBuf,
    /// Put the tables into this Markdown file, between its lines `<!-- BEGIN compare -->` and `<!-- END compare -->`, and
    /// likewise for `findings`, `implementations` and `reproduction` [default: write summary.md and the CSV files of the run again]
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> Result<u8, Failure> {
    let written = match &options.readme {
        Some(path) => {
            let recorded = complete(Recorded::open(&options.directory)?)?;
            vec![splice(&recorded, options, path)?]
        }
        None => {
            let (directory, recorded) = open(&options.directory, &options.directory)?;
            rewrite(&complete(recorded)?, &directory)?
        }
    };
    let lines: String = written.iter().map(|path| format!("{}\n", path.display())).collect();
    print(lines.as_bytes())?;
    Ok(OK)
}

/// The run, if all its samples count.
fn complete(recorded: Recorded) -> Result<Recorded, Failure> {
    match running::verdict(&recorded.samples) {
        OK => Ok(recorded),
        code => Err(Failure { code, message: "the tables are left as they were".to_owned() }),
    }
}

fn splice(recorded: &Recorded, options: &Options, path: &PathBuf) -> Result<PathBuf, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let directory = directory_of(path)?;
    let text = fs::read_to_string(path)
        .map_err(|error| Failure { code: ERROR, message: named(&error) + "; try a file that exists" })?;
    let spliced = readme::splice(&text, recorded, path, &options.directory);
    let spliced = spliced.map_err(|error| Failure { code: USAGE, message: named(&error) })?;
    files::write(&directory, name_of(path), spliced.as_bytes())?;
    Ok(path.clone())
}

/// Writes the derived text files that the run has again, in the formats of this program.
fn rewrite(recorded: &Recorded, out: &Directory) -> Result<Vec<PathBuf>, Failure> {
    let Recorded { manifest, samples } = recorded;
    let mut written = vec![files::write_measurements(out, samples)?];
    if !out.path().join(files::SUMMARY).exists() {
        return Ok(written);
    }
    let text = match manifest.options.backends.as_slice() {
        [backend] if !files::is_comparison(out.path(), &manifest.options.backends) => {
            let (paper, claims) = (Paper::load()?, claims::check(&Cells::new(samples), backend));
            summary::reproduction(&Reproduction { samples, manifest, paper: &paper, backend, claims: &claims })
        }
        backends => {
            let all = with_derived(samples);
            let compared = Comparison::new(&all, backends);
            let reference = reference(&manifest.argv);
            written.push(files::write_comparison(out, &compared, &reference)?);
            summary::comparison(&compared, &reference, samples, manifest, &Published::load()?)
        }
    };
    written.push(files::write_summary(out, &text)?);
    Ok(written)
}

/// The reference that a recorded command line asks for.
fn reference(argv: &[String]) -> String {
    let option = "--reference";
    let mut arguments = argv.iter();
    let separate = arguments.by_ref().find(|argument| argument.starts_with(option));
    let given = separate.and_then(|argument| match argument.split_once('=') {
        Some((_, name)) => Some(name.to_owned()),
        None => arguments.next().cloned(),
    });
    given.unwrap_or_else(|| REFERENCE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_that_of_the_recorded_command() {
        let of = |line: &str| reference(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("harness compare --quick"), "dcgka");
        assert_eq!(of("harness compare --reference pairwise --quick"), "pairwise");
        assert_eq!(of("harness compare --reference=sender-keys:pcs"), "sender-keys:pcs");
    }
}
