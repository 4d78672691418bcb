//! The project under test: three services that differ in what they need.

use std::collections::BTreeMap;
use std::time::Duration;

use tanuki::model::{
    Health, HostPort, Inject, Probe, ProjectId, PullPolicy, Resources, Restart, ServiceSpec, ServiceType,
    VolumeMount, VolumeSource,
};
use tanuki::services::ports::{Claimant, PortBook, PortError};
use tanuki::services::spec::Owner;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime};

/// One with data and a port of its own choice, one with a fixed port, one without port or probe.
pub(crate) const SERVICES: [&str; 3] = ["cache", "db", "plain"];

const IMAGES: [&str; 3] = ["cache:1", "db:1", "plain:1"];
const PORTS: [u16; 3] = [6379, 5432, 9000];

pub(crate) fn owner() -> Owner {
    Owner { project: ProjectId("0123456789ab".into()), path: "/project".into() }
}

pub(crate) fn image_reference(service: usize) -> &'static str {
    IMAGES[service]
}

pub(crate) fn port(service: usize) -> u16 {
    PORTS[service]
}

/// A well-behaved image.
pub(crate) fn image() -> FakeImage {
    FakeImage { pull_time: Duration::from_secs(3), ..FakeImage::booting(Duration::from_millis(1200)) }
}

/// The services, after so many changes to each one's configuration.
pub(crate) fn specs(revisions: [u32; 3]) -> BTreeMap<String, ServiceSpec> {
    (0..SERVICES.len())
        .map(|service| (SERVICES[service].to_owned(), spec(service, revisions[service])))
        .collect()
}

fn spec(service: usize, revision: u32) -> ServiceSpec {
    let name = SERVICES[service];
    let volume = VolumeMount {
        source: VolumeSource::Named(format!("{name}-data")),
        target: "/data".into(),
        read_only: false,
    };
    ServiceSpec {
        name: name.into(),
        service_type: ServiceType::Custom,
        enabled: true,
        external: None,
        image: image_reference(service).into(),
        pull: PullPolicy::Missing,
        entrypoint: None,
        command: None,
        environment: [("REVISION".to_owned(), revision.to_string())].into(),
        port: (name != "plain").then_some(port(service)),
        host_port: match name {
            "cache" => HostPort::Fixed(port(service)),
            "db" => HostPort::Auto,
            _ => HostPort::None,
        },
        ports: Vec::new(),
        volumes: if name == "db" { vec![volume] } else { Vec::new() },
        tmpfs: Vec::new(),
        user: None,
        shm_size: None,
        stop_signal: None,
        stop_grace: Duration::from_secs(4),
        probe: if name == "plain" { Probe::Disabled } else { Probe::Exec(vec!["check".into()]) },
        health: Health {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            retries: 3,
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_millis(500),
        },
        restart: Restart {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(20),
            reset_after: Duration::from_secs(120),
            max_retries: 0,
        },
        inject: Inject::default(),
        resources: Resources::default(),
    }
}

/// Host ports as the simulated host has them.
#[derive(Debug)]
pub(crate) struct SimulatedPorts(pub(crate) FakeRuntime);

impl PortBook for SimulatedPorts {
    fn assign(&self, claimant: &Claimant, wanted: HostPort, avoid: &[u16]) -> Result<Option<u16>, PortError> {
        let free = |port: &u16| !avoid.contains(port) && !self.0.is_port_taken(*port);
        match wanted {
            HostPort::None => Ok(None),
            HostPort::Fixed(port) if free(&port) => Ok(Some(port)),
            HostPort::Fixed(port) => Err(PortError::Taken { port, holder: "somebody".into() }),
            HostPort::Auto => {
                let from = claimant.container_port;
                (from..=u16::MAX).find(free).map(Some).ok_or(PortError::NoneFree { from })
            }
        }
    }
}
