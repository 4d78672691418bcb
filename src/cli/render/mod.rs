//! What people read, as pure functions over plain data: no clock, no engine, no terminal.
//!
//! All text that comes from engines, programs and configuration is cleaned on its way in; nothing here ever returns a
//! control character but the newline.

mod agent;
mod agents;
mod diff;
mod doctor;
mod env;
mod events;
mod lines;
mod plan;
mod role;
mod runs;
mod status;
mod task;

pub use agent::{render_agent, render_run};
pub use agents::{render_agents, render_tasks_line};
pub use diff::render_diff;
pub use doctor::{Check, Level, render_doctor};
pub use env::{EnvStyle, ShownVariable, redact, render_env};
pub use events::render_event;
pub use lines::render_line;
pub use plan::{AgentPlanLine, AgentStep, PlanLine, is_settled, render_plan};
pub use role::{RoleLine, render_role, render_roles};
pub use runs::render_runs;
pub use status::{StatusView, in_trouble, render_status, trouble};
pub use task::{TaskFilter, render_conflicts, render_project, render_projects, render_task, render_tasks};
