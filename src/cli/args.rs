//! What can be typed. One struct per command, next to the command's code; here is what ties them together.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::completions::CompletionsArgs;
use super::config::ConfigArgs;
use super::init::InitArgs;
use super::output::Verbosity;

/// Keeps shared services and coding agents running on Docker or Podman.
#[derive(Debug, Parser)]
#[command(
    name = "tanuki",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 engine unavailable, 4 timed out."
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Container engine to use.
    #[arg(long, global = true, value_enum, value_name = "ENGINE")]
    pub runtime: Option<Runtime>,
    /// Project directory, instead of the one around the working directory.
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Says more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Says nothing but results and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Answers yes to every question.
    #[arg(short, long, global = true)]
    pub yes: bool,
}

impl Global {
    /// How much is to be said.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        }
    }
}

/// Which container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// The first one that answers.
    Auto,
    /// Docker, or what speaks its API.
    Docker,
    /// Podman.
    Podman,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// The flag of commands that read.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct FormatArg {
    /// Output format.
    #[arg(short, long = "output", value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes this directory a Tanuki project.
    Init(InitArgs),
    /// Checks and shows the configuration.
    Config(ConfigArgs),
    /// Prints a completion script for a shell.
    ///
    /// For bash, for example:
    /// tanuki completions bash > ~/.local/share/bash-completion/completions/tanuki
    #[command(verbatim_doc_comment)]
    Completions(CompletionsArgs),
}
