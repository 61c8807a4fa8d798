//! The command line: one file for each verb, and what the verbs share.
//!
//! Data goes to standard output, progress and errors to standard error.

mod compare;
mod export;
mod failure;
mod gate;
mod list;
mod measure;
mod options;
mod output;
mod plot;
mod report;
mod reproduce;
mod running;
mod soak;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::gate::instructions;
use crate::record::program::Program;
use crate::registry::Registry;
use crate::run::runner;
use failure::{ERROR, EXIT_CODES, Failure, OK};
use output::{complain, print};

/// Measures group key agreement protocols: CPU time and traffic of each operation.
#[derive(Parser)]
#[command(name = "harness", version, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Reproduce the paper: measure its whole grid, compare it with the published figures, check its claims.
    Reproduce(reproduce::Options),
    /// Measure any operations of any backends at any group sizes.
    Measure(measure::Options),
    /// Measure backends side by side and compare each with a reference.
    Compare(compare::Options),
    /// Draw the figures of a recorded run.
    Plot(plot::Options),
    /// Write a recorded run in the format of another program.
    Export(export::Options),
    /// Write the tables of a recorded run again, or put them into a Markdown file.
    Report(report::Options),
    /// Compare the costs of this build with the recorded baseline, for CI.
    Gate(gate::Options),
    /// Run random schedules with crashes, partitions and damaged messages; shrink one that fails to the steps it needs.
    Soak(soak::Options),
    /// List the backends and their capabilities.
    List(list::Options),
    /// Serve requests for samples on standard input and output.
    #[command(hide = true)]
    Runner(Runner),
    /// Replay one member's part in an update, to count its instructions.
    #[command(hide = true)]
    Replay {
        /// File of the recording
        recording: PathBuf,
    },
}

#[derive(Args)]
struct Runner {
    #[arg(long)]
    backend: String,
    #[arg(long, default_value = "")]
    variant: String,
}

/// Runs the command in the arguments of this process, with the backends of `registry`.
pub fn main(registry: &Registry) -> ExitCode {
    let program = Program::HARNESS;
    let result = match Cli::parse().verb {
        Verb::Reproduce(options) => reproduce::run(program, &options, registry),
        Verb::Measure(options) => measure::run(program, &options, registry),
        Verb::Compare(options) => compare::run(program, &options, registry),
        Verb::Plot(options) => plot::run(&options),
        Verb::Export(options) => export::run(&options),
        Verb::Report(options) => report::run(&options),
        Verb::Gate(options) => gate::run(program, &options, registry),
        Verb::Soak(options) => soak::run(&options, registry),
        Verb::List(options) => list::run(&options, registry),
        Verb::Runner(options) => {
            runner::serve(registry, &options.backend, &options.variant).map(|()| 0).map_err(Failure::from)
        }
        Verb::Replay { recording } => replay(registry, &recording),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&format!("error: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn replay(registry: &Registry, recording: &Path) -> Result<u8, Failure> {
    let seen = instructions::replay_file(registry, recording).map_err(|error| Failure::new(ERROR, &error))?;
    print(&seen)?;
    Ok(OK)
}
