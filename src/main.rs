//! The `tanuki` program: hands the process's arguments and environment to the library.

use std::process::ExitCode;

use tanuki::cli::{self, Env};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Env::of_process())
}
