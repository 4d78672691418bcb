//! `tanuki run`: gives an agent something to do, and `run stop`, which ends it.
//!
//! A run lives in the controller and in the agent's container: whoever follows it can go at any time.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ask;
use super::follow::{Ended, follow};
use crate::cli::output::Tone;
use crate::cli::{CliError, Context, ErrorKind, Exit, Output, Result, now, text};
use crate::model::{Request, RunFailure, RunRecord, RunSpec, RunState};

/// A prompt may have so many bytes: more is no prompt, but a wrong file.
const PROMPT_LIMIT: u64 = 1 << 20;

/// Arguments of `tanuki run`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
#[command(
    override_usage = "tanuki run [OPTIONS] <AGENT> <PROMPT>\n       tanuki run [OPTIONS] <AGENT> -f <FILE>\n       tanuki run stop <AGENT>"
)]
pub struct RunArgs {
    /// What to do with a run that is under way.
    #[command(subcommand)]
    pub command: Option<RunCommand>,
    /// Agent that is to do it.
    #[arg(value_name = "AGENT", required = true)]
    pub agent: Option<String>,
    /// What it is to do; `-` reads it from standard input.
    #[arg(value_name = "PROMPT", required_unless_present = "file", conflicts_with = "file")]
    pub prompt: Option<String>,
    /// Reads the prompt from a file; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Prints the run's id and returns at once.
    #[arg(short, long, conflicts_with = "follow")]
    pub detach: bool,
    /// Shows its output until it ends, as without any flag.
    #[arg(long)]
    pub follow: bool,
    /// Gives the same prompt again until --verify and --signal hold, or the iterations are used up.
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Line that must stand alone in the agent's final message.
    #[arg(long, value_name = "S")]
    pub signal: Option<String>,
    /// Shell command that must succeed in the workspace.
    #[arg(long, value_name = "CMD")]
    pub verify: Option<String>,
    /// Most iterations of a loop; 10 when left out.
    #[arg(long, value_name = "N", requires = "repeat", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_iterations: Option<u32>,
    /// Most turns of one iteration.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_turns: Option<u32>,
    /// Tool the agent may use too; more than once for several.
    #[arg(long, value_name = "TOOL")]
    pub allow: Vec<String>,
    /// Tool the agent may not use; more than once for several.
    #[arg(long, value_name = "TOOL")]
    pub deny: Vec<String>,
    /// Ends the run after this long.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// Goes on with the agent CLI's last session.
    #[arg(long)]
    pub resume: bool,
}

/// What to do with a run that is under way.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Ends an agent's run.
    Stop(StopRunArgs),
}

/// Arguments of `tanuki run stop`.
#[derive(Debug, Args)]
pub struct StopRunArgs {
    /// Agent whose run is ended.
    #[arg(value_name = "AGENT")]
    pub agent: String,
}

pub(in crate::cli) async fn run(context: &Context, args: &RunArgs, out: &Output) -> Result {
    if let Some(RunCommand::Stop(args)) = &args.command {
        return stop(context, args, out).await;
    }
    let spec = spec(context, args, out)?;
    let agent = spec.agent.clone();
    let project = context.project()?;
    let credentials = context.credentials(&project);
    let request = Request::RunStart { spec: Box::new(spec), credentials };
    let (session, accepted) = ask(context, &project, &request, &format!("asking {agent}"), out).await?;
    let Some(id) = accepted.run else {
        session.finish().await;
        return Err(CliError::failed("the controller does not tell the run's id"));
    };
    if args.detach {
        session.finish().await;
        out.line(&text::one_line(&id))?;
        let how = format!("`tanuki logs {agent} -f` follows it, `tanuki run stop {agent}` ends it");
        out.remark(Tone::Faint, &how);
        return Ok(Exit::DONE);
    }
    match follow(context, &project, session, &agent, &id, out).await? {
        // Its last line says so.
        Ended::Over(record) if record.state == RunState::Succeeded => Ok(Exit::DONE),
        Ended::Over(record) => Err(failure(&record)),
        Ended::Superseded => Err(CliError::failed(format!("run {id} ended, and nothing tells how"))
            .hint(format!("`tanuki runs {agent}` shows its runs"))),
        Ended::Removed => Err(CliError::failed(format!("run {id} ended with its agent"))
            .cause(format!("{agent} was removed meanwhile"))),
        Ended::Detached => {
            let how = format!("Follow it with `tanuki logs {agent} -f`; `tanuki run stop {agent}` ends it.");
            out.remark(Tone::Plain, &format!("Detached; the run goes on. {how}"));
            // As a shell has it for what Ctrl-C ends.
            Ok(Exit(130))
        }
        Ended::Unheard => Ok(Exit::DONE),
    }
}

async fn stop(context: &Context, args: &StopRunArgs, out: &Output) -> Result {
    let project = context.project()?;
    let request = Request::RunStop { agent: args.agent.clone() };
    let doing = format!("ending the run of {}", args.agent);
    let (session, accepted) = ask(context, &project, &request, &doing, out).await?;
    session.finish().await;
    match &accepted.run {
        Some(id) => out.line(&format!("Stopped run: {}", text::one_line(id)))?,
        None => super::tell(&accepted, out)?,
    }
    Ok(Exit::DONE)
}

fn spec(context: &Context, args: &RunArgs, out: &Output) -> Result<RunSpec> {
    let prompt = match (&args.prompt, &args.file) {
        (_, Some(file)) if file.as_os_str() == "-" => read_stdin(out)?,
        (_, Some(file)) => read_file(&context.env.cwd.join(file))?,
        (Some(prompt), None) if prompt == "-" => read_stdin(out)?,
        (prompt, None) => prompt.clone().unwrap_or_default(),
    };
    if prompt.trim().is_empty() {
        return Err(CliError::usage("the prompt is empty").hint("say what the agent is to do"));
    }
    if args.repeat && args.verify.is_none() && args.signal.is_none() {
        return Err(CliError::usage("--loop has nothing that ends it")
            .hint("add --verify with a command that succeeds when the work is done, or --signal with a line to wait for"));
    }
    Ok(RunSpec {
        agent: args.agent.clone().unwrap_or_default(),
        prompt,
        task: None,
        repeat: args.repeat,
        signal: args.signal.clone(),
        verify: args.verify.clone(),
        max_iterations: args.max_iterations,
        max_turns: args.max_turns,
        allow: args.allow.clone(),
        deny: args.deny.clone(),
        timeout_ms: args.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        resume: args.resume,
        request: Some(format!("{}-{}", std::process::id(), now().0)),
    })
}

fn read_file(path: &Path) -> Result<String> {
    let failed = |error: &io::Error| {
        CliError::usage(format!("cannot read the prompt from {}", path.display())).because(error)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    read(file).map_err(|error| failed(&error))
}

fn read_stdin(out: &Output) -> Result<String> {
    if io::stdin().is_terminal() {
        out.remark(Tone::Faint, "the prompt is read from here; Ctrl-D ends it");
    }
    read(io::stdin().lock())
        .map_err(|error| CliError::usage("cannot read the prompt from standard input").because(&error))
}

fn read(from: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(PROMPT_LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > PROMPT_LIMIT {
        return Err(io::Error::other("it has more than 1 MiB"));
    }
    Ok(text)
}

/// Why a run did not do it.
pub fn failure(record: &RunRecord) -> CliError {
    let kind = match record.failure {
        Some(RunFailure::Timeout) => ErrorKind::TimedOut,
        Some(RunFailure::IterationLimit) => ErrorKind::LimitReached,
        _ => ErrorKind::Failed,
    };
    let mut error = CliError::new(kind, format!("run {} {}", record.id, word(record)));
    if !record.message.is_empty() {
        error = error.cause(record.message.clone());
    }
    if let Some(code) = record.exit_code.filter(|code| *code != 0) {
        error = error.cause(format!("the agent CLI ended with exit code {code}"));
    }
    if let Some(mend) = record.failure.and_then(|failure| mend(failure, record)) {
        error = error.hint(mend);
    }
    error.hint(format!("`tanuki logs {} --run {}` shows its output", record.agent, record.id))
}

fn word(record: &RunRecord) -> String {
    match record.failure {
        Some(failure) => format!("failed: {failure}"),
        None => format!("was {}", record.state),
    }
}

/// What to do about a failure that another try alone does not mend.
fn mend(failure: RunFailure, record: &RunRecord) -> Option<String> {
    let agent = &record.agent;
    Some(match failure {
        RunFailure::Auth => format!(
            "set the variables that hold the credentials of {0}, or name them in `adapters.{0}.env`; `tanuki doctor` shows which",
            record.adapter
        ),
        RunFailure::Quota => "wait until the quota is renewed, or use other credentials".to_owned(),
        RunFailure::RateLimit | RunFailure::Overloaded => "try again later".to_owned(),
        RunFailure::Unreachable => "check that the agent's container reaches the model's service".to_owned(),
        RunFailure::TurnLimit => "raise --max-turns, or go on with --resume".to_owned(),
        RunFailure::Denied => "allow the tool with --allow, or in the agent's role".to_owned(),
        RunFailure::IterationLimit if record.max_iterations <= 1 => {
            "look why the criteria do not hold, or let it try again with --loop".to_owned()
        }
        RunFailure::IterationLimit => {
            "raise --max-iterations, or look why the criteria do not hold".to_owned()
        }
        RunFailure::Timeout => "raise --timeout, or go on with --resume".to_owned(),
        RunFailure::NotStarted => {
            format!("look whether the agent CLI is in the image: `tanuki attach {agent}` opens a shell")
        }
        RunFailure::ContainerEnded => format!("`tanuki start {agent}` starts its container again"),
        RunFailure::Killed | RunFailure::NoResult | RunFailure::Other => return None,
    })
}
