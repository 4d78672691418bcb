//! `tanuki task …`: tasks from the command line. Reading needs no controller.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::args::{Format, FormatArg};
use super::render::{TaskFilter, render_task, render_tasks};
use super::{CliError, Context, Exit, Output, Result, now, text};
use crate::model::{Request, TaskState, TaskStatus};

/// Arguments of `tanuki task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Lists the tasks, and what is wrong in their files.
    ///
    /// Without a controller the files and the project's store are read, and nothing is changed. JSON is a list of objects
    /// as `tanuki task show -o json` prints one.
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Shows one task in depth.
    ///
    /// JSON is an object: id, title, state, priority, role, workstream, `depends_on`, `waits_for`, `assigned_to`,
    /// completion (verify, signal, `max_iterations`), tags, file, project, body (its first KiB), attempts, `next_try`, run,
    /// `started_at`, `ended_at`, usage, merged, reason, message. Times are milliseconds since 1970.
    Show(ShowArgs),
    /// Gives a task to an agent, or to nobody in particular.
    ///
    /// An agent that is not there is made when the task's turn comes.
    Assign(AssignArgs),
    /// Tries a failed, blocked or reviewed task again, with all its tries.
    Retry(IdArgs),
    /// Takes a task in review for complete.
    Approve(IdArgs),
}

/// Arguments of `tanuki task list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Shows only tasks with this status; may be given more than once.
    #[arg(short, long, value_name = "STATUS", value_parser = PossibleValuesParser::new(TaskState::ALL.map(TaskState::word)))]
    pub status: Vec<String>,
    /// Shows only tasks for this role.
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Shows only tasks of this workstream.
    #[arg(long, value_name = "NAME")]
    pub workstream: Option<String>,
    /// Shows project, workstream, tries, reason and file too.
    #[arg(long)]
    pub wide: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

/// Arguments of `tanuki task show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Task to show.
    #[arg(value_name = "TASK")]
    pub id: String,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

/// Arguments of `tanuki task assign`.
#[derive(Debug, Args)]
pub struct AssignArgs {
    /// Task to give away.
    #[arg(value_name = "TASK")]
    pub id: String,
    /// Agent that gets it.
    #[arg(value_name = "AGENT", required_unless_present = "nobody", conflicts_with = "nobody")]
    pub agent: Option<String>,
    /// Lets the controller choose again.
    #[arg(long)]
    pub nobody: bool,
}

/// Arguments of `tanuki task retry` and `approve`.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Tasks it is about.
    #[arg(value_name = "TASK", required = true)]
    pub ids: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &TaskArgs, out: &Output) -> Result {
    match &args.command {
        TaskCommand::List(args) => list(context, args, out).await,
        TaskCommand::Show(args) => show(context, args, out).await,
        TaskCommand::Assign(args) => {
            let request = Request::TaskAssign { task: args.id.clone(), agent: args.agent.clone() };
            ask(context, request, out).await?;
            Ok(Exit::DONE)
        }
        TaskCommand::Retry(args) => each(context, args, out, |task| Request::TaskRetry { task }).await,
        TaskCommand::Approve(args) => each(context, args, out, |task| Request::TaskApprove { task }).await,
    }
}

async fn list(context: &Context, args: &ListArgs, out: &Output) -> Result {
    let snapshot = context.look_at_tasks().await?;
    let filter = TaskFilter {
        states: TaskState::ALL
            .into_iter()
            .filter(|state| args.status.iter().any(|word| word == state.word()))
            .collect(),
        role: args.role.clone(),
        workstream: args.workstream.clone(),
    };
    match args.format.format {
        Format::Table => out.result(&render_tasks(&snapshot, &filter, args.wide, now()))?,
        Format::Json => {
            let tasks: Vec<&TaskStatus> =
                snapshot.tasks.values().map(AsRef::as_ref).filter(|task| filter.shows(task)).collect();
            out.json(&tasks)?;
        }
    }
    Ok(Exit::DONE)
}

async fn show(context: &Context, args: &ShowArgs, out: &Output) -> Result {
    let snapshot = context.look_at_tasks().await?;
    let Some(task) = snapshot.tasks.get(&args.id) else {
        let known: Vec<String> = snapshot.tasks.keys().cloned().collect();
        return Err(CliError::unknown_task(&args.id, &known));
    };
    match args.format.format {
        Format::Table => out.result(&render_task(task, &snapshot, now()))?,
        Format::Json => out.json(task.as_ref())?,
    }
    Ok(Exit::DONE)
}

async fn each(context: &Context, args: &IdArgs, out: &Output, request: impl Fn(String) -> Request) -> Result {
    for id in &args.ids {
        ask(context, request(id.clone()), out).await?;
    }
    Ok(Exit::DONE)
}

async fn ask(context: &Context, request: Request, out: &Output) -> Result<()> {
    let project = context.project()?;
    let (session, accepted) = context.ask(&project, &request).await?;
    session.finish().await;
    for warning in &accepted.warnings {
        out.warning(warning);
    }
    out.line(&text::one_line(&accepted.text))
}
