//! One pass over many services with nothing to do, on the engine in memory: what the controller itself costs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tanuki::controller::{Options, Publisher, TokioClock, Wake, Waker, run};
use tanuki::model::{
    ControllerInfo, EngineSummary, Health, HostPort, Inject, Names, Probe, ProjectId, ProjectStatus,
    PullPolicy, Request, Resources, Restart, ServiceSpec, ServiceState, ServiceType, Snapshot, Time,
};
use tanuki::services::ports::LeaseFile;
use tanuki::services::spec::Owner;
use tanuki::services::{Deps, Services};
use tanuki::store::Store;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime};
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::table::{Row, median};
use crate::tools::Tools;

const SERVICES: usize = 200;
const PASSES: usize = 20;
const IMAGE: &str = "plain:1";

fn spec(name: String) -> ServiceSpec {
    ServiceSpec {
        name,
        service_type: ServiceType::Custom,
        enabled: true,
        external: None,
        image: IMAGE.into(),
        pull: PullPolicy::Never,
        entrypoint: None,
        command: None,
        environment: BTreeMap::new(),
        port: None,
        host_port: HostPort::None,
        ports: Vec::new(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        user: None,
        shm_size: None,
        stop_signal: None,
        stop_grace: Duration::from_secs(1),
        probe: Probe::Disabled,
        health: Health {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            retries: 3,
            start_period: Duration::from_secs(10),
            start_interval: Duration::from_millis(500),
        },
        restart: Restart {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            reset_after: Duration::from_secs(600),
            max_retries: 0,
        },
        inject: Inject::default(),
        resources: Resources::default(),
    }
}

fn snapshot(owner: &Owner) -> Snapshot {
    Snapshot {
        project: owner.project.clone(),
        path: owner.path.clone(),
        controller: ControllerInfo { version: "0".into(), pid: 1, started_at: Time(0) },
        engine: EngineSummary {
            kind: "fake".into(),
            version: "0".into(),
            endpoint: "memory:".into(),
            rootless: false,
        },
        services: BTreeMap::new(),
        agents: BTreeMap::new(),
        tasks: BTreeMap::new(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: None,
    }
}

/// Takes passes over services that all run.
pub(crate) fn measure(_tools: &Tools) -> Result<Vec<Row>> {
    // On a paused clock a sleep ends when nothing else is left to do, which is how the end of a pass is known.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(passes())
}

async fn passes() -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let engine = FakeRuntime::new();
    engine.add_image(IMAGE, FakeImage::default());
    let owner = Owner { project: ProjectId("0123456789ab".into()), path: "/project".into() };
    let publisher = Publisher::new(snapshot(&owner));
    let waker = Waker::default();
    let deps = Deps {
        runtime: Arc::new(engine.clone()),
        store: Arc::new(Store::open(&directory.path().join("tanuki.db"))?),
        clock: Arc::new(TokioClock::new(Time(0))),
        ports: Arc::new(LeaseFile::new(directory.path())),
        owner,
        names: Names { network: "tanuki-net".into(), suffix: None },
        publisher: publisher.clone(),
        waker: waker.clone(),
    };
    let names = (0..SERVICES).map(|number| format!("s{number:03}"));
    let services = Services::new(deps, names.map(|name| (name.clone(), spec(name))).collect())?;
    let shutdown = CancellationToken::new();
    let controller = tokio::spawn(run(
        Arc::new(Arc::clone(&services)),
        waker.clone(),
        Options::default(),
        shutdown.clone(),
    ));
    services.request(&Request::ServiceStart { names: Vec::new() }).map_err(|error| format!("{error:?}"))?;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let running =
        publisher.current().services.values().filter(|status| status.state == ServiceState::Running).count();
    if running != SERVICES {
        return Err(format!("only {running} of {SERVICES} services run").into());
    }

    let (mut milliseconds, mut lists, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let before = engine.calls();
        let began = Instant::now();
        waker.wake(Wake::All);
        tokio::time::sleep(Duration::from_millis(500)).await;
        milliseconds.push(began.elapsed().as_secs_f64() * 1000.0);
        let made: BTreeMap<&str, f64> = engine
            .calls()
            .into_iter()
            .map(|(call, count)| (call, count - before.get(call).copied().unwrap_or_default()))
            .map(|(call, count)| (call, f64::from(u32::try_from(count).unwrap_or(u32::MAX))))
            .collect();
        lists.push(made.get("list").copied().unwrap_or_default());
        calls.push(made.values().sum());
    }
    shutdown.cancel();
    controller.await?;
    let row = |ours, figure, unit, target| Row {
        what: format!("one pass over {SERVICES} services with nothing to do"),
        ours,
        theirs: String::new(),
        figure,
        unit,
        target: Some(target),
    };
    let all = median(&calls);
    Ok(vec![
        row("wall time, engine in memory".into(), median(&milliseconds), "ms", 50.0),
        row(format!("{all} calls in all"), median(&lists), "list calls", 1.0),
    ])
}
