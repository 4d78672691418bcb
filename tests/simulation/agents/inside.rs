//! What runs inside agents' containers: the scripts of the program under test, played on the workspace's files, and
//! the agent CLIs they start.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tanuki::model::LabelKey;
use tanuki_runtimes::testing::{FakeImage, FakeRuntime, Program};
use tanuki_runtimes::{ContainerState, ExecOutput, ExecSpec};
use tokio::time::Instant;

use super::git::{Commit, FakeGit, Workspace, read, write};

/// An agent CLI at work.
#[derive(Debug, Clone)]
struct Process {
    agent: String,
    run: String,
    /// Its container, and when that was started: it ends with it.
    place: (String, Option<std::time::SystemTime>),
    ends_at: Instant,
    exit_code: i64,
    dir: PathBuf,
}

/// Everything inside.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    root: PathBuf,
    git: FakeGit,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    processes: Vec<Process>,
    /// Runs whose process has ended by itself, with its exit code.
    ended: Vec<(String, i64)>,
    pieces: u64,
    places: u64,
    breaches: Vec<String>,
}

impl Inside {
    pub(crate) fn new(root: &Path, git: FakeGit) -> Self {
        Self { root: root.to_owned(), git, state: Arc::default() }
    }

    /// An image in which an agent can be; one without git where `has_git` is false.
    pub(crate) fn image(&self, engine: &FakeRuntime, has_git: bool) -> FakeImage {
        let (inside, engine) = (self.clone(), engine.clone());
        FakeImage {
            pull_time: Duration::from_secs(2),
            ..FakeImage::default()
                .with_program("sh", Program::new(move |spec| inside.run(&engine, spec, has_git)))
        }
    }

    pub(crate) fn workspace(&self, agent: &str) -> PathBuf {
        self.root.join(".tanuki/workspaces").join(agent)
    }

    /// Somebody does a piece of work that is not committed. Which, where there is a workspace.
    pub(crate) fn work(&self, agent: &str) -> Option<String> {
        let directory = self.workspace(agent);
        let mut workspace = read(&directory)?;
        let mut state = self.state.lock().unwrap();
        state.pieces += 1;
        let piece = format!("piece-{}", state.pieces);
        workspace.work.insert(piece.clone());
        write(&directory, &workspace);
        Some(piece)
    }

    /// Programs end when their time has come, and with their container.
    pub(crate) fn settle(&self, engine: &FakeRuntime) {
        let listing = engine.listing();
        let lives = |process: &Process| {
            listing.containers.iter().any(|container| {
                container.id == process.place.0
                    && container.started_at == process.place.1
                    && matches!(container.state, ContainerState::Running | ContainerState::Stopping)
            })
        };
        let mut state = self.state.lock().unwrap();
        let processes = std::mem::take(&mut state.processes);
        for process in processes.into_iter().filter(lives) {
            if Instant::now() < process.ends_at {
                state.processes.push(process);
                continue;
            }
            state.ended.push((process.run.clone(), process.exit_code));
            // Gone with the agent's state where that was removed.
            let _gone = fs::write(process.dir.join("exit"), format!("{}\n", process.exit_code));
        }
    }

    /// Runs whose agent CLI is at work, by agent.
    pub(crate) fn at_work(&self, engine: &FakeRuntime) -> Vec<(String, String)> {
        self.settle(engine);
        let state = self.state.lock().unwrap();
        state.processes.iter().map(|process| (process.agent.clone(), process.run.clone())).collect()
    }

    /// How a run's program ended, if it did by itself.
    pub(crate) fn exit_code(&self, run: &str) -> Option<i64> {
        let state = self.state.lock().unwrap();
        state.ended.iter().find(|(ended, _)| ended == run).map(|(_, code)| *code)
    }

    pub(crate) fn breaches(&self) -> Vec<String> {
        self.state.lock().unwrap().breaches.clone()
    }

    fn run(&self, engine: &FakeRuntime, spec: &ExecSpec, has_git: bool) -> ExecOutput {
        self.settle(engine);
        let agent = spec.env.get("TANUKI_AGENT").cloned().unwrap_or_default();
        let script = spec.command.get(2).map_or("", String::as_str);
        let words: Vec<&str> = spec.command.iter().skip(4).map(String::as_str).collect();
        let said = |exit_code, stdout: String| ExecOutput {
            exit_code,
            stdout: stdout.into_bytes(),
            ..ExecOutput::default()
        };
        let directory = self.workspace(&agent);
        let workspace = read(&directory);
        if script.contains("exit 21") {
            return said(if has_git { 0 } else { 21 }, String::new());
        }
        if script.contains("mkdir \"$d/claim\"") {
            return said(self.start(engine, &agent, spec, &words), String::new());
        }
        if script.contains("signal TERM") {
            self.state.lock().unwrap().processes.retain(|process| process.run != words[0]);
            return said(0, String::new());
        }
        if script.contains("TANUKI_RUN=$id") {
            let state = self.state.lock().unwrap();
            return said(
                i64::from(!state.processes.iter().any(|process| process.run == words[0])),
                String::new(),
            );
        }
        if script.contains("tanuki-rescue.*) rm") {
            return said(0, String::new());
        }
        let Some(mut workspace) = workspace else { return said(2, String::new()) };
        if script.contains("status --porcelain") {
            let dirty = !workspace.work.is_empty();
            return said(i64::from(dirty), if dirty { "?? work\n".to_owned() } else { String::new() });
        }
        if script.contains("commit --quiet --no-verify --file=-") {
            if workspace.work.is_empty() {
                return said(3, String::new());
            }
            let commit = self.commit(&workspace);
            workspace.head = self.git.repository().add(commit);
            workspace.work.clear();
            write(&directory, &workspace);
            return said(0, String::new());
        }
        if script.contains("left out: ") {
            let offered = self.commit(&workspace);
            let mut state = self.state.lock().unwrap();
            state.places += 1;
            let place = format!("/tmp/tanuki-rescue.{}", state.places);
            self.git.repository().offered.insert(place.clone(), offered);
            return said(0, format!("{place}\n"));
        }
        self.breach(format!("a script that no test knows: {script}"));
        said(1, String::new())
    }

    /// What is in a workspace, as one commit.
    fn commit(&self, workspace: &Workspace) -> Commit {
        let known = self.git.repository().commits.get(&workspace.head).cloned().unwrap_or_default();
        let pieces = known.pieces.union(&workspace.work).cloned().collect();
        Commit { parent: Some(workspace.head.clone()), pieces }
    }

    /// The supervisor's start: the prompt says how many seconds the program works, and how it ends.
    fn start(&self, engine: &FakeRuntime, agent: &str, spec: &ExecSpec, words: &[&str]) -> i64 {
        let run = spec.env["TANUKI_RUN"].clone();
        let below = words[0].trim_start_matches("/tanuki/runs/");
        let dir = self.root.join(".tanuki/state/agents").join(agent).join("runs").join(below);
        if fs::create_dir_all(&dir).is_err() {
            return 1;
        }
        if fs::create_dir(dir.join("claim")).is_err() {
            return 0;
        }
        let mut numbers = spec.command.last().map_or("", String::as_str).split(' ');
        let mut number = || numbers.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
        let (seconds, code) = (number(), number());
        let own = engine.listing().containers.into_iter().find(|container| {
            container.labels.get(LabelKey::KIND) == Some("agent")
                && container.labels.get(LabelKey::NAME) == Some(agent)
                && container.state == ContainerState::Running
        });
        let Some(own) = own else { return 1 };
        fs::write(dir.join("pid"), "1\n").unwrap();
        fs::write(dir.join("stdout"), "at work\n").unwrap();
        self.work(agent);
        let mut state = self.state.lock().unwrap();
        // What another run has left of this agent's is ended by the supervisor first.
        let supersedes = spec.command[2].contains("TANUKI_RUN=$agent");
        state.processes.retain(|process| process.agent != agent || !supersedes);
        if let Some(other) = state.processes.iter().find(|process| process.agent == agent) {
            let breach = format!("{} begins while {} is at work", run, other.run);
            state.breaches.push(breach);
        }
        state.processes.push(Process {
            agent: agent.to_owned(),
            run,
            place: (own.id, own.started_at),
            ends_at: Instant::now() + Duration::from_secs(seconds),
            exit_code: i64::try_from(code).unwrap(),
            dir,
        });
        0
    }

    fn breach(&self, breach: String) {
        self.state.lock().unwrap().breaches.push(breach);
    }
}
