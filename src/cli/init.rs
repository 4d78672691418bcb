//! `tanuki init`: a project in this directory.

use clap::Args;

use super::{CliError, Context, Output, Result};

/// Arguments of `tanuki init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Overwrites an existing tanuki.yaml.
    #[arg(long)]
    pub force: bool,
}

#[expect(clippy::unused_async, reason = "the command's body lands with the configuration")]
pub(super) async fn run(_context: &Context, _args: &InitArgs, _out: &Output) -> Result {
    Err(CliError::failed("`tanuki init` is not there yet"))
}
