//! `tanuki project start` and `resume`: services first, then tasks.

use std::time::Duration;

use clap::Args;

use super::follow::{Ended, follow};
use crate::cli::context::Project;
use crate::cli::output::Tone;
use crate::cli::service::start_enabled;
use crate::cli::session::Session;
use crate::cli::{CliError, Context, Exit, Output, Result, text};
use crate::model::{Request, Snapshot, TaskState, TaskStatus};

/// Arguments of `tanuki project start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Subfolders of the tasks' directory to work on; all tasks when left out.
    #[arg(value_name = "PROJECT")]
    pub projects: Vec<String>,
    /// Merges what completes into the current branch, one after another, verified again on the result.
    #[arg(long)]
    pub merge: bool,
    /// Shows who would work on what, in order, and changes nothing.
    #[arg(long, conflicts_with_all = ["detach", "follow"])]
    pub dry_run: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

/// Arguments of `tanuki project resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    follow: FollowArgs,
}

#[derive(Debug, Clone, Copy, Args)]
struct FollowArgs {
    /// Returns as soon as the work is under way.
    #[arg(short, long, conflicts_with = "follow")]
    detach: bool,
    /// Shows what happens until everything is done, which is what it does anyway.
    #[arg(short, long)]
    follow: bool,
    /// Gives up waiting for services after this long, with exit code 4.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    wait_timeout: Duration,
}

pub(super) async fn start(context: &Context, args: &StartArgs, out: &Output) -> Result {
    let project = context.project()?;
    let request = Request::ProjectStart {
        projects: args.projects.clone(),
        merge: args.merge,
        dry_run: args.dry_run,
        credentials: context.credentials(&project),
    };
    if args.dry_run {
        let (session, accepted) = context.ask(&project, &request).await?;
        session.finish().await;
        out.result(&text::block(&accepted.text))?;
        return Ok(Exit::DONE);
    }
    Context::warn(&project, out);
    begin(context, &project, &request, args.follow, out).await
}

pub(super) async fn resume(context: &Context, args: &ResumeArgs, out: &Output) -> Result {
    let project = context.project()?;
    let request = Request::ProjectResume { credentials: context.credentials(&project) };
    begin(context, &project, &request, args.follow, out).await
}

async fn begin(
    context: &Context,
    project: &Project,
    request: &Request,
    args: FollowArgs,
    out: &Output,
) -> Result {
    let services = start_enabled(context, project, args.wait_timeout, out).await?;
    if services != Exit::DONE {
        return Ok(services);
    }
    let (session, accepted) = context.ask(project, request).await?;
    for warning in &accepted.warnings {
        out.warning(warning);
    }
    out.line(&text::one_line(&accepted.text))?;
    if args.detach {
        session.finish().await;
        out.remark(Tone::Plain, "`tanuki project status --watch` shows how it goes");
        return Ok(Exit::DONE);
    }
    end(context, project, session, out).await
}

async fn end(context: &Context, project: &Project, session: Session, out: &Output) -> Result {
    match follow(context, project, session, out).await? {
        Ended::Detached => {
            out.remark(
                Tone::Plain,
                "the work goes on; `tanuki project status` shows it, `tanuki project stop` ends it",
            );
            Ok(Exit(130))
        }
        Ended::Unheard => Ok(Exit::DONE),
        Ended::Stopped => {
            Err(CliError::failed("the project was stopped").hint("`tanuki project resume` goes on"))
        }
        Ended::Finished(snapshot) => finished(&snapshot, out),
    }
}

fn finished(snapshot: &Snapshot, out: &Output) -> Result {
    let within = |task: &&TaskStatus| {
        snapshot.work.projects.is_empty() || snapshot.work.projects.contains(&task.project)
    };
    let tasks: Vec<&TaskStatus> = snapshot.tasks.values().map(AsRef::as_ref).filter(within).collect();
    let ids = |state: &[TaskState]| -> Vec<String> {
        tasks.iter().filter(|task| state.contains(&task.state)).map(|task| task.id.clone()).collect()
    };
    let (complete, review) = (ids(&[TaskState::Complete]), ids(&[TaskState::Review]));
    let open = ids(&[TaskState::Failed, TaskState::Blocked]);
    let waiting = ids(&[TaskState::Pending]);
    out.line(&format!("{} of {} tasks are complete.", complete.len(), tasks.len()))?;
    if !review.is_empty() {
        out.remark(
            Tone::Warning,
            &format!("in review: {}; `tanuki task approve` takes them for complete", review.join(", ")),
        );
    }
    if !waiting.is_empty() {
        out.remark(
            Tone::Warning,
            &format!("waiting for a person: {}; `tanuki task list` says what for", waiting.join(", ")),
        );
    }
    if open.is_empty() {
        return Ok(Exit::DONE);
    }
    let mut error = CliError::failed(format!("not done: {}", open.join(", ")));
    for task in tasks.iter().filter(|task| task.state == TaskState::Failed).take(5) {
        error = error.cause(format!("{}: {}", task.id, task.message));
    }
    Err(error.hint("`tanuki task show <task>` says more, `tanuki task retry <task>` tries again"))
}
