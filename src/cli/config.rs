//! `tanuki config`: check, show and describe the configuration.

use clap::Args;

use super::{CliError, Context, Output, Result};

/// Arguments of `tanuki config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {}

#[expect(clippy::unused_async, reason = "the command's body lands with the configuration")]
pub(super) async fn run(_context: &Context, _args: &ConfigArgs, _out: &Output) -> Result {
    Err(CliError::failed("`tanuki config` is not there yet"))
}
