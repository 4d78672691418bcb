//! What must hold: at any time, and once nothing goes wrong any more.

use tanuki::model::{Desired, HealthWord, HostPort, Names, Probe, ServiceSpec, ServiceState};
use tanuki_runtimes::testing::FakeRuntime;
use tanuki_runtimes::{Container, ContainerState};

use crate::project::{self, SERVICES};
use crate::sim::{Sim, service_of};

/// Two probed services are probed every five seconds; everything is listed every half minute.
pub(crate) const CALLS_PER_IDLE_MINUTE: u64 = 2 * 12 + 6;

/// Three services that crash, hang, fail to be pulled and are asked for all at the same time.
pub(crate) const CALLS_PER_MINUTE: u64 = 1000;

/// How the world and the published snapshot differ from what is wanted; empty when converged.
pub(crate) fn wrong(sim: &Sim) -> Vec<String> {
    let mut wrong = Vec::new();
    let listing = sim.engine.listing();
    let specs = project::specs(sim.revisions);
    let snapshot = sim.snapshot();
    let network = listing.networks.iter().find(|network| network.name == "tanuki-net");
    for container in &listing.containers {
        if let Some(name) = service_of(container)
            && !specs.contains_key(name)
        {
            wrong.push(format!("{} is ours and not configured", container.name));
        }
    }
    if snapshot.services.keys().ne(specs.keys()) {
        wrong.push(format!("the snapshot tells of {:?}", snapshot.services.keys()));
    }
    let mut all_absent = true;
    for (service, name) in SERVICES.into_iter().enumerate() {
        let wish = sim.store.wish(name).unwrap();
        let desired = wish.as_ref().map_or(Desired::Stopped, |wish| wish.desired);
        all_absent &= desired == Desired::Absent;
        let containers: Vec<&Container> =
            listing.containers.iter().filter(|container| service_of(container) == Some(name)).collect();
        let Some(status) = snapshot.services.get(name) else { continue };
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{name} ({desired:?}): {what}; {containers:?}; {status:?}"));
            }
        };
        expect(status.desired == desired, "the snapshot tells another wish");
        expect(
            wish.is_none_or(|wish| wish.generation == status.generation && !wish.restart),
            "an old generation",
        );
        expect(containers.len() <= 1, "has several containers");
        match desired {
            Desired::Absent => {
                expect(containers.is_empty(), "there is a container");
                expect(status.state == ServiceState::Stopped, "its state is wrong");
            }
            Desired::Stopped => {
                expect(containers.iter().all(|c| c.state != ContainerState::Running), "it runs");
                expect(status.state == ServiceState::Stopped, "its state is wrong");
            }
            Desired::Running => {
                let Some(container) = containers.first() else {
                    expect(false, "there is no container");
                    continue;
                };
                let handle = sim.engine.container(&container.name);
                let spec = handle.spec().unwrap_or_default();
                let revision = sim.revisions[service].to_string();
                expect(container.state == ContainerState::Running, "it does not run");
                expect(handle.is_healthy() || !is_probed(&specs[name]), "it is not healthy");
                expect(spec.env.get("REVISION") == Some(&revision), "it has an old configuration");
                expect(container.networks == ["tanuki-net"] && network.is_some(), "it is not on the network");
                let host_port = container.ports.first().map(|port| port.host_port);
                match specs[name].host_port {
                    HostPort::None => expect(host_port.is_none(), "a port is published"),
                    HostPort::Fixed(port) => expect(host_port == Some(port), "another port is published"),
                    HostPort::Auto => expect(host_port.is_some(), "no port is published"),
                }
                expect(status.state == ServiceState::Running, "its state is wrong");
                expect(status.health == HealthWord::Healthy, "its health is wrong");
                expect(status.container_id.as_ref() == Some(&container.id), "its id is wrong");
                expect(status.host_port == host_port, "its port is wrong");
                expect(status.host == Names::service_host(name), "its host is wrong");
            }
        }
    }
    if all_absent && sim.store.meta("down").unwrap().is_some_and(|down| !down.is_empty()) && network.is_some()
    {
        wrong.push("the network is still there".into());
    }
    wrong
}

fn is_probed(spec: &ServiceSpec) -> bool {
    spec.probe != Probe::Disabled
}

/// Rules that were broken at any time so far.
pub(crate) fn breaches(engine: &FakeRuntime) -> Vec<String> {
    let ours = project::owner().labels();
    let mut breaches = Vec::new();
    for write in engine.writes().iter().chain(&engine.execs()) {
        let creates = matches!(write.method, "create" | "ensure_network" | "ensure_volume");
        let is_ours = write.labels.owned_by(&ours);
        if write.method == "remove_volume" {
            breaches.push(format!("removed a volume: {write:?}"));
        }
        if write.method != "pull" && !is_ours && (write.existed && !creates || !write.existed && creates) {
            breaches.push(format!("touched what is not ours: {write:?}"));
        }
    }
    breaches
}
