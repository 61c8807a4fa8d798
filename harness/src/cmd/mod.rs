//! The command line: one file for each verb, and what the verbs share.
//!
//! Data goes to standard output, progress and errors to standard error. [`crate::program`] makes a program of
//! it.

mod backends;
mod compare;
mod conformance;
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
mod security;
mod soak;
mod time_left;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::gate::instructions;
use crate::record::exposure::Order;
use crate::record::name::join;
use crate::record::program::Program;
use crate::registry::{Constructor, Registry};
use crate::run::child::Launch;
use crate::run::describe::Described;
use crate::run::{apart, attacks, describe, external, runner};
use failure::{ERROR, EXIT_CODES, Failure, OK};
use output::{complain, print};

/// Measures group key agreement protocols: CPU time and traffic of each operation.
#[derive(Parser)]
#[command(arg_required_else_help = true, after_help = EXIT_CODES)]
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
    /// Attack backends with stolen states, and show what is read.
    Security(security::Options),
    /// Check backends as before a measurement, and print what was checked and what could not be.
    Conformance(conformance::Options),
    /// List the backends in programs of their own, and build them.
    Backends(backends::Options),
    /// List the backends and their capabilities.
    List(list::Options),
    /// Serve requests for samples on standard input and output.
    #[command(hide = true)]
    Runner(Runner),
    /// Say which backends there are, in one line of JSON.
    #[command(hide = true)]
    Describe(Piped),
    /// Repeat one member's part, which is read from standard input.
    #[command(hide = true)]
    Part(Piped),
    /// Attack a backend, and write what is found in one line of JSON.
    #[command(hide = true)]
    Attack(Attack),
    /// Become the program behind a pipe.
    #[command(hide = true)]
    Become {
        /// Its directory
        #[arg(long)]
        piped: PathBuf,
    },
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
    #[command(flatten)]
    piped: Piped,
}

#[derive(Args)]
struct Attack {
    #[command(flatten)]
    runner: Runner,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    quick: bool,
}

#[derive(Args)]
struct Piped {
    /// Directory of a program that speaks the member protocol: its backends, not those of this program
    #[arg(long, value_name = "DIRECTORY")]
    piped: Option<PathBuf>,
}

/// Runs the command in the arguments of this process, with the backends of this workspace and those that `program` adds.
pub fn main(program: Program, backends: &'static [Constructor]) -> ExitCode {
    let command = Cli::command().name(program.package).bin_name(program.bin).version(program.version);
    // A negative number is a wrong value, and no unknown option.
    let valued = |arg: Arg| if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg };
    let command = command.mut_subcommands(|verb| verb.mut_args(valued));
    let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let registry = Registry::built_in().with(backends);
    // No backend runs before a part does. This program has been checked when it was started to measure.
    let result = if matches!(cli.verb, Verb::Part(_) | Verb::Become { .. }) {
        Ok(())
    } else {
        registry.check().map_err(Failure::from)
    };
    match result.and_then(|()| run(program, cli.verb, &registry)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&format!("error: {}", failure.message));
            ExitCode::from(failure.code)
        }
    }
}

fn run(program: Program, verb: Verb, registry: &Registry) -> Result<u8, Failure> {
    match verb {
        Verb::Reproduce(options) => reproduce::run(program, &options, registry),
        Verb::Measure(options) => measure::run(program, &options, registry),
        Verb::Compare(options) => compare::run(program, &options, registry),
        Verb::Plot(options) => plot::run(&options),
        Verb::Export(options) => export::run(&options),
        Verb::Report(options) => report::run(&options),
        Verb::Gate(options) => gate::run(program, &options, registry),
        Verb::Soak(options) => soak::run(&options, registry),
        Verb::Security(options) => security::run(program, &options, registry),
        Verb::Attack(options) => attack(registry, &options),
        Verb::Conformance(options) => conformance::run(&options, registry),
        Verb::Backends(options) => backends::run(&options, registry),
        Verb::List(options) => list::run(&options, registry),
        Verb::Runner(options) => serve(registry, &options),
        Verb::Describe(Piped { piped }) => describe(registry, piped.as_deref()),
        Verb::Part(Piped { piped }) => repeat(registry, piped.as_deref()),
        Verb::Become { piped } => match external::become_program(&piped)? {},
        Verb::Replay { recording } => replay(registry, &recording),
    }
}

fn serve(registry: &Registry, options: &Runner) -> Result<u8, Failure> {
    let Runner { backend, variant, piped: Piped { piped } } = options;
    let parts = Launch::subcommand(apart::VERB).ok();
    let Some(directory) = piped else {
        return Ok(runner::serve(registry, backend, variant, parts.as_ref()).map(|()| OK)?);
    };
    let pipe = external::pipe(directory)?;
    let make = pipe.constructor(&join(backend, variant))?;
    Ok(runner::serve_made(&make, parts.map(|launch| launch.piped(directory)).as_ref()).map(|()| OK)?)
}

fn attack(registry: &Registry, options: &Attack) -> Result<u8, Failure> {
    let Attack { runner: Runner { backend, variant, piped: Piped { piped } }, seed, quick } = options;
    let (name, order) = (join(backend, variant), Order { seed: *seed, quick: *quick });
    let served = match piped {
        None => attacks::serve(&registry.constructor(&name)?, order),
        Some(directory) => attacks::serve(&external::pipe(directory)?.constructor(&name)?, order),
    };
    served.map(|()| OK).map_err(|error| Failure::new(ERROR, &error))
}

fn describe(registry: &Registry, piped: Option<&Path>) -> Result<u8, Failure> {
    let described = match piped {
        None => Described::of(registry)?,
        Some(directory) => Described::of_all(external::pipe(directory)?.all()),
    };
    describe::serve(&described).map(|()| OK).map_err(|error| Failure::new(ERROR, &error))
}

fn repeat(registry: &Registry, piped: Option<&Path>) -> Result<u8, Failure> {
    let repeated = match piped {
        None => apart::serve(&|name| registry.find(name)),
        Some(directory) => {
            // The program is started before this process can open nothing any more.
            let pipe = external::pipe(directory)?;
            apart::serve(&|name| pipe.find(name))
        }
    };
    repeated.map(|()| OK).map_err(|error| Failure::new(ERROR, &error))
}

fn replay(registry: &Registry, recording: &Path) -> Result<u8, Failure> {
    let seen = instructions::replay_file(registry, recording).map_err(|error| Failure::new(ERROR, &error))?;
    print(&seen)?;
    Ok(OK)
}
