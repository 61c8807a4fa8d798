//! The command line, with the backends of this workspace.

use std::process::ExitCode;

use harness::registry::Registry;

fn main() -> ExitCode {
    harness::cmd::main(&Registry::built_in())
}
