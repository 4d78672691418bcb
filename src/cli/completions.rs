//! `tanuki completions`: the completion script of a shell.

use clap::{Args, CommandFactory as _};

use super::{Cli, Exit, Output, Result};

/// Arguments of `tanuki completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell to complete in.
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionsArgs, out: &Output) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tanuki", &mut script);
    out.bytes(&script)?;
    Ok(Exit::DONE)
}
