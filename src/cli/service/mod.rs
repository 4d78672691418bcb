//! `tanuki service …`: shared services.

mod client;
mod connect;
mod env;
mod lifecycle;
mod logs;
pub mod settle;
mod status;

use clap::{Args, Subcommand};

pub use client::command as client_command;
pub(super) use lifecycle::{interrupted_error, start_enabled};
pub(super) use settle::{Interrupted, engine_trouble};

use super::{Context, Output, Result};

/// Arguments of `tanuki service`.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ServiceCommand,
}

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Starts services and returns when they are healthy.
    Start(lifecycle::StartArgs),
    /// Stops services; their data stays.
    Stop(lifecycle::StopArgs),
    /// Stops a service and starts it again.
    Restart(lifecycle::RestartArgs),
    /// Shows how services are.
    ///
    /// PORT is the one on the host where there is one; 5433->5432 is a host port that differs from the one inside.
    /// JSON is one object: project, path, controller, engine, conditions, `observed_at` and services by name; times
    /// are milliseconds since 1970.
    Status(status::StatusArgs),
    /// Shows what a service has written.
    Logs(logs::LogsArgs),
    /// Opens psql, redis-cli, mysql or a shell inside a service's container.
    ///
    /// The client connects as the service's own user to its own database. Arguments after `--` are passed on to it;
    /// input may be piped; its exit code is passed on.
    Connect(connect::ConnectArgs),
    /// Shows the variables by which agents, or the host, reach services.
    ///
    /// Passwords are shown as ******** (null in JSON) unless asked for with --show-secrets. `--export` prints shell
    /// lines with the real values, to be evaluated: eval "$(tanuki service env --from host --export)".
    Env(env::EnvArgs),
}

pub(super) async fn run(context: &Context, args: &ServiceArgs, out: &Output) -> Result {
    match &args.command {
        ServiceCommand::Start(args) => lifecycle::start(context, args, out).await,
        ServiceCommand::Stop(args) => lifecycle::stop(context, args, out).await,
        ServiceCommand::Restart(args) => lifecycle::restart(context, args, out).await,
        ServiceCommand::Status(args) => status::run(context, args, out).await,
        ServiceCommand::Logs(args) => logs::run(context, args, out).await,
        ServiceCommand::Connect(args) => connect::run(context, args, out).await,
        ServiceCommand::Env(args) => env::run(context, args, out).await,
    }
}
