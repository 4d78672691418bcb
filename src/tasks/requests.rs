//! What people ask of tasks and of the project: it changes what is remembered, and wakes the loop.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::board::{Board, Decision, Stand, What};
use super::hand::board;
use super::kind::{State, Tasks, World};
use super::memory::{Memory, Outcome, Project, Stage, Wish};
use super::schedule::schedule;
use crate::controller::{PassError, Wake};
use crate::model::{Accepted, Credentials, EventType, Rejected, Request, TaskState, check_agent_name};

/// How long [`Tasks::halt`] waits.
const HALT: Duration = Duration::from_secs(60);
/// Rounds that a dry run looks ahead.
const ROUNDS: usize = 10_000;

impl Tasks {
    /// Takes down what is asked of tasks and of the project.
    ///
    /// # Errors
    ///
    /// The task is unknown, the request makes no sense, or something failed.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Result<Accepted, Rejected> {
        let world = {
            let _alone = self.alone();
            let world = self.look();
            // What people did to files counts before what they ask for.
            self.absorb(&world).map_err(failed)?;
            world
        };
        let accepted = match request {
            Request::TaskAssign { task, agent } => self.assign(&world, &task, agent),
            Request::TaskRetry { task } => self.retry(&world, &task),
            Request::TaskApprove { task } => self.approve(&world, &task),
            Request::ProjectStart { projects, merge, dry_run, credentials } => {
                self.start(&world, projects, merge, dry_run, credentials).await
            }
            Request::ProjectStop {} => self.stop(),
            Request::ProjectResume { credentials } => self.resume(&credentials),
            _ => Err(not_possible("this is not about tasks")),
        };
        self.deps.waker.wake(Wake::All);
        self.wake_plan();
        if accepted.is_ok() {
            // Whoever asked finds it told already.
            self.plan().map_err(failed)?;
        }
        accepted
    }

    fn known(&self, world: &World, id: &str) -> Result<Memory, Rejected> {
        let memory = self.memory(id).filter(|_| world.sheet.by_id.contains_key(id));
        memory.ok_or_else(|| Rejected::UnknownTask {
            id: id.to_owned(),
            known: world.sheet.by_id.keys().cloned().collect(),
        })
    }

    fn assign(&self, world: &World, id: &str, agent: Option<String>) -> Result<Accepted, Rejected> {
        let memory = self.known(world, id)?;
        if let Some(agent) = &agent {
            check_agent_name(agent).map_err(|why| Rejected::Invalid {
                message: format!("'{agent}' cannot be an agent: {why}"),
                hint: "`tanuki list` shows the agents".to_owned(),
            })?;
        }
        if let Some(claim) = memory.claim.as_ref().filter(|claim| Some(&claim.agent) != agent.as_ref()) {
            return Err(not_possible(format!("'{}' works on '{id}'; stop its run first", claim.agent)));
        }
        if memory.state == TaskState::Complete {
            return Err(not_possible(format!("'{id}' is complete; `tanuki task retry` makes it open again")));
        }
        let change = |memory: &mut Memory| {
            memory.pinned.clone_from(&agent);
            memory.touched = true;
        };
        self.update(id, change).map_err(failed)?;
        let text = match &agent {
            Some(agent) => format!("'{id}' is given to agent '{agent}'"),
            None => format!("'{id}' is given to nobody in particular"),
        };
        self.news(id, "Assigned", &text);
        Ok(Accepted { text, agents: agent.into_iter().collect(), ..Accepted::default() })
    }

    fn retry(&self, world: &World, id: &str) -> Result<Accepted, Rejected> {
        let memory = self.known(world, id)?;
        let resting = memory.claim.as_ref().is_some_and(|claim| claim.stage == Stage::Prepare && !claim.go);
        if memory.claim.is_some() && !resting {
            return Err(not_possible(format!("'{id}' is being worked on")));
        }
        if memory.claim.is_none() && memory.state == TaskState::Pending {
            return Err(not_possible(self.why_pending(world, id)));
        }
        let outcome = Outcome::new(TaskState::Pending, "Retry", "a person asked for another try");
        let now = self.now();
        let change = |memory: &mut Memory| {
            memory.forgive();
            if memory.claim.is_none() {
                memory.end(outcome, now);
                memory.merged = false;
            }
        };
        self.update(id, change).map_err(failed)?;
        self.update_project(|project| {
            project.pauses.clear();
            go_on(project);
        })
        .map_err(failed)?;
        self.news(id, "Retry", "a person asked for another try");
        Ok(Accepted {
            text: self.and_then(format!("'{id}' is open again, with all its tries")),
            ..Accepted::default()
        })
    }

    fn why_pending(&self, world: &World, id: &str) -> String {
        let board = self.board(world);
        let decisions = schedule(&board);
        let decision = decisions.iter().find(|decision| {
            board.tasks[decision.task].id == id && !matches!(decision.what, What::Remove { .. })
        });
        match decision {
            Some(Decision { what: What::Block | What::Wait, cause, .. }) => {
                format!("'{id}' is open: {cause}")
            }
            _ => format!("'{id}' is open already"),
        }
    }

    /// What has to be done before something happens, where nothing does by itself.
    fn and_then(&self, text: String) -> String {
        match self.lock().project.wish {
            Wish::Run | Wish::Done => text,
            Wish::Stop => format!("{text}; `tanuki project resume` goes on"),
            Wish::None => format!("{text}; `tanuki project start` hands it out"),
        }
    }

    fn approve(&self, world: &World, id: &str) -> Result<Accepted, Rejected> {
        let memory = self.known(world, id)?;
        if memory.state != TaskState::Review || memory.claim.is_some() {
            return Err(not_possible(format!("'{id}' is {}, not in review", memory.state)));
        }
        let now = self.now();
        let outcome = Outcome::new(TaskState::Complete, "Approved", "approved by a person");
        self.update(id, |memory| memory.end(outcome, now)).map_err(failed)?;
        self.update_project(go_on).map_err(failed)?;
        self.news(id, "Approved", "approved by a person");
        Ok(Accepted { text: format!("'{id}' is complete"), ..Accepted::default() })
    }

    fn board(&self, world: &World) -> Board {
        let settings = self.deps.workers.settings();
        let now = self.now();
        board(&self.lock(), world, &settings, now)
    }

    async fn start(
        self: &Arc<Self>,
        world: &World,
        projects: Vec<String>,
        merge: bool,
        dry_run: bool,
        credentials: Credentials,
    ) -> Result<Accepted, Rejected> {
        let there: BTreeSet<&str> = world.sheet.tasks.iter().map(|task| task.project.as_str()).collect();
        if let Some(unknown) = projects.iter().find(|project| !there.contains(project.as_str())) {
            let names: Vec<&str> = there.into_iter().filter(|name| !name.is_empty()).collect();
            let hint = match names.as_slice() {
                [] => "the tasks' directory has no subfolders with tasks".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            return Err(Rejected::Invalid { message: format!("there is no project '{unknown}'"), hint });
        }
        if world.sheet.tasks.is_empty() {
            let dir = self.deps.workers.settings().tasks_dir.display().to_string();
            let hint = "`tanuki project init` writes a sample".to_owned();
            return Err(Rejected::Invalid { message: format!("there are no tasks in {dir}"), hint });
        }
        let projects: BTreeSet<String> = projects.into_iter().collect();
        if dry_run {
            let mut board = self.board(world);
            for (item, task) in board.tasks.iter_mut().zip(&world.sheet.tasks) {
                let excluded = !projects.is_empty() && !projects.contains(&task.project);
                match item.stand {
                    Stand::Excluded if !excluded => item.stand = Stand::Open,
                    Stand::Open if excluded => item.stand = Stand::Excluded,
                    _ => {}
                }
            }
            let mut text = dry_run_text(board);
            for (task, flaw) in world.sheet.tasks.iter().zip(&world.sheet.flaws) {
                if let Some(flaw) = flaw {
                    // Writing to a string cannot fail.
                    _ = writeln!(text, "  -  {}: {flaw} ({})", task.front.id, task.file);
                }
            }
            return Ok(Accepted { text, ..Accepted::default() });
        }
        let unfinished = self.lock().project.wish == Wish::Run;
        self.give_credentials(&credentials);
        if unfinished {
            return Ok(self.joined(&projects, merge));
        }
        let target = self.deps.workers.target().await.map_err(|trouble| Rejected::NotPossible {
            message: format!("there is no branch to work towards: {trouble}"),
        })?;
        if merge && !target.branch.starts_with("refs/heads/") {
            return Err(Rejected::Invalid {
                message: "no branch is checked out, so nothing can be merged".to_owned(),
                hint: "check out the branch that is to get the work".to_owned(),
            });
        }
        {
            let mut state = self.lock();
            (state.prepared, state.head) = (false, None);
        }
        // Somebody else may have been first while the branch was looked up.
        let mut first = false;
        let change = |project: &mut Project| {
            first = project.wish != Wish::Run;
            if first {
                project.wish = Wish::Run;
                project.projects.clone_from(&projects);
                project.merge = merge;
                project.target = Some(target.branch);
                project.pauses.clear();
                project.taken.clear();
            }
        };
        self.update_project(change).map_err(failed)?;
        if !first {
            return Ok(self.joined(&projects, merge));
        }
        self.record(EventType::Normal, "project", "Started", "tasks are handed out");
        Ok(Accepted { text: "the project is started".to_owned(), ..Accepted::default() })
    }

    /// What one is told who starts what is under way.
    fn joined(&self, projects: &BTreeSet<String>, merge: bool) -> Accepted {
        let same = {
            let state = self.lock();
            state.project.projects == *projects && state.project.merge == merge
        };
        let text = "the project is under way already".to_owned();
        let mut accepted = Accepted { text, ..Accepted::default() };
        if !same {
            accepted.warnings.push("it goes on as it was started; stop it first to change how".to_owned());
        }
        accepted
    }

    fn give_credentials(&self, credentials: &Credentials) {
        if credentials.0.is_empty() {
            return;
        }
        let running = {
            let mut state = self.lock();
            state.credentials = credentials.clone();
            state.project.wish == Wish::Run
        };
        if running {
            self.deps.workers.keep_credentials(credentials);
        }
    }

    fn stop(&self) -> Result<Accepted, Rejected> {
        if self.lock().project.wish != Wish::Run {
            return Err(not_possible("the project is not under way"));
        }
        self.update_project(|project| project.wish = Wish::Stop).map_err(failed)?;
        let claimed: Vec<String> = {
            let state = self.lock();
            state
                .tasks
                .iter()
                .filter(|(_, memory)| memory.claim.is_some())
                .map(|(id, _)| id.clone())
                .collect()
        };
        for id in &claimed {
            self.wake(id);
        }
        self.record(
            EventType::Normal,
            "project",
            "Stopping",
            "running tasks are returned; their work is kept",
        );
        let text = format!("{} tasks are being returned", claimed.len());
        Ok(Accepted { text, ..Accepted::default() })
    }

    /// Stops handing out tasks and waits until what is under way is returned, for a while.
    pub async fn halt(&self) {
        if self.stop().is_err() {
            return;
        }
        let busy = |state: &State| state.tasks.values().any(|memory| memory.claim.is_some());
        let returned = self.while_wanted(busy, std::future::pending::<()>());
        if tokio::time::timeout(HALT, returned).await.is_err() {
            tracing::warn!("not all tasks are returned yet");
        }
    }

    fn resume(&self, credentials: &Credentials) -> Result<Accepted, Rejected> {
        let wish = self.lock().project.wish;
        if wish == Wish::None {
            return Err(not_possible("the project was never started; `tanuki project start` does it"));
        }
        self.give_credentials(credentials);
        let change = |project: &mut Project| {
            project.wish = Wish::Run;
            project.pauses.clear();
            project.taken.clear();
        };
        self.update_project(change).map_err(failed)?;
        let waiting: Vec<String> = {
            let state = self.lock();
            let waits = |memory: &Memory| memory.next_try.is_some();
            state.tasks.iter().filter(|(_, memory)| waits(memory)).map(|(id, _)| id.clone()).collect()
        };
        for id in waiting {
            self.update(&id, |memory| memory.next_try = None).map_err(failed)?;
        }
        if wish == Wish::Stop {
            self.record(EventType::Normal, "project", "Resumed", "tasks are handed out again");
        }
        Ok(Accepted { text: "the project goes on".to_owned(), ..Accepted::default() })
    }
}

/// What would be done, looking ahead as if every task completed, for people.
pub(super) fn dry_run_text(mut board: Board) -> String {
    let mut text = String::new();
    let mut number = 0;
    for _ in 0..ROUNDS {
        let decisions = schedule(&board);
        let mut begun = Vec::new();
        for Decision { task, what, cause, .. } in &decisions {
            let (agent, made) = match what {
                What::Claim { agent, .. } => (agent, false),
                What::Spawn { agent } => (agent, true),
                _ => continue,
            };
            number += 1;
            let how = if made { "a new agent" } else { "agent" };
            // Writing to a string cannot fail.
            _ = writeln!(text, "{number:>3}. {} -> {how} {agent} ({cause})", board.tasks[*task].id);
            begun.push((*task, agent.clone(), made));
        }
        let under_way: Vec<usize> = (0..board.tasks.len())
            .filter(|index| {
                matches!(board.tasks[*index].stand, Stand::Working { .. } | Stand::Resting { .. })
            })
            .collect();
        if begun.is_empty() && under_way.is_empty() {
            for Decision { task, what, cause, .. } in &decisions {
                if matches!(what, What::Block | What::Wait) {
                    _ = writeln!(text, "  -  {}: {cause}", board.tasks[*task].id);
                }
            }
            break;
        }
        for index in under_way {
            board.tasks[index].stand = Stand::Complete;
        }
        for (index, agent, made) in begun {
            let task = &mut board.tasks[index];
            task.stand = Stand::Complete;
            task.last = Some(agent.clone());
            let group = task.group.clone();
            if made {
                board.agents.push(super::board::Worker {
                    name: agent,
                    group,
                    usable: true,
                    busy: false,
                    ours: true,
                    merged: false,
                    kept: None,
                });
            } else if let Some(worker) = board.agents.iter_mut().find(|worker| worker.name == agent) {
                (worker.group, worker.kept) = (group, None);
            }
        }
    }
    if text.is_empty() { "Nothing to do.\n".to_owned() } else { text }
}

/// What was finished is not any more.
fn go_on(project: &mut Project) {
    if project.wish == Wish::Done {
        project.wish = Wish::Run;
    }
}

fn not_possible(message: impl Into<String>) -> Rejected {
    Rejected::NotPossible { message: message.into() }
}

fn failed(error: PassError) -> Rejected {
    Rejected::Failed { message: error.message }
}
