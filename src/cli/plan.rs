//! `tanuki plan`: what the controller would do now, and why.

use clap::Args;

use super::args::{Format, FormatArg};
use super::render::{PlanLine, is_settled, render_plan};
use super::{Context, Exit, Output, Result};

/// Arguments of `tanuki plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(super) async fn run(context: &Context, args: &PlanArgs, out: &Output) -> Result {
    let project = context.project()?;
    Context::warn(&project, out);
    let plans = context.plans(&project).await?;
    let plans: Vec<PlanLine> = plans.into_iter().map(|(service, plan)| PlanLine { service, plan }).collect();
    match args.format.format {
        Format::Table => out.result(&render_plan(&plans))?,
        Format::Json => out.json(&plans)?,
    }
    Ok(if is_settled(&plans) { Exit::DONE } else { Exit::FAILED })
}
