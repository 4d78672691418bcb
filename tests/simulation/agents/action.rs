//! What happens to agents and to the controller that keeps them: one closed list, so that a failing run can be printed.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tanuki::model::{Request, Spawn};
use tanuki::store::{Stage, Store};
use tanuki_runtimes::ContainerSpec;
use tokio::time::sleep;

use super::world::{BARE, IMAGE, Sim};

/// The agents there can be.
pub(crate) const AGENTS: [&str; 3] = ["api", "ops", "web"];

/// One of them, by position.
pub(crate) type Agent = usize;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Spawn(Agent),
    /// All that are asked for, or none.
    SpawnAll,
    /// From an image without git: refused.
    SpawnBare(Agent),
    Start(Option<Agent>),
    Stop(Option<Agent>),
    Restart(Agent),
    Remove(Agent),
    RemoveByForce(Agent),
    Undo(Agent),
    Down,
    /// A run of so many seconds that ends with that code.
    Run(Agent, u64, u64),
    EndRun(Agent),
    /// Something is written in the workspace that is not committed.
    Work(Agent),
    /// A person does something to the container, past Tanuki.
    UserRemoves(Agent),
    UserStops(Agent),
    UserStarts(Agent),
    UserPauses(Agent),
    UserUnpauses(Agent),
    UserRemovesNetwork,
    /// The user throws a workspace away by hand, with all that is in it.
    UserRemovesWorkspace(Agent),
    /// Somebody else has a container of that name.
    Usurp(Agent),
    OutOfMemory(Agent),
    RemoveImage,
    DiskFull(bool),
    EngineDown,
    EngineUp,
    EngineRestart,
    Reconfigure,
    /// The controller is killed where it stands, and another one starts.
    Kill,
    /// The controller ends as it should, and another one starts.
    End,
    /// The controller is killed, and the next one finds no store.
    LoseStore,
    /// Nothing but time, in milliseconds.
    Wait(u64),
}

impl Action {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let agent = rng.usize(..AGENTS.len());
        match rng.u32(..100) {
            0..20 => Self::Wait(rng.u64(1..=3000)),
            20..31 => Self::Wait(rng.u64(3000..=40_000)),
            31..37 => Self::Spawn(agent),
            37 => Self::SpawnAll,
            38 => Self::SpawnBare(agent),
            39..43 => Self::Start(rng.bool().then_some(agent)),
            43..46 => Self::Stop(rng.bool().then_some(agent)),
            46..48 => Self::Restart(agent),
            48..50 => Self::Remove(agent),
            50..53 => Self::RemoveByForce(agent),
            53..56 => Self::Undo(agent),
            56 => Self::Down,
            57..69 => Self::Run(agent, rng.u64(..40), rng.u64(..2)),
            69 | 70 => Self::EndRun(agent),
            71..76 => Self::Work(agent),
            76 | 77 => Self::UserRemoves(agent),
            78 => Self::UserStops(agent),
            79 => Self::UserStarts(agent),
            80 => Self::UserPauses(agent),
            81 | 82 => Self::UserUnpauses(agent),
            83 => Self::UserRemovesNetwork,
            84 => Self::UserRemovesWorkspace(agent),
            85 => Self::Usurp(agent),
            86 => Self::OutOfMemory(agent),
            87 => Self::RemoveImage,
            88 => Self::DiskFull(true),
            89..91 => Self::DiskFull(false),
            91 => Self::EngineDown,
            92 | 93 => Self::EngineUp,
            94 => Self::EngineRestart,
            95 => Self::Reconfigure,
            96 | 97 => Self::Kill,
            98 => Self::End,
            _ if rng.bool() => Self::LoseStore,
            _ => Self::Kill,
        }
    }

    pub(crate) async fn happen(self, sim: &mut Sim) {
        let named = |agent: Agent| vec![AGENTS[agent].to_owned()];
        let some = |agent: Option<Agent>| agent.map(named).unwrap_or_default();
        let container = |agent: Agent| format!("tanuki-agent-{}", AGENTS[agent]);
        match self {
            Self::Spawn(agent) => spawn(sim, &[AGENTS[agent]], None),
            Self::SpawnAll => spawn(sim, &AGENTS, None),
            Self::SpawnBare(agent) => spawn(sim, &[AGENTS[agent]], Some(BARE)),
            Self::Start(agent) => sim.ask(Request::AgentStart { names: some(agent) }),
            Self::Stop(agent) => {
                let stop = Request::AgentStop { names: some(agent) };
                sim.ask_end(agent.map(|agent| AGENTS[agent]), Some(stop));
            }
            Self::Restart(agent) => {
                let restart = Request::AgentRestart { names: named(agent) };
                sim.ask_end(Some(AGENTS[agent]), Some(restart));
            }
            Self::Remove(agent) => sim.ask(Request::AgentRemove { names: named(agent), force: false }),
            Self::RemoveByForce(agent) => {
                let remove = Request::AgentRemove { names: named(agent), force: true };
                sim.ask_end(Some(AGENTS[agent]), Some(remove));
            }
            Self::Undo(agent) => sim.ask(Request::AgentUndo { name: AGENTS[agent].to_owned() }),
            Self::Down => sim.ask_down(),
            Self::Run(agent, seconds, code) => sim.ask_run(AGENTS[agent], seconds, code),
            Self::EndRun(agent) => sim.ask_end(Some(AGENTS[agent]), None),
            Self::Work(agent) => {
                // Nobody works in a workspace while it is made or taken away: what comes after it was saved is not.
                let row = sim.store.agent(AGENTS[agent]).unwrap();
                if !sim.is_asking()
                    && row.is_some_and(|row| row.stage == Stage::Made)
                    && let Some(piece) = sim.inside.work(AGENTS[agent])
                {
                    sim.precious.entry(AGENTS[agent].to_owned()).or_default().insert(piece);
                }
            }
            Self::UserRemoves(agent) => {
                sim.engine.user_removes(&container(agent));
            }
            Self::UserStops(agent) => {
                sim.engine.user_stops(&container(agent));
            }
            Self::UserStarts(agent) => {
                sim.engine.user_starts(&container(agent));
            }
            Self::UserPauses(agent) => sim.engine.container(&container(agent)).pause(),
            Self::UserUnpauses(agent) => sim.engine.container(&container(agent)).unpause(),
            Self::UserRemovesNetwork => {
                sim.engine.user_removes_network("tanuki-net");
            }
            Self::UserRemovesWorkspace(agent) => {
                let _gone = fs::remove_dir_all(sim.inside.workspace(AGENTS[agent]));
                sim.precious.remove(AGENTS[agent]);
            }
            Self::Usurp(agent) => {
                let name = container(agent);
                let foreign = ContainerSpec { name, image: "foreign".into(), ..ContainerSpec::default() };
                // Refused when there is one, which is as well.
                let _there = sim.engine.user_creates(&foreign, true);
            }
            Self::OutOfMemory(agent) => sim.engine.container(&container(agent)).run_out_of_memory(),
            Self::RemoveImage => sim.engine.remove_image(IMAGE),
            Self::DiskFull(full) => sim.engine.set_disk_full(full),
            Self::EngineDown => sim.engine.engine_down(),
            Self::EngineUp => sim.engine.engine_up(),
            Self::EngineRestart => sim.engine.engine_restart(Duration::from_secs(2)),
            Self::Reconfigure => {
                sim.memory += 1 << 20;
                if let Some(controller) = &sim.controller {
                    controller.agents.configure(sim.settings(), std::collections::BTreeMap::new());
                }
            }
            Self::Kill => {
                sim.kill_controller().await;
                sim.start_controller();
            }
            Self::End => {
                sim.end_controller().await;
                sim.start_controller();
            }
            Self::LoseStore => {
                sim.kill_controller().await;
                sim.store = Arc::new(Store::in_memory().unwrap());
                sim.lost_store = true;
                sim.start_controller();
            }
            Self::Wait(millis) => sleep(Duration::from_millis(millis)).await,
        }
    }
}

fn spawn(sim: &mut Sim, names: &[&str], image: Option<&str>) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let spawn = Spawn { names, count: 1, image: image.map(str::to_owned), ..Spawn::default() };
    sim.ask(Request::Spawn(Box::new(spawn)));
}

/// Makes everything possible again: nothing is in the way, and what would need a person is done by that person.
pub(crate) fn mend(sim: &Sim) {
    let engine = &sim.engine;
    engine.engine_up();
    engine.set_disk_full(false);
    for (image, has_git) in [(IMAGE, true), (BARE, false)] {
        engine.add_image(image, sim.inside.image(engine, has_git));
    }
    for agent in AGENTS {
        let name = format!("tanuki-agent-{agent}");
        engine.container(&name).unpause();
        if engine.container(&name).spec().is_some_and(|spec| spec.image == "foreign") {
            engine.user_removes(&name);
        }
    }
}
