//! The command line: parse, dispatch, output, exit codes. The composition root.
//!
//! One file per command. A command gets a [`Context`] (what it works on) and an [`Output`] (where it prints), and
//! returns how the process ends. What a person reads is made by pure `render` functions over plain data; only
//! [`output`] prints. The process's environment, working directory and clock are read here and nowhere else.
//!
//! # Exit codes
//!
//! 0 done, 1 failed, 2 usage or configuration, 3 engine unavailable, 4 timed out, 5 limit of iterations reached; `plan`
//! ends with 1 when something is to be done. `service connect` and `attach` pass on the exit code of the program it ran, and a command that a signal ends
//! reports 128 plus the signal's number (130 for Ctrl-C).

pub mod agent;
mod args;
mod completions;
mod config;
mod confirm;
mod context;
mod controller;
pub mod daemon;
mod dashboard;
mod doctor;
mod down;
mod engine;
mod env;
mod error;
mod events;
mod git_transport;
mod init;
mod live;
mod look;
pub mod output;
mod plan;
mod project;
pub mod render;
mod role;
pub mod service;
mod session;
mod since;
mod task;
mod terminal;
pub mod text;
mod up;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use tracing::level_filters::LevelFilter;

pub use args::{Cli, Command, Format, FormatArg, Global, Runtime};
pub use context::Context;
pub use engine::engine_error;
pub use env::{Env, now};
pub use error::{CliError, ErrorKind, Exit, Result};
pub use output::Output;

/// Parses the arguments, carries out the command and tells how the process is to end.
pub fn run(args: impl IntoIterator<Item = OsString>, env: Env) -> ExitCode {
    let out = Output::of_process(&env);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return out.clap(&error).into(),
    };
    let out = out.with_verbosity(cli.global.verbosity());
    let exit = match dispatch(cli, env, &out) {
        Ok(exit) => exit,
        Err(error) => {
            out.error(&error);
            error.exit()
        }
    };
    exit.into()
}

/// Runs one command on a runtime of its own. One thread is enough: commands wait, they do not compute.
fn dispatch(cli: Cli, env: Env, out: &Output) -> Result {
    let Cli { global, command } = cli;
    if let Command::Completions(args) = &command {
        return completions::run(args, out);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed("cannot start").because(&error))?;
    trace(&global, &env, &command);
    let context = Context::new(global, env);
    let result = runtime.block_on(Box::pin(command_future(&context, &command, out)));
    // A blocking read (of a terminal, of a slow disk) must not hold up the end of the process.
    runtime.shutdown_background();
    result
}

async fn command_future(context: &Context, command: &Command, out: &Output) -> Result {
    match command {
        Command::Init(args) => init::run(context, args, out).await,
        Command::Doctor(args) => doctor::run(context, args, out).await,
        Command::Config(args) => config::run(context, args, out).await,
        Command::Plan(args) => plan::run(context, args, out).await,
        Command::Up(args) => up::run(context, args, out).await,
        Command::Down(args) => down::run(context, args, out).await,
        Command::Service(args) => service::run(context, args, out).await,
        Command::Spawn(args) => agent::spawn(context, args, out).await,
        Command::List(args) => agent::list(context, args, out).await,
        Command::Status(args) => agent::status(context, args, out).await,
        Command::Run(args) => agent::run(context, args, out).await,
        Command::Runs(args) => agent::runs(context, args, out).await,
        Command::Logs(args) => agent::logs(context, args, out).await,
        Command::Attach(args) => agent::attach(context, args, out).await,
        Command::Start(args) => agent::start(context, args, out).await,
        Command::Stop(args) => agent::stop(context, args, out).await,
        Command::Restart(args) => agent::restart(context, args, out).await,
        Command::Remove(args) => agent::remove(context, args, out).await,
        Command::Diff(args) => agent::diff(context, args, out).await,
        Command::Merge(args) => agent::merge(context, args, out).await,
        Command::Undo(args) => agent::undo(context, args, out).await,
        Command::Project(args) => project::run(context, args, out).await,
        Command::Task(args) => task::run(context, args, out).await,
        Command::Role(args) => role::run(context, args, out).await,
        Command::Events(args) => events::run(context, args, out).await,
        Command::Dashboard(args) => dashboard::run(context, args, out).await,
        Command::Completions(args) => completions::run(args, out),
        Command::Controller(args) => controller::run(context, args).await,
        Command::GitTransport(args) => git_transport::run(context, args, out).await,
    }
}

/// Says what goes on below on standard error: of a controller, which has its log there, and of commands with `-v`.
fn trace(global: &Global, env: &Env, command: &Command) {
    let controller = matches!(command, Command::Controller(_));
    let level = match (env.var("TANUKI_LOG").and_then(|level| level.parse().ok()), global.verbose) {
        (Some(level), _) => level,
        (None, 0) if controller => LevelFilter::INFO,
        (None, 0) => return,
        (None, 1) => LevelFilter::INFO,
        (None, _) => LevelFilter::DEBUG,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false);
    // Set once per process; a second time only fails in tests.
    drop(subscriber.try_init());
}
