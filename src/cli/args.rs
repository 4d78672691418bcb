//! What can be typed. One struct per command, next to the command's code; here is what ties them together.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::agent;
use super::completions::CompletionsArgs;
use super::config::ConfigArgs;
use super::controller::ControllerArgs;
use super::dashboard::DashboardArgs;
use super::doctor::DoctorArgs;
use super::down::DownArgs;
use super::events::EventsArgs;
use super::git_transport::GitTransportArgs;
use super::init::InitArgs;
use super::output::Verbosity;
use super::plan::PlanArgs;
use super::project::ProjectArgs;
use super::role::RoleArgs;
use super::service::ServiceArgs;
use super::task::TaskArgs;
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
    after_help = "Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 engine unavailable, 4 timed out, 5 limit \
                  of iterations reached."
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
    /// Ends with exit code 0 when there is nothing to do, and 1 when there is. JSON is a list of objects: for a service
    /// with service and plan (steps, each with action and cause; state, reason, message), for an agent with agent, steps,
    /// state, reason, message and `out_of_date`.
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
    /// Makes an agent: a branch, a workspace and a container of its own.
    ///
    /// The workspace is a clone of the project on the branch tanuki/NAME; the project itself cannot be changed from
    /// inside. Services that are healthy are in its environment. When anything fails, everything is taken back.
    Spawn(agent::SpawnArgs),
    /// Lists the agents.
    ///
    /// AHEAD/BEHIND counts the commits that the branch has over its base, and those it lacks. STATUS is creating, idle,
    /// working, stopped, error, lost (container or workspace were removed by hand), removing or unknown. JSON is a list
    /// of objects as `tanuki status <agent> -o json` prints one.
    List(agent::ListArgs),
    /// Shows agents, services and tasks at a glance, or one agent in depth.
    ///
    /// JSON without an agent is one object: project, path, controller, engine, conditions, `observed_at`, and services,
    /// agents and tasks by name; with one, it is that agent: name, state, desired, role, workstream, adapter, model,
    /// image, branch, base, `base_commit`, head, ahead, behind, dirty, container, `container_id`, workspace,
    /// `started_at`, run, `last_run` (as `tanuki runs` has them), task, `stale_environment`, `out_of_date`,
    /// `missing_services`, waiting, reason, message, generation, conditions. Times are milliseconds since 1970.
    Status(agent::StatusArgs),
    /// Gives an agent something to do, and shows its output until it ends.
    ///
    /// The run lives in the agent's container: closing the terminal never loses it. Ctrl-C only ends the showing, with
    /// exit code 130. `tanuki run stop <agent>` ends the run. With --loop the same prompt is given again until --verify
    /// succeeds and the --signal, if there is one, was given; what each iteration changed is committed.
    ///
    /// Ends with exit code 0 when the run succeeded, 1 when it failed or was stopped, 4 when its --timeout was over, and
    /// 5 when all iterations are used up. An agent that is named stop is reached by: tanuki run -- stop PROMPT
    Run(agent::RunArgs),
    /// Lists the runs of agents, oldest first.
    ///
    /// TOKENS are those read and written together; they, TURNS and COST are as the agent CLI tells. JSON is a list of
    /// objects: id, agent, task, adapter, title, state, failure, message, `created_at`, `started_at`, `ended_at`,
    /// iteration, `max_iterations`, `exit_code`, usage (turns, `input_tokens`, `output_tokens`, `cost_microdollars`),
    /// session, verified. Times are milliseconds since 1970.
    Runs(agent::RunsArgs),
    /// Shows what agents said and did.
    ///
    /// Lines that begin with > are tools the agent uses, with # Tanuki's own words, with ! errors, with ~ thoughts. JSON
    /// is one object per line: source, run, time (milliseconds since 1970), kind (text, thinking, tool, `tool_result`,
    /// error, note), text.
    Logs(agent::LogsArgs),
    /// Opens a shell, the agent CLI or any program in an agent's workspace.
    ///
    /// It has the services' current variables. A shell and the agent CLI need a terminal; a command after `--` also works
    /// with pipes. Its exit code is passed on.
    Attach(agent::AttachArgs),
    /// Starts agents' containers.
    Start(agent::StartArgs),
    /// Stops agents' containers and their runs; workspaces stay.
    Stop(agent::StopArgs),
    /// Stops agents and starts them again.
    ///
    /// A container that is out of date is made anew; its workspace stays.
    Restart(agent::RestartArgs),
    /// Removes agents with container, workspace and branch; their work is saved first.
    ///
    /// Refuses while work is not merged or a run is under way, unless --force is given. The whole workspace, files that
    /// git does not know included, is saved under refs/tanuki/rescue/, and the command that restores it is printed. Asks
    /// first, unless --yes is given.
    #[command(visible_alias = "rm")]
    Remove(agent::RemoveArgs),
    /// Shows what an agent changed, committed or not.
    ///
    /// Compares with the point where its branch left the base. Where no terminal reads it, the patch is as git makes it.
    /// JSON is an object: agent, format (patch, stat, `name_only`), text.
    Diff(agent::DiffArgs),
    /// Merges an agent's work into the branch it was made from.
    ///
    /// Looks for conflicts first, and changes nothing when there are any, or when that branch is checked out with changes
    /// that are not committed. `tanuki undo <agent>` takes a merge back.
    Merge(agent::MergeArgs),
    /// Restores what the last `remove` or `merge` of an agent saved.
    Undo(agent::UndoArgs),
    /// Hands the project's tasks to agents, and shows how they go.
    Project(ProjectArgs),
    /// Lists, shows and decides on tasks.
    Task(TaskArgs),
    /// Lists, shows and makes roles: who agents are and what they may do.
    Role(RoleArgs),
    /// Shows what happened and why, newest last.
    Events(EventsArgs),
    /// Shows agents, tasks, services and output live, with every action a key away.
    ///
    /// `?` shows the keys. The dashboard only shows and asks: agents, runs and services go on without it.
    #[command(visible_aliases = ["ui", "tui"])]
    Dashboard(DashboardArgs),
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
