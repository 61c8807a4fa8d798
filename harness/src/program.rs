//! The `main` of programs with backends: of the harness itself, and of crates that add backends.

use std::process::ExitCode;

use crate::record::program::Program;
use crate::registry::Constructor;

/// The `main` of a program that measures backends, each given by an expression that makes it. It takes one line in the
/// `main.rs` of a crate of one's own. With the feature `cli`, the program has the whole command line, with the backends of
/// this workspace before its own. Without it, the program serves a `harness` program that starts it, and is built faster.
///
/// ```text
/// harness::main! { template::Boxes }
/// ```
///
/// A backend of one file can stand beside that `main.rs`, here as `mine.rs`. The braces matter: in brackets, rustfmt would
/// put a comma after `mod mine;`.
///
/// ```text
/// harness::main! { mod mine; mine::Mine }
/// ```
#[macro_export]
macro_rules! main {
    ($(mod $module:ident;)* $($backend:expr),* $(,)?) => {
        // What is public in a crate of its own may stay so in a file.
        $(#[allow(unreachable_pub)] mod $module;)*

        fn main() -> ::std::process::ExitCode {
            const BACKENDS: &[$crate::registry::Constructor] = &[$(|| ::std::boxed::Box::new($backend)),*];
            // Of the package in which this line stands.
            let program = $crate::record::program::Program {
                package: ::core::env!("CARGO_PKG_NAME"),
                version: ::core::env!("CARGO_PKG_VERSION"),
                bin: ::core::env!("CARGO_BIN_NAME"),
                directory: ::core::env!("CARGO_MANIFEST_DIR"),
            };
            $crate::program::main(program, BACKENDS)
        }
    };
}

/// Runs the command in the arguments of this process.
pub fn main(program: Program, backends: &'static [Constructor]) -> ExitCode {
    #[cfg(feature = "cli")]
    return crate::cmd::main(program, backends);
    #[cfg(not(feature = "cli"))]
    serving::main(program, backends)
}

#[cfg(not(feature = "cli"))]
mod serving {
    //! The command line of a program that only serves: the hidden subcommands of the harness, and nothing else.

    use std::error::Error;
    use std::ffi::OsString;
    use std::process::ExitCode;

    use crate::record::exposure::Order;
    use crate::record::name::join;
    use crate::record::program::Program;
    use crate::registry::{Constructor, Registry};
    use crate::run::child::Launch;
    use crate::run::{apart, attacks, describe, runner};

    fn serve_described(registry: &Registry) -> Result<(), Box<dyn Error>> {
        describe::serve(&describe::Described::of(registry)?).map_err(Into::into)
    }

    fn attack(registry: &Registry, name: &str, seed: &str, quick: bool) -> Result<(), Box<dyn Error>> {
        Ok(attacks::serve(&registry.constructor(name)?, Order { seed: seed.parse()?, quick })?)
    }

    pub(super) fn main(program: Program, backends: &'static [Constructor]) -> ExitCode {
        let registry = Registry::new(backends);
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        // An argument that is no text is none of ours.
        let arguments: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
        let result: Result<(), Box<dyn Error>> = match arguments.as_slice() {
            // No backend runs before a part does.
            [verb] if *verb == apart::VERB => apart::serve(&|name| registry.find(name)).map_err(Into::into),
            [verb] if *verb == describe::VERB => serve_described(&registry),
            [runner::VERB, "--backend", backend, "--variant", variant] => {
                let parts = Launch::subcommand(apart::VERB).ok();
                runner::serve(&registry, backend, variant, parts.as_ref()).map_err(Into::into)
            }
            [attacks::VERB, "--backend", backend, "--variant", variant, "--seed", seed, quick @ ..]
                if quick.is_empty() || *quick == [attacks::QUICK] =>
            {
                attack(&registry, &join(backend, variant), seed, !quick.is_empty())
            }
            _ => Err(format!(
                "{} {} holds backends for the program `harness`, which starts it; try `harness backends`",
                program.bin, program.version
            )
            .into()),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}
