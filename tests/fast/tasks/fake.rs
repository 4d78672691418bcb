//! Agents as plain data: what is in each branch is a set of words, and a run ends when its time is over.
//!
//! Stricter than the world: a second run for a task, a run on a busy agent, or one that begins without the work it
//! depends on is a panic. Every call can be the last one of a controller: before its effect, or between effect and
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tanuki::controller::Clock;
use tanuki::model::{
    AgentSettings, AgentState, AgentStatus, Conflict, Credentials, Desired, RunFailure, RunRecord, RunSpec,
    RunState, Time, Usage,
};
use tanuki::tasks::ports::{Bring, MergeResult, NewAgent, Roles, Target, Trouble, Verdict, Workers};
use tokio::sync::Notify;

type Branch = BTreeSet<String>;

/// How the tries of a task go; the last one again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Try {
    /// The run succeeds, and so does the command.
    Good,
    /// The run succeeds, the command fails.
    Bad,
    /// The run fails.
    Fails(RunFailure),
}

#[derive(Debug, Clone)]
struct Agent {
    status: AgentStatus,
    branch: Branch,
    /// Work in the workspace that is in no commit.
    loose: Branch,
}

#[derive(Debug, Clone)]
struct Run {
    record: RunRecord,
    ends: Time,
    ending: Try,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    agents: BTreeMap<String, Agent>,
    runs: Vec<Run>,
    commits: BTreeMap<String, Branch>,
    pub(super) target: Branch,
    /// Words that do not go together.
    pub(super) enemies: Vec<(String, String)>,
    /// Tries by task.
    pub(super) tries: BTreeMap<String, Vec<Try>>,
    /// What each task depends on.
    pub(super) depends: BTreeMap<String, Vec<String>>,
    /// The target's checkout is in the way of so many merges.
    pub(super) dirty: u32,
    /// Agents cannot be made so often.
    pub(super) no_spawn: u32,
    /// Points passed.
    pub(super) points: u32,
    /// The point at which nothing goes on.
    pub(super) crash_at: Option<u32>,
    pub(super) most_working: usize,
    /// What is kept for the next controller to sign in with.
    pub(super) kept: Credentials,
    /// Runs, by task, with what each signed in with.
    pub(super) signed_in: Vec<(String, Credentials)>,
    /// Calls, in order, for people.
    pub(super) log: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Fake {
    inner: Mutex<Inner>,
    clock: Arc<dyn Clock>,
    settings: Mutex<Arc<AgentSettings>>,
    pub(super) crashed: Notify,
}

impl Fake {
    pub(super) fn new(clock: Arc<dyn Clock>, settings: AgentSettings) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            clock,
            settings: Mutex::new(Arc::new(settings)),
            crashed: Notify::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A point at which a controller may die.
    async fn point(&self) {
        let crash = {
            let mut inner = self.lock();
            inner.points += 1;
            inner.crash_at == Some(inner.points)
        };
        if crash {
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
    }

    /// Brings runs up to now.
    fn settle(&self) -> MutexGuard<'_, Inner> {
        let now = self.clock.now();
        let mut inner = self.lock();
        let Inner { runs, agents, .. } = &mut *inner;
        for run in runs.iter_mut().filter(|run| run.record.state == RunState::Running && run.ends <= now) {
            run.record.ended_at = Some(run.ends);
            let agent = agents.get_mut(&run.record.agent);
            match run.ending {
                Try::Good | Try::Bad => {
                    run.record.state = RunState::Succeeded;
                    let task = run.record.task.clone().unwrap();
                    let word = if run.ending == Try::Good { task } else { format!("{task}?") };
                    if let Some(agent) = agent {
                        agent.loose.insert(word);
                    }
                }
                Try::Fails(failure) => {
                    run.record.state = RunState::Failed;
                    run.record.failure = Some(failure);
                }
            }
        }
        inner
    }

    pub(super) fn runs_of(&self, task: &str) -> Vec<RunRecord> {
        let inner = self.settle();
        inner
            .runs
            .iter()
            .map(|run| run.record.clone())
            .filter(|run| run.task.as_deref() == Some(task))
            .collect()
    }

    pub(super) fn branch(&self, agent: &str) -> Branch {
        self.lock().agents[agent].branch.clone()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().agents.keys().cloned().collect()
    }

    /// Somebody takes the container away.
    pub(super) fn lose(&self, name: &str) {
        let mut inner = self.settle();
        inner.agents.get_mut(name).unwrap().status.state = AgentState::Lost;
        for run in inner.runs.iter_mut().filter(|run| run.record.agent == name && !run.record.state.is_over())
        {
            run.record.state = RunState::Failed;
            run.record.failure = Some(RunFailure::ContainerEnded);
        }
    }

    /// A person stops the agent's run.
    pub(super) fn stop(&self, name: &str) {
        let mut inner = self.settle();
        for run in inner.runs.iter_mut().filter(|run| run.record.agent == name && !run.record.state.is_over())
        {
            run.record.state = RunState::Stopped;
        }
    }
}

fn fits(inner: &Inner, words: &Branch) -> bool {
    !inner.enemies.iter().any(|(one, other)| words.contains(one) && words.contains(other))
}

#[async_trait]
impl Workers for Fake {
    fn agents(&self) -> Option<BTreeMap<String, AgentStatus>> {
        let inner = self.settle();
        let live = |name: &str| {
            inner.runs.iter().find(|run| run.record.agent == name && !run.record.state.is_over())
        };
        let statuses = inner.agents.iter().map(|(name, agent)| {
            let run = live(name).map(|run| run.record.clone());
            let ahead = agent.branch.difference(&inner.target).count();
            let status = AgentStatus {
                run,
                ahead: Some(u32::try_from(ahead).unwrap()),
                dirty: Some(!agent.loose.is_empty()),
                ..agent.status.clone()
            };
            (name.clone(), status)
        });
        Some(statuses.collect())
    }

    fn settings(&self) -> Arc<AgentSettings> {
        Arc::clone(&self.settings.lock().unwrap())
    }

    fn roles(&self) -> Option<Roles> {
        Some([("backend".to_owned(), None), ("qa".to_owned(), Some(1))].into())
    }

    async fn spawn(&self, agent: &NewAgent) -> Result<(), Trouble> {
        self.point().await;
        {
            let most = self.settings().limits.agents;
            let mut inner = self.lock();
            inner.log.push(format!("spawn {}", agent.name));
            if inner.no_spawn > 0 {
                inner.no_spawn -= 1;
                return Err(Trouble::Passing { message: "the engine is busy".to_owned() });
            }
            assert!(!inner.agents.contains_key(&agent.name), "{} is there", agent.name);
            assert!(inner.agents.len() < usize::try_from(most).unwrap(), "too many agents");
            let branch = inner.target.clone();
            let status = status(agent);
            inner.agents.insert(agent.name.clone(), Agent { status, branch, loose: Branch::new() });
        }
        self.point().await;
        Ok(())
    }

    async fn start(&self, agent: &str) -> Result<(), Trouble> {
        self.point().await;
        self.lock().agents.get_mut(agent).unwrap().status.state = AgentState::Idle;
        self.point().await;
        Ok(())
    }

    async fn remove(&self, agent: &str) -> Result<(), Trouble> {
        self.point().await;
        {
            let mut inner = self.lock();
            inner.log.push(format!("remove {agent}"));
            let gone = inner.agents.remove(agent).unwrap();
            assert!(gone.branch.is_subset(&inner.target) && gone.loose.is_empty(), "{agent} had work");
        }
        self.point().await;
        Ok(())
    }

    async fn runs(&self, agent: &str, task: &str) -> Result<Vec<RunRecord>, Trouble> {
        self.point().await;
        Ok(self.runs_of(task).into_iter().filter(|run| run.agent == agent).collect())
    }

    async fn start_run(&self, spec: RunSpec, credentials: Credentials) -> Result<String, Trouble> {
        self.point().await;
        let id = {
            let now = self.clock.now();
            let mut inner = self.settle();
            let task = spec.task.clone().unwrap();
            let live: Vec<&RunRecord> =
                inner.runs.iter().map(|run| &run.record).filter(|run| !run.state.is_over()).collect();
            assert!(live.iter().all(|run| run.agent != spec.agent), "{} is busy", spec.agent);
            assert!(live.iter().all(|run| run.task != spec.task), "{task} has a run");
            assert!(live.len() < inner.most_working, "too many runs");
            let role = |agent: &String| inner.agents[agent].status.role.as_deref();
            let qa = role(&spec.agent) == Some("qa") && live.iter().any(|run| role(&run.agent) == Some("qa"));
            assert!(!qa, "too many runs of one role");
            let branch = &inner.agents[&spec.agent].branch;
            for dependency in inner.depends.get(&task).into_iter().flatten() {
                assert!(branch.contains(dependency), "{task} began without {dependency}");
            }
            let number = inner.runs.iter().filter(|run| run.record.agent == spec.agent).count() + 1;
            let tries = inner.tries.get(&task).cloned().unwrap_or_else(|| vec![Try::Good]);
            let ended = inner
                .runs
                .iter()
                .filter(|run| run.record.task == spec.task && run.record.state != RunState::Stopped);
            let ending = tries[ended.count().min(tries.len() - 1)];
            let record = record(&spec, &format!("{}-{number}", spec.agent), now);
            let id = record.id.clone();
            inner.signed_in.push((task.clone(), credentials));
            inner.log.push(format!("run {id} for {task}"));
            inner.runs.push(Run { record, ends: now + Duration::from_secs(40), ending });
            id
        };
        self.point().await;
        Ok(id)
    }

    fn keep_credentials(&self, credentials: &Credentials) {
        self.lock().kept = credentials.clone();
    }

    fn kept_credentials(&self) -> Credentials {
        self.lock().kept.clone()
    }

    async fn stop_run(&self, agent: &str) -> Result<(), Trouble> {
        self.point().await;
        self.lock().log.push(format!("stop {agent}"));
        self.stop(agent);
        self.point().await;
        Ok(())
    }

    async fn bring(&self, agent: &str, bring: &Bring) -> Result<(), Trouble> {
        self.point().await;
        {
            let mut inner = self.lock();
            let inner = &mut *inner;
            let known = |id: &String| inner.commits.get(id).cloned().unwrap_or_default();
            let mut branch = inner.agents[agent].branch.clone();
            branch.extend(inner.agents[agent].loose.clone());
            if let Some(reset) = &bring.reset {
                branch = known(reset);
            }
            for optional in bring.target.iter().chain(&bring.own) {
                let with = branch.union(&known(optional)).cloned().collect();
                if fits(inner, &with) {
                    branch = with;
                }
            }
            for (with, commit) in &bring.commits {
                branch.extend(known(commit));
                if !fits(inner, &branch) {
                    let files = vec!["a.txt".to_owned()];
                    return Err(Trouble::Conflicts { with: with.clone(), files });
                }
            }
            let agent = inner.agents.get_mut(agent).unwrap();
            agent.branch = branch;
            agent.loose.clear();
        }
        self.point().await;
        Ok(())
    }

    async fn collect(&self, agent: &str) -> Result<Option<String>, Trouble> {
        self.point().await;
        let id = {
            let mut inner = self.settle();
            let Some(agent) = inner.agents.get_mut(agent) else { return Err(Trouble::Gone) };
            let loose = std::mem::take(&mut agent.loose);
            agent.branch.extend(loose);
            let branch = agent.branch.clone();
            let id = format!("{branch:?}");
            inner.commits.insert(id.clone(), branch);
            id
        };
        self.point().await;
        Ok(Some(id))
    }

    async fn verify(&self, agent: &str, command: &str) -> Result<Verdict, Trouble> {
        self.point().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.point().await;
        let passed = self.branch(agent).contains(command);
        Ok(Verdict { passed, output: "what it said".to_owned() })
    }

    async fn merge(&self, agent: &str, verify: Option<&str>, _message: &str) -> Result<MergeResult, Trouble> {
        self.point().await;
        {
            let mut inner = self.lock();
            inner.log.push(format!("merge {agent}"));
            let merged: Branch = inner.target.union(&inner.agents[agent].branch).cloned().collect();
            if !fits(&inner, &merged) {
                return Ok(MergeResult::Conflicts(vec!["b.txt".to_owned()]));
            }
            if verify.is_some_and(|command| !merged.contains(command)) {
                return Ok(MergeResult::VerifyFailed("what it said".to_owned()));
            }
            if inner.dirty > 0 {
                inner.dirty -= 1;
                return Ok(MergeResult::Refused("there are changes".to_owned()));
            }
            inner.target = merged;
        }
        self.point().await;
        Ok(MergeResult::Merged)
    }

    async fn target(&self) -> Result<Target, Trouble> {
        tokio::task::yield_now().await;
        let branch = "refs/heads/main".to_owned();
        Ok(Target { commit: self.head(&branch).await?, branch })
    }

    async fn head(&self, _branch: &str) -> Result<String, Trouble> {
        let mut inner = self.lock();
        let target = inner.target.clone();
        let id = format!("{target:?}");
        inner.commits.insert(id.clone(), target);
        Ok(id)
    }

    async fn forecast(&self, target: &str) -> Result<Vec<Conflict>, Trouble> {
        let inner = self.lock();
        let conflicts = inner.agents.iter().filter_map(|(name, agent)| {
            let merged: Branch = inner.target.union(&agent.branch).cloned().collect();
            (!fits(&inner, &merged)).then(|| Conflict {
                agent: name.clone(),
                with: target.to_owned(),
                files: vec!["b.txt".to_owned()],
            })
        });
        Ok(conflicts.collect())
    }
}

fn record(spec: &RunSpec, id: &str, now: Time) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        agent: spec.agent.clone(),
        task: spec.task.clone(),
        adapter: "scripted".to_owned(),
        title: String::new(),
        state: RunState::Running,
        failure: None,
        message: String::new(),
        created_at: now,
        started_at: Some(now),
        ended_at: None,
        iteration: 1,
        max_iterations: 1,
        exit_code: None,
        usage: Usage { turns: Some(2), ..Usage::default() },
        session: None,
        verified: None,
    }
}

fn status(agent: &NewAgent) -> AgentStatus {
    AgentStatus {
        name: agent.name.clone(),
        state: AgentState::Idle,
        desired: Desired::Running,
        role: agent.role.clone(),
        workstream: agent.workstream.clone(),
        adapter: "scripted".to_owned(),
        model: None,
        image: String::new(),
        branch: format!("tanuki/{}", agent.name),
        base: "refs/heads/main".to_owned(),
        base_commit: String::new(),
        head: None,
        ahead: None,
        behind: None,
        dirty: None,
        container: String::new(),
        container_id: None,
        workspace: String::new(),
        started_at: None,
        run: None,
        last_run: None,
        task: None,
        stale_environment: false,
        out_of_date: Vec::new(),
        missing_services: Vec::new(),
        waiting: None,
        reason: String::new(),
        message: String::new(),
        generation: 1,
        conditions: Vec::new(),
    }
}
