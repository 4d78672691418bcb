//! What is planned for a service, by table: pure, no engine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tanuki::model::{
    ContainerPhase, Desired, Health, HealthWord, HostPort, ImageFacts, Inject, Names, ObservedContainer,
    ObservedPort, ObservedVolume, Probe, ProbeRecord, ProbeVerdict, PullPolicy, Resources, Restart,
    ServicePlan, ServiceSpec, ServiceState, ServiceType, StepAction, Time, VolumeMount, VolumeSource,
};
use tanuki::services::backoff::Backoff;
use tanuki::services::health::HealthState;
use tanuki::services::plan::{Seen, SeenImage, Wanted, plan};
use tanuki::services::spec;

const NOW: Time = Time(1_000_000);

fn postgres() -> ServiceSpec {
    ServiceSpec {
        name: "postgres".into(),
        service_type: ServiceType::Postgres,
        enabled: true,
        external: None,
        image: "postgres:16".into(),
        pull: PullPolicy::Missing,
        entrypoint: None,
        command: None,
        environment: [("POSTGRES_PASSWORD".to_owned(), "hunter2".to_owned())].into(),
        port: Some(5432),
        host_port: HostPort::Auto,
        ports: Vec::new(),
        volumes: vec![VolumeMount {
            source: VolumeSource::Named("tanuki-postgres".into()),
            target: "/var/lib/postgresql/data".into(),
            read_only: false,
        }],
        tmpfs: Vec::new(),
        user: None,
        shm_size: None,
        stop_signal: None,
        stop_grace: Duration::from_secs(10),
        probe: Probe::Builtin,
        health: Health::default(),
        restart: Restart::default(),
        inject: Inject::default(),
        resources: Resources::default(),
    }
}

fn names() -> Names {
    Names { network: "tanuki-net".into(), suffix: None }
}

fn wanted(spec: &ServiceSpec, desired: Desired) -> Wanted {
    spec::wanted(spec, &names(), desired, false)
}

/// A container made from exactly what is wanted.
fn container(wanted: &Wanted, phase: ContainerPhase) -> ObservedContainer {
    ObservedContainer {
        id: "c1".into(),
        name: wanted.container.clone(),
        phase,
        exit_code: (phase == ContainerPhase::Exited).then_some(137),
        oom_killed: false,
        started_at: Some(Time(999_000)),
        finished_at: None,
        ports: vec![ObservedPort { container: 5432, host: 5432, ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }],
        networks: vec!["tanuki-net".into()],
        spec_hash: wanted.spec_hash.clone(),
        spec_fields: wanted.spec_fields.clone(),
        error: None,
    }
}

/// A situation, changed by each test where it differs from: image there, network there, nothing else.
struct Case {
    wanted: Wanted,
    container: Option<ObservedContainer>,
    network: bool,
    volumes: BTreeMap<String, ObservedVolume>,
    image: SeenImage,
    pulled: bool,
    unstartable: Option<&'static str>,
    backoff: Backoff,
    health: Option<HealthState>,
}

impl Case {
    fn new(desired: Desired, phase: Option<ContainerPhase>) -> Self {
        let wanted = wanted(&postgres(), desired);
        Self {
            container: phase.map(|phase| container(&wanted, phase)),
            wanted,
            network: true,
            volumes: BTreeMap::new(),
            image: present("postgres-16"),
            pulled: false,
            unstartable: None,
            backoff: Backoff::default(),
            health: None,
        }
    }

    fn with_volume(mut self, data_version: &str) -> Self {
        let name = "tanuki-postgres".to_owned();
        let volume = ObservedVolume { name: name.clone(), data_version: Some(data_version.into()) };
        self.volumes.insert(name, volume);
        self
    }

    fn with_health(mut self, word: HealthWord) -> Self {
        let mut health = HealthState::new("c1".into(), Time(999_000), NOW);
        health.word = word;
        health.failures = 5;
        health.last =
            Some(ProbeRecord { time: NOW, verdict: ProbeVerdict::Failure, output: "no answer".into() });
        self.health = Some(health);
        self
    }

    fn plan(&self) -> ServicePlan {
        let seen = Seen {
            container: self.container.as_ref(),
            surplus: &[],
            network: self.network,
            volumes: &self.volumes,
            image: self.image.clone(),
            pulled: self.pulled,
            ports: &[(5432, 5433)],
            unstartable: self.unstartable,
        };
        plan(&self.wanted, &seen, &self.backoff, self.health.as_ref(), NOW)
    }
}

fn present(data_version: &str) -> SeenImage {
    SeenImage::Present(ImageFacts { id: "sha256:1".into(), data_version: Some(data_version.into()) })
}

/// The steps by their first word.
fn verbs(plan: &ServicePlan) -> Vec<&'static str> {
    plan.steps
        .iter()
        .map(|step| match step.action {
            StepAction::PullImage { .. } => "pull",
            StepAction::EnsureNetwork { .. } => "network",
            StepAction::EnsureVolume { .. } => "volume",
            StepAction::Create { .. } => "create",
            StepAction::Start { .. } => "start",
            StepAction::Stop { .. } => "stop",
            StepAction::Remove { .. } => "remove",
            StepAction::RemoveNetwork { .. } => "remove network",
            StepAction::RemoveVolume { .. } => "remove volume",
        })
        .collect()
}

#[test]
fn from_nothing_everything_is_made_in_order() {
    let mut case = Case::new(Desired::Running, None);
    case.network = false;
    let plan = case.plan();
    assert_eq!(verbs(&plan), ["network", "volume", "create", "start"]);
    assert!(plan.steps.iter().any(|step| step.action
        == StepAction::Create { container: "tanuki-svc-postgres".into(), ports: vec![(5432, 5433)] }));
    assert!(plan.steps.iter().any(|step| matches!(
        &step.action,
        StepAction::EnsureVolume { data_version: Some(version), .. } if version == "postgres-16"
    )));
}

#[test]
fn the_plan_of_a_converged_world_is_empty() {
    let healthy = Case::new(Desired::Running, Some(ContainerPhase::Running)).with_health(HealthWord::Healthy);
    let stopped = Case::new(Desired::Stopped, Some(ContainerPhase::Exited));
    let absent = Case::new(Desired::Absent, None);
    let never = Case::new(Desired::Stopped, None);
    for (case, state) in [
        (healthy, ServiceState::Running),
        (stopped, ServiceState::Stopped),
        (absent, ServiceState::Stopped),
        (never, ServiceState::Stopped),
    ] {
        let plan = case.plan();
        assert_eq!((verbs(&plan), plan.state), (vec![], state));
    }
}

#[test]
fn a_missing_image_is_pulled_before_anything_is_removed() {
    let mut case = Case::new(Desired::Running, Some(ContainerPhase::Running));
    case.image = SeenImage::Absent;
    case.unstartable = Some("its host port is in use");
    assert_eq!(verbs(&case.plan()), ["pull"]);
    case.wanted.spec.pull = PullPolicy::Never;
    let plan = case.plan();
    assert_eq!(
        (verbs(&plan), plan.state, plan.reason.as_str()),
        (vec![], ServiceState::Failed, "ImageMissing")
    );
}

#[test]
fn always_pulls_once_for_each_creation() {
    let mut case = Case::new(Desired::Running, None);
    case.wanted.spec.pull = PullPolicy::Always;
    assert_eq!(verbs(&case.plan()), ["pull"]);
    case.pulled = true;
    assert_eq!(verbs(&case.plan()), ["volume", "create", "start"]);
}

#[test]
fn drift_recreates_and_names_the_fields() {
    let mut case = Case::new(Desired::Running, Some(ContainerPhase::Running)).with_volume("postgres-16");
    let mut changed = postgres();
    changed.environment.insert("POSTGRES_PASSWORD".into(), "correct horse".into());
    changed.shm_size = Some(1 << 20);
    case.wanted = wanted(&changed, Desired::Running);
    let plan = case.plan();
    assert_eq!(verbs(&plan), ["stop", "remove", "create", "start"]);
    assert_eq!(plan.steps[0].cause, "changed: environment.POSTGRES_PASSWORD, shm_size");
    let told = serde_json::to_string(&plan).unwrap();
    assert!(!told.contains("hunter2") && !told.contains("correct horse"), "{told}");
}

#[test]
fn probe_timing_is_no_drift() {
    let mut spec = postgres();
    spec.health.interval = Duration::from_secs(1);
    spec.restart.max = Duration::from_secs(5);
    assert_eq!(wanted(&spec, Desired::Running).spec_hash, wanted(&postgres(), Desired::Running).spec_hash);
}

#[test]
fn another_major_version_is_refused_and_touches_nothing() {
    let mut case = Case::new(Desired::Running, Some(ContainerPhase::Running)).with_volume("postgres-15");
    let mut changed = postgres();
    changed.image = "postgres:17".into();
    case.wanted = wanted(&changed, Desired::Running);
    case.image = present("postgres-17");
    let plan = case.plan();
    assert_eq!((verbs(&plan), plan.state), (vec![], ServiceState::Failed));
    assert_eq!(plan.reason, "DataVersionMismatch");
    assert!(plan.message.contains("postgres 15") && plan.message.contains("postgres 17"), "{}", plan.message);
}

#[test]
fn an_ended_service_starts_again_when_its_wait_is_over() {
    let mut case = Case::new(Desired::Running, Some(ContainerPhase::Exited));
    assert_eq!(verbs(&case.plan()), ["start"]);
    assert_eq!(case.plan().steps[0].cause, "it ended with exit code 137");
    case.backoff = Backoff { failures: 3, next_try: Some(Time(1_004_000)), ..Backoff::default() };
    let plan = case.plan();
    assert_eq!(
        (verbs(&plan), plan.state, plan.deadline),
        (vec![], ServiceState::Backoff, Some(Time(1_004_000)))
    );
    case.backoff.gave_up = true;
    case.backoff.next_try = None;
    assert_eq!(case.plan().state, ServiceState::Failed);
}

#[test]
fn an_unhealthy_service_is_stopped_with_the_reason() {
    let case = Case::new(Desired::Running, Some(ContainerPhase::Running)).with_health(HealthWord::Unhealthy);
    let plan = case.plan();
    assert_eq!(verbs(&plan), ["stop"]);
    assert_eq!(plan.steps[0].cause, "5 probes in a row failed: no answer");
}

#[test]
fn a_service_off_its_network_is_made_anew() {
    let mut case = Case::new(Desired::Running, Some(ContainerPhase::Running)).with_volume("postgres-16");
    case.network = false;
    assert_eq!(verbs(&case.plan()), ["stop", "remove", "network", "create", "start"]);
    case.network = true;
    case.container.as_mut().unwrap().networks.clear();
    assert_eq!(verbs(&case.plan()), ["stop", "remove", "create", "start"]);
}

#[test]
fn stopping_keeps_the_container_and_absence_removes_it() {
    assert_eq!(verbs(&Case::new(Desired::Stopped, Some(ContainerPhase::Running)).plan()), ["stop"]);
    assert_eq!(verbs(&Case::new(Desired::Absent, Some(ContainerPhase::Running)).plan()), ["stop", "remove"]);
    assert_eq!(verbs(&Case::new(Desired::Absent, Some(ContainerPhase::Exited)).plan()), ["remove"]);
}

#[test]
fn an_engine_that_is_busy_is_left_alone_for_a_second() {
    for desired in [Desired::Running, Desired::Stopped] {
        let plan = Case::new(desired, Some(ContainerPhase::Changing)).plan();
        assert_eq!((verbs(&plan), plan.deadline), (vec![], Some(Time(1_001_000))));
    }
}

#[test]
fn no_plan_ever_removes_a_volume() {
    for desired in [Desired::Running, Desired::Stopped, Desired::Absent] {
        for phase in [
            ContainerPhase::Created,
            ContainerPhase::Running,
            ContainerPhase::Paused,
            ContainerPhase::Changing,
            ContainerPhase::Exited,
            ContainerPhase::Dead,
        ] {
            for network in [true, false] {
                let mut case = Case::new(desired, Some(phase)).with_volume("postgres-16");
                case.network = network;
                assert!(!verbs(&case.plan()).contains(&"remove volume"));
            }
        }
    }
}
