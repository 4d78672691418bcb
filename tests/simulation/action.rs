//! What happens to the world while the controller works: one closed list, so that a failing run can be printed.

use std::time::Duration;

use fastrand::Rng;
use tanuki::model::Names;
use tanuki_runtimes::testing::{Behaviour, FakeImage, FakeRuntime};
use tanuki_runtimes::{ContainerSpec, Labels};

use crate::project::{SERVICES, image, image_reference};

/// One of the project's services, by position.
pub(crate) type Service = usize;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Remove(Service),
    Stop(Service),
    Start(Service),
    Rename(Service),
    Crash(Service),
    OutOfMemory(Service),
    Hang(Service),
    Resume(Service),
    Sicken(Service),
    Pause(Service),
    Unpause(Service),
    /// The user removes the container and makes one of the same name.
    Usurp(Service),
    /// A container with our labels turns up that nobody configured.
    Stray,
    RemoveImage(Service),
    /// New containers end at once, or are never healthy.
    BreakImage(Service),
    SickenImage(Service),
    MendImage(Service),
    RemoveNetwork,
    RemoveVolume(Service),
    HoldPort(Service),
    ReleasePort(Service),
    DiskFull(bool),
    RegistryDown(bool),
    EngineRestart,
    EngineDown,
    EngineUp,
    /// A person asks for something.
    WantRunning(Option<Service>),
    WantStopped(Option<Service>),
    WantRestart(Service),
    WantNothing,
    Reconfigure(Service),
    /// Somebody sets the host's clock, by so many seconds.
    JumpClock(i64),
    /// The controller is killed where it stands, and another one starts.
    KillController,
    /// The controller ends as it should, and another one starts.
    RestartController,
    /// Nothing but time, in milliseconds.
    Wait(u64),
}

impl Action {
    /// Something at random; mostly small things, with time between them.
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let service = rng.usize(..SERVICES.len());
        match rng.u32(..100) {
            0..27 => Self::Wait(rng.u64(1..=1000)),
            27 => Self::JumpClock(rng.i64(-4000..=4000)),
            28..38 => Self::Wait(rng.u64(1000..=40_000)),
            38..42 => Self::Crash(service),
            42..44 => Self::Remove(service),
            44..46 => Self::Stop(service),
            46..48 => Self::Start(service),
            48 => Self::Rename(service),
            49 => Self::OutOfMemory(service),
            50..52 => Self::Hang(service),
            52 => Self::Resume(service),
            53..55 => Self::Sicken(service),
            55 => Self::Pause(service),
            56..58 => Self::Unpause(service),
            58 => Self::Usurp(service),
            59 => Self::Stray,
            60 => Self::RemoveImage(service),
            61 => Self::BreakImage(service),
            62 => Self::SickenImage(service),
            63..66 => Self::MendImage(service),
            66 => Self::RemoveNetwork,
            67 => Self::RemoveVolume(service),
            68 => Self::HoldPort(service),
            69 => Self::ReleasePort(service),
            70 => Self::DiskFull(true),
            71 | 72 => Self::DiskFull(false),
            73 => Self::RegistryDown(true),
            74 => Self::RegistryDown(false),
            75 => Self::EngineRestart,
            76 => Self::EngineDown,
            77 | 78 => Self::EngineUp,
            79..83 => Self::WantRunning(Some(service)),
            83 | 84 => Self::WantRunning(None),
            85..87 => Self::WantStopped(Some(service)),
            87 => Self::WantStopped(None),
            88..91 => Self::WantRestart(service),
            91 => Self::WantNothing,
            92..95 => Self::Reconfigure(service),
            95..98 => Self::KillController,
            _ => Self::RestartController,
        }
    }

    /// Does it, if it is something that happens on the engine's side; whether it was.
    pub(crate) fn happens_to_engine(self, engine: &FakeRuntime) -> bool {
        let name = |service: Service| Names::service_host(SERVICES[service]);
        match self {
            Self::Remove(service) => {
                engine.user_removes(&name(service));
            }
            Self::Stop(service) => {
                engine.user_stops(&name(service));
            }
            Self::Start(service) => {
                engine.user_starts(&name(service));
            }
            Self::Rename(service) => {
                _ = engine.user_renames(&name(service), &format!("renamed-{}", name(service)));
            }
            Self::Crash(service) => engine.container(&name(service)).crash(1),
            Self::OutOfMemory(service) => engine.container(&name(service)).run_out_of_memory(),
            Self::Hang(service) => engine.container(&name(service)).hang(),
            Self::Resume(service) => engine.container(&name(service)).resume(),
            Self::Sicken(service) => engine.container(&name(service)).sicken(),
            Self::Pause(service) => engine.container(&name(service)).pause(),
            Self::Unpause(service) => engine.container(&name(service)).unpause(),
            Self::Usurp(service) => usurp(engine, &name(service)),
            Self::Stray => stray(engine),
            Self::RemoveImage(service) => engine.remove_image(image_reference(service)),
            Self::BreakImage(service) => {
                let image = FakeImage::dying(Duration::from_millis(700), 1);
                engine.add_image(image_reference(service), image);
            }
            Self::SickenImage(service) => {
                engine.add_image(image_reference(service), FakeImage::never_healthy());
            }
            Self::MendImage(service) => {
                engine.add_image(image_reference(service), image());
                engine.container(&name(service)).set_behaviour(image().behaviour);
            }
            Self::RemoveNetwork => {
                engine.user_removes_network("tanuki-net");
            }
            Self::RemoveVolume(service) => {
                _ = engine.user_removes_volume(&format!("{}-data", SERVICES[service]));
            }
            Self::HoldPort(service) => engine.hold_port(crate::project::port(service)),
            Self::ReleasePort(service) => engine.release_port(crate::project::port(service)),
            Self::DiskFull(full) => engine.set_disk_full(full),
            Self::RegistryDown(down) => engine.set_registry_down(down),
            Self::EngineRestart => engine.engine_restart(Duration::from_secs(2)),
            Self::EngineDown => engine.engine_down(),
            Self::EngineUp => engine.engine_up(),
            Self::WantRunning(_)
            | Self::WantStopped(_)
            | Self::WantRestart(_)
            | Self::WantNothing
            | Self::Reconfigure(_)
            | Self::JumpClock(_)
            | Self::KillController
            | Self::RestartController
            | Self::Wait(_) => return false,
        }
        true
    }
}

fn usurp(engine: &FakeRuntime, name: &str) {
    let foreign = ContainerSpec { name: name.into(), image: "foreign".into(), ..ContainerSpec::default() };
    if engine.container(name).spec().is_some_and(|spec| spec != foreign) {
        engine.user_removes(name);
    }
    // Refused when it is there already, which is as well.
    let _there = engine.user_creates(&foreign, true);
}

fn stray(engine: &FakeRuntime) {
    let labels = crate::project::owner().object_labels(tanuki::model::ObjectKind::Service, "stray");
    let stray = ContainerSpec {
        name: "tanuki-svc-stray".into(),
        image: "foreign".into(),
        labels: Labels(labels.0),
        ..ContainerSpec::default()
    };
    let _there = engine.user_creates(&stray, true);
}

/// Makes everything possible again: no fault, nothing in the way. Containers stay as they are, but what is frozen or
/// belongs to somebody else would need a person, and that person acts now.
pub(crate) fn mend(engine: &FakeRuntime) {
    engine.engine_up();
    engine.set_disk_full(false);
    engine.set_registry_down(false);
    for (service, name) in SERVICES.into_iter().enumerate() {
        let name = Names::service_host(name);
        engine.release_port(crate::project::port(service));
        engine.publish_image(image_reference(service), image());
        for name in [name.clone(), format!("renamed-{name}")] {
            engine.container(&name).unpause();
            engine.container(&name).resume();
            engine.container(&name).set_behaviour(Behaviour { ..image().behaviour });
        }
        if engine.container(&name).spec().is_some_and(|spec| spec.image == "foreign") {
            engine.user_removes(&name);
        }
        if engine.has_image(image_reference(service)) {
            engine.add_image(image_reference(service), image());
        }
    }
}
