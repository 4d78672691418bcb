//! Plain data shared by every part: names, specs, conditions, requests and the snapshot.
//!
//! Imports std and serde only. Nothing here does anything; what is derived is derived from the fields alone, so that a
//! planner over these types is a function that a table can test. Everything that crosses the controller's socket or
//! comes out of `-o json` is one of these types, and changes only by adding fields.

mod event;
mod names;
mod observed;
mod request;
mod service;
mod snapshot;
mod status;
mod step;
mod time;

pub use event::{EventRecord, EventType};
pub use names::{LabelKey, Names, ObjectKind, ProjectId};
pub use observed::{ContainerPhase, ImageFacts, ObservedContainer, ObservedPort, ObservedVolume};
pub use request::{Accepted, Rejected, Request};
pub use service::{
    Bind, Desired, External, Health, HostPort, Inject, PortMapping, Probe, PullPolicy, Resources, Restart,
    ServiceSpec, ServiceType, TmpfsMount, VolumeMount, VolumeSource,
};
pub use snapshot::{ControllerInfo, EngineSummary, Snapshot};
pub use status::{
    Condition, ConditionStatus, HealthWord, ProbeRecord, ProbeVerdict, ServiceState, ServiceStatus,
};
pub use step::{ServicePlan, Step, StepAction};
pub use time::Time;
