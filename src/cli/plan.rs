//! `tanuki plan`: what the controller would do now, and why.

use clap::Args;

use super::args::{Format, FormatArg};
use super::render::{AgentPlanLine, PlanLine, is_settled, render_plan};
use super::{CliError, Context, Exit, Output, Result};

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
    let services: Vec<PlanLine> =
        plans.services.into_iter().map(|(service, plan)| PlanLine { service, plan }).collect();
    let agents: Vec<AgentPlanLine> =
        plans.agents.into_iter().map(|(agent, plan)| AgentPlanLine::new(agent, plan)).collect();
    match args.format.format {
        Format::Table => out.result(&render_plan(&services, &agents))?,
        Format::Json => {
            let services = services.iter().map(serde_json::to_value);
            let all: Result<Vec<_>, _> = services.chain(agents.iter().map(serde_json::to_value)).collect();
            out.json(&all.map_err(|error| CliError::failed("cannot write JSON").because(&error))?)?;
        }
    }
    Ok(if is_settled(&services, &agents) { Exit::DONE } else { Exit::FAILED })
}
