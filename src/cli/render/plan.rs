//! `plan`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::agents::{self, plan::Action};
use crate::cli::text;
use crate::model::{AgentState, ServicePlan, ServiceState, StepAction};

/// What would be done about one service.
#[derive(Debug, Clone, Serialize)]
pub struct PlanLine {
    /// The service, or the project itself.
    pub service: String,
    /// What would be done, and why.
    pub plan: ServicePlan,
}

/// What would be done about one agent.
#[derive(Debug, Clone, Serialize)]
pub struct AgentPlanLine {
    /// The agent.
    pub agent: String,
    /// What would be done, in words, and why.
    pub steps: Vec<AgentStep>,
    /// Where it is meanwhile, or for good when there are no steps.
    pub state: AgentState,
    /// Why, as one CamelCase word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// What of its container differs from the configuration; a restart makes it anew.
    pub out_of_date: Vec<String>,
}

/// One step of an agent's plan.
#[derive(Debug, Clone, Serialize)]
pub struct AgentStep {
    /// What is done.
    pub action: String,
    /// Why.
    pub cause: String,
}

impl AgentPlanLine {
    /// The plan of an agent, in words.
    pub fn new(agent: String, plan: agents::plan::Plan) -> Self {
        let steps = plan.steps.into_iter().map(|step| {
            let action = match step.action {
                Action::EnsureNetwork => "make sure of the network",
                Action::Create => "create its container",
                Action::Start => "start its container",
                Action::Stop { .. } => "stop its container",
                Action::Remove { .. } => "remove its container",
                Action::RemoveWorkspace => "remove its workspace",
                Action::RemoveBranch => "remove its branch",
                Action::RemoveState => "remove its home and the output of its runs",
                Action::Finish => "note that it is gone",
            };
            AgentStep { action: action.to_owned(), cause: step.cause }
        });
        Self {
            agent,
            steps: steps.collect(),
            state: plan.state,
            reason: plan.reason.to_owned(),
            message: plan.message,
            out_of_date: plan.out_of_date,
        }
    }

    fn is_settled(&self) -> bool {
        self.steps.is_empty()
            && !matches!(self.state, AgentState::Error | AgentState::Lost | AgentState::Unknown)
    }
}

/// Whether there is nothing to do and nothing that keeps it from being done.
pub fn is_settled(services: &[PlanLine], agents: &[AgentPlanLine]) -> bool {
    let service = |line: &PlanLine| {
        line.plan.steps.is_empty()
            && !matches!(
                line.plan.state,
                ServiceState::Failed | ServiceState::Backoff | ServiceState::Unknown
            )
    };
    services.iter().all(service) && agents.iter().all(AgentPlanLine::is_settled)
}

/// One line per step with its cause.
pub fn render_plan(services: &[PlanLine], agents: &[AgentPlanLine]) -> String {
    let mut text = String::new();
    let mut add = |line: String| {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{}", text::one_line(&line));
    };
    if is_settled(services, agents) {
        add("Nothing to do.".to_owned());
    }
    for PlanLine { service, plan } in services {
        for step in &plan.steps {
            add(format!("{service}: {} ({})", action(&step.action), cause(&step.cause)));
        }
        if plan.steps.is_empty() && !is_settled(&[PlanLine::of(service, plan)], &[]) {
            let why = if plan.message.is_empty() { &plan.reason } else { &plan.message };
            add(format!("{service}: nothing for now: {why} ({})", plan.reason));
        }
    }
    for line in agents {
        let name = &line.agent;
        for step in &line.steps {
            add(format!("agent {name}: {} ({})", step.action, cause(&step.cause)));
        }
        if line.steps.is_empty() && !line.is_settled() {
            add(format!("agent {name}: nothing by itself: {} ({})", line.message, line.reason));
        }
        if !line.out_of_date.is_empty() && line.steps.is_empty() {
            let fields = line.out_of_date.join(", ");
            add(format!(
                "agent {name}: nothing by itself: its container is out of date ({fields}); `tanuki restart {name}` makes it anew"
            ));
        }
    }
    text
}

impl PlanLine {
    fn of(service: &str, plan: &ServicePlan) -> Self {
        Self { service: service.to_owned(), plan: plan.clone() }
    }
}

fn cause(cause: &str) -> &str {
    if cause.is_empty() { "it is wanted" } else { cause }
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
