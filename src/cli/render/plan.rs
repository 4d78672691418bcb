//! `plan`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::text;
use crate::model::{ServicePlan, ServiceState, Step, StepAction};

/// What would be done about one service.
#[derive(Debug, Clone, Serialize)]
pub struct PlanLine {
    /// The service, or the project itself.
    pub service: String,
    /// What would be done, and why.
    pub plan: ServicePlan,
}

/// Whether there is nothing to do and nothing that keeps it from being done.
pub fn is_settled(plans: &[PlanLine]) -> bool {
    plans.iter().all(|line| {
        line.plan.steps.is_empty()
            && !matches!(
                line.plan.state,
                ServiceState::Failed | ServiceState::Backoff | ServiceState::Unknown
            )
    })
}

/// One line per step with its cause.
pub fn render_plan(plans: &[PlanLine]) -> String {
    if is_settled(plans) {
        return "Nothing to do.\n".to_owned();
    }
    let mut text = String::new();
    for PlanLine { service, plan } in plans {
        for step in &plan.steps {
            let line = format!("{service}: {} ({})", action(&step.action), cause(step));
            // Writing to a string cannot fail.
            _ = writeln!(text, "{}", text::one_line(&line));
        }
        if plan.steps.is_empty() && !is_settled(std::slice::from_ref(&PlanLine::of(service, plan))) {
            let why = if plan.message.is_empty() { &plan.reason } else { &plan.message };
            let line = format!("{service}: nothing for now: {why} ({})", plan.reason);
            _ = writeln!(text, "{}", text::one_line(&line));
        }
    }
    text
}

impl PlanLine {
    fn of(service: &str, plan: &ServicePlan) -> Self {
        Self { service: service.to_owned(), plan: plan.clone() }
    }
}

fn cause(step: &Step) -> &str {
    if step.cause.is_empty() { "it is wanted" } else { &step.cause }
}

fn action(action: &StepAction) -> String {
    match action {
        StepAction::PullImage { image } => format!("pull image {image}"),
        StepAction::EnsureNetwork { network } => format!("create network {network}"),
        StepAction::EnsureVolume { volume, .. } => format!("create volume {volume}"),
        StepAction::Create { container, ports } if ports.is_empty() => {
            format!("create container {container}")
        }
        StepAction::Create { container, ports } => {
            let ports: Vec<String> =
                ports.iter().map(|(inside, host)| format!("127.0.0.1:{host}->{inside}")).collect();
            format!("create container {container}, publish {}", ports.join(", "))
        }
        StepAction::Start { container } => format!("start container {container}"),
        StepAction::Stop { container, .. } => format!("stop container {container}"),
        StepAction::Remove { container } => format!("remove container {container}"),
        StepAction::RemoveNetwork { network } => format!("remove network {network}"),
        StepAction::RemoveVolume { volume } => format!("remove volume {volume} and its data"),
    }
}
