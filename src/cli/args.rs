//! What can be typed. One struct per command, next to the command's code; here is what ties them together.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::completions::CompletionsArgs;
use super::config::ConfigArgs;
use super::controller::ControllerArgs;
use super::doctor::DoctorArgs;
use super::down::DownArgs;
use super::events::EventsArgs;
use super::git_transport::GitTransportArgs;
use super::init::InitArgs;
use super::output::Verbosity;
use super::plan::PlanArgs;
use super::service::ServiceArgs;
use super::up::UpArgs;

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

impl Runtime {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
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
    #[arg(short = 'o', long = "output", value_enum, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes this directory a Tanuki project.
    Init(InitArgs),
    /// Looks whether everything Tanuki needs is there, and says how to mend what is not.
    ///
    /// Each line is ok, warning or failure. Ends with exit code 0 when nothing failed, 1 when something did, and 3
    /// when there is no engine. JSON is a list of objects with name, level, message and mend.
    Doctor(DoctorArgs),
    /// Checks and shows the configuration.
    Config(ConfigArgs),
    /// Shows what the controller would do now, and why; changes nothing.
    ///
    /// Ends with exit code 0 when there is nothing to do, and 1 when there is. JSON is a list of objects with service
    /// and plan: steps (action and cause), state, reason, message.
    Plan(PlanArgs),
    /// Starts all enabled services and runs the controller in the foreground.
    ///
    /// Events are printed as they happen. Ctrl-C ends the controller; services keep running, but are no longer
    /// watched over until the next command starts a controller in the background. `tanuki down` stops them.
    Up(UpArgs),
    /// Stops and removes everything of this project; data is kept unless asked.
    Down(DownArgs),
    /// Starts, stops, shows and enters shared services.
    Service(ServiceArgs),
    /// Shows what happened and why, newest last.
    Events(EventsArgs),
    /// Prints a completion script for a shell
    ///
    /// For bash, for example:
    /// tanuki completions bash > ~/.local/share/bash-completion/completions/tanuki
    #[command(verbatim_doc_comment)]
    Completions(CompletionsArgs),
    /// Runs the project's controller; commands start it themselves.
    #[command(hide = true)]
    Controller(ControllerArgs),
    /// Connects git to a repository in a container; `git fetch` starts it.
    #[command(hide = true)]
    GitTransport(GitTransportArgs),
}
