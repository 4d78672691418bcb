//! `tanuki project status` and `list`. Reading needs no controller; watching does.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::cli::args::{Format, FormatArg};
use crate::cli::live::Live;
use crate::cli::render::{render_project, render_projects};
use crate::cli::{Context, Exit, Output, Result, now, terminal};
use crate::model::{ProjectPhase, ProjectStatus, Snapshot, TaskStatus};

/// Arguments of `tanuki project status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Goes on as things change; Ctrl-C ends it.
    #[arg(short, long)]
    pub watch: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

/// Arguments of `tanuki project list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    work: &'a ProjectStatus,
    tasks: Vec<&'a TaskStatus>,
}

impl<'a> Shown<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self { work: &snapshot.work, tasks: snapshot.tasks.values().map(AsRef::as_ref).collect() }
    }
}

#[derive(Serialize)]
struct Listed {
    project: String,
    tasks: usize,
    counts: BTreeMap<&'static str, usize>,
}

pub(super) async fn run(context: &Context, args: &StatusArgs, out: &Output) -> Result {
    if args.watch {
        return watch(context, args.format.format, out).await;
    }
    let snapshot = context.look_at_tasks().await?;
    match args.format.format {
        Format::Table => out.result(&render_project(&snapshot, now()))?,
        Format::Json => out.json(&Shown::of(&snapshot))?,
    }
    Ok(Exit::DONE)
}

async fn watch(context: &Context, format: Format, out: &Output) -> Result {
    let project = context.project()?;
    let session = context.controller(&project).await?;
    let mut snapshots = session.snapshots();
    let mut live = Live::new(out);
    let showing = async {
        let mut last = String::new();
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let text = match format {
                Format::Table => render_project(&snapshot, now()),
                Format::Json => serde_json::to_string(&Shown::of(&snapshot)).unwrap_or_default(),
            };
            if text != last {
                match format {
                    Format::Table if out.is_terminal() => {
                        live.update(&text.lines().map(ToOwned::to_owned).collect::<Vec<_>>())?;
                    }
                    Format::Table => out.result(&format!("{text}\n"))?,
                    Format::Json => out.line(&text)?,
                }
                last = text;
            }
            if snapshots.changed().await.is_err() {
                return Ok(snapshot);
            }
        }
    };
    let result: Result<Option<Arc<Snapshot>>> = tokio::select! {
        biased;
        result = showing => result.map(Some),
        () = terminal::nobody_reads() => Ok(None),
    };
    session.finish().await;
    // What was shown last stays.
    if let Some(snapshot) = result?
        && out.is_terminal()
        && snapshot.work.phase != ProjectPhase::Idle
    {
        live.clear()?;
        out.result(&render_project(&snapshot, now()))?;
    }
    Ok(Exit::DONE)
}

pub(super) async fn list(context: &Context, args: &ListArgs, out: &Output) -> Result {
    let snapshot = context.look_at_tasks().await?;
    match args.format.format {
        Format::Table => out.result(&render_projects(&snapshot))?,
        Format::Json => {
            let mut listed: BTreeMap<&str, Listed> = BTreeMap::new();
            for task in snapshot.tasks.values() {
                let entry = listed.entry(&task.project).or_insert_with(|| Listed {
                    project: task.project.clone(),
                    tasks: 0,
                    counts: BTreeMap::new(),
                });
                entry.tasks += 1;
                *entry.counts.entry(task.state.word()).or_default() += 1;
            }
            out.json(&listed.into_values().collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::DONE)
}
