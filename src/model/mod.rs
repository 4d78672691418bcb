//! Plain data shared by every part: names, specs, conditions, requests and the snapshot.
//!
//! Imports std and serde only. Nothing here does anything; what is derived is derived from the fields alone, so that a
//! planner over these types is a function that a table can test. Everything that crosses the controller's socket or
//! comes out of `-o json` is one of these types, and changes only by adding fields.

mod agent;
mod event;
mod names;
mod observed;
mod output;
mod request;
mod run;
mod service;
mod settings;
mod snapshot;
mod status;
mod status_lines;
mod step;
mod task;
mod time;

pub use agent::{AgentSpec, AgentState, AgentStatus, check_agent_name};
pub use event::{EventRecord, EventType};
pub use names::{LabelKey, Names, ObjectKind, ProjectId};
pub use observed::{ContainerPhase, ImageFacts, ObservedContainer, ObservedPort, ObservedVolume};
pub use output::{LogQuery, OutputKind, OutputLine};
pub use request::{Accepted, DiffFormat, Enter, Merge, MergeMethod, Rejected, Request, Spawn};
pub use run::{RunFailure, RunRecord, RunSpec, RunState, Usage};
pub use service::{
    Bind, Desired, External, Health, HostPort, Inject, PortMapping, Probe, PullPolicy, Resources, Restart,
    ServiceSpec, ServiceType, TmpfsMount, VolumeMount, VolumeSource,
};
pub use settings::{
    Adapter, AdapterKind, AgentDefaults, AgentSettings, Credentials, Limits, Role, Workstream,
};
pub use snapshot::{ControllerInfo, EngineSummary, Snapshot};
pub use status::{
    Condition, ConditionStatus, HealthWord, ProbeRecord, ProbeVerdict, ServiceState, ServiceStatus,
};
pub use status_lines::{same_but_for_status, with_status_of};
pub use step::{ServicePlan, Step, StepAction};
pub use task::{
    Completion, Conflict, FileProblem, Priority, ProjectPhase, ProjectStatus, TaskState, TaskStatus,
};
pub use time::Time;
