//! `tanuki diff`: what an agent changed, committed or not.

use clap::Args;
use serde::Serialize;

use super::ask;
use crate::cli::args::{Format, FormatArg};
use crate::cli::render::render_diff;
use crate::cli::{Context, Exit, Output, Result, text};
use crate::model::{DiffFormat, Request};

/// Arguments of `tanuki diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Agent whose work is shown.
    #[arg(value_name = "AGENT")]
    pub agent: String,
    /// Shows how many lines changed by file.
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Shows the names of changed files only.
    #[arg(long)]
    pub name_only: bool,
    /// Branch, tag or commit to compare with, instead of what the agent was made from.
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// Ends with exit code 1 when there is a difference.
    #[arg(long)]
    pub exit_code: bool,
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

/// A difference, for programs.
#[derive(Debug, Serialize)]
struct Difference<'a> {
    agent: &'a str,
    format: DiffFormat,
    text: &'a str,
}

pub(in crate::cli) async fn run(context: &Context, args: &DiffArgs, out: &Output) -> Result {
    let project = context.project()?;
    let format = match (args.stat, args.name_only) {
        (true, _) => DiffFormat::Stat,
        (_, true) => DiffFormat::NameOnly,
        _ => DiffFormat::Patch,
    };
    let request = Request::AgentDiff { name: args.agent.clone(), base: args.base.clone(), format };
    let doing = format!("comparing the work of {}", args.agent);
    let (session, accepted) = ask(context, &project, &request, &doing, out).await?;
    session.finish().await;
    let text = accepted.text.as_str();
    match args.format.format {
        Format::Json => out.json(&Difference { agent: &args.agent, format, text })?,
        Format::Table if !out.is_terminal() => out.result(text)?,
        Format::Table if format == DiffFormat::Patch => {
            let lines =
                render_diff(text).into_iter().map(|(tone, line)| format!("{}\n", out.paint(tone, &line)));
            out.result(&lines.collect::<String>())?;
        }
        Format::Table => out.result(&text::block(text))?,
    }
    Ok(if args.exit_code && !text.is_empty() { Exit::FAILED } else { Exit::DONE })
}
