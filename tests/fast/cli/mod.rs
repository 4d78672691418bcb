//! The command line: what it says, and how it waits.

mod agents;
mod errors;
mod follow;
mod help;
mod process;
mod render;
mod settle;
mod tasks;

use std::collections::BTreeMap;
use std::time::Duration;

use tanuki::model::{
    Condition, ConditionStatus, ControllerInfo, Desired, EngineSummary, Health, HealthWord, HostPort, Inject,
    Probe, ProbeRecord, ProbeVerdict, ProjectId, ProjectStatus, PullPolicy, Resources, Restart, ServiceSpec,
    ServiceState, ServiceStatus, ServiceType, Snapshot, Time,
};

/// When everything here happens: 2026-01-31T12:00:00Z.
const NOW: Time = Time(1_769_860_800_000);

/// A service that is well.
fn healthy(name: &str, port: u16) -> ServiceStatus {
    ServiceStatus {
        name: name.to_owned(),
        service_type: ServiceType::Custom,
        enabled: true,
        desired: Desired::Running,
        state: ServiceState::Running,
        health: HealthWord::Healthy,
        image: format!("{name}:1"),
        container: format!("tanuki-svc-{name}"),
        container_id: Some("0123".to_owned()),
        host: format!("tanuki-svc-{name}"),
        port: Some(port),
        host_port: Some(port),
        started_at: Some(Time(NOW.0 - 125_000)),
        restarts: 0,
        last_exit_code: None,
        last_probe: Some(ProbeRecord { time: NOW, verdict: ProbeVerdict::Success, output: "ok".to_owned() }),
        next_try: None,
        reason: "Ready".to_owned(),
        message: String::new(),
        generation: 1,
        observed_generation: 1,
        conditions: Vec::new(),
    }
}

/// A service that crashes again and again.
fn crashing(name: &str) -> ServiceStatus {
    ServiceStatus {
        state: ServiceState::Backoff,
        health: HealthWord::None,
        host_port: None,
        restarts: 4,
        last_exit_code: Some(137),
        last_probe: Some(ProbeRecord {
            time: NOW,
            verdict: ProbeVerdict::Failure,
            output: "connection refused".to_owned(),
        }),
        next_try: Some(Time(NOW.0 + 7_400)),
        reason: "CrashLoopBackOff".to_owned(),
        message: "it was killed".to_owned(),
        ..healthy(name, 80)
    }
}

/// A service that nobody wants.
fn stopped(name: &str) -> ServiceStatus {
    ServiceStatus {
        desired: Desired::Stopped,
        state: ServiceState::Stopped,
        health: HealthWord::None,
        host_port: None,
        started_at: None,
        reason: "Stopped".to_owned(),
        ..healthy(name, 6379)
    }
}

pub(crate) fn snapshot(services: impl IntoIterator<Item = ServiceStatus>) -> Snapshot {
    let services: BTreeMap<String, ServiceStatus> =
        services.into_iter().map(|status| (status.name.clone(), status)).collect();
    Snapshot {
        project: ProjectId("0123456789ab".to_owned()),
        path: "/home/ann/shop".to_owned(),
        controller: ControllerInfo { version: "0.1.0".to_owned(), pid: 7, started_at: NOW },
        engine: EngineSummary {
            kind: "docker".to_owned(),
            version: "20.10.24".to_owned(),
            endpoint: "unix:///var/run/docker.sock".to_owned(),
            rootless: false,
        },
        services,
        agents: BTreeMap::new(),
        tasks: BTreeMap::new(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: Some(NOW),
    }
}

fn engine_away(message: &str) -> Condition {
    Condition {
        kind: "EngineAvailable".to_owned(),
        status: ConditionStatus::False,
        reason: "ListFailed".to_owned(),
        message: message.to_owned(),
        last_transition: NOW,
        observed_generation: 0,
    }
}

/// A service as the configuration has it.
fn spec(
    name: &str,
    service_type: ServiceType,
    command: &[&str],
    environment: &[(&str, &str)],
) -> ServiceSpec {
    ServiceSpec {
        name: name.to_owned(),
        service_type,
        enabled: true,
        external: None,
        image: format!("{name}:1"),
        pull: PullPolicy::Missing,
        entrypoint: None,
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        environment: environment
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        port: Some(1234),
        host_port: HostPort::Auto,
        ports: Vec::new(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        user: None,
        shm_size: None,
        stop_signal: None,
        stop_grace: Duration::from_secs(10),
        probe: Probe::Disabled,
        health: Health::default(),
        restart: Restart::default(),
        inject: Inject::default(),
        resources: Resources::default(),
    }
}
