//! Who works on what next. Pure: plain data in, decisions with their causes out.
//!
//! # Guarantees
//!
//! * A task is given away only when everything it depends on is complete, and to one agent only.
//! * Never more working tasks than places, never more tasks of a workstream than its chains, never more running
//!   agents than allowed.
//! * What is ready goes by priority, then by id; a task is passed over only for a reason of its own, and told so.
//! * What can never start is blocked at once, with the task it is blocked by.
//! * An agent only gets tasks of its own role and workstream, unless a person gave them to it; one whose task is not
//!   settled (failed, in review, returned) is kept for that task, so that no other builds on what may be thrown away.
//! * Where every place for an agent is taken, one that Tanuki made and that has nothing to do makes room.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Priority;

/// Where a task is, as far as handing out goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stand {
    /// Nobody has it.
    Open,
    /// An agent has it and is at it.
    Working {
        /// The agent.
        agent: String,
    },
    /// An agent has it and waits until it may try again.
    Resting {
        /// The agent.
        agent: String,
        /// The wait is over.
        due: bool,
    },
    /// Complete.
    Complete,
    /// Waits for a person's word.
    Review,
    /// Its tries are used up.
    Failed,
    /// Cannot be worked on for a reason of its own.
    Blocked,
    /// Not among what is worked on.
    Excluded,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Role and workstream.
    pub group: Group,
    /// Indices of the tasks it depends on.
    pub dependencies: Vec<usize>,
    /// Where it is.
    pub stand: Stand,
    /// The agent a person gave it to.
    pub pinned: Option<String>,
    /// The agent that worked on it last.
    pub last: Option<String>,
}

/// What an agent and its tasks have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The role.
    pub role: Option<String>,
    /// The workstream.
    pub workstream: Option<String>,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its name.
    pub name: String,
    /// Role and workstream.
    pub group: Group,
    /// It could be given a task, if it has none.
    pub usable: bool,
    /// It takes one of the places for agents.
    pub running: bool,
    /// It is busy with something that is no task.
    pub busy: bool,
    /// Tanuki made it for its tasks, and may stop it.
    pub ours: bool,
    /// The task it is kept for.
    pub kept_for: Option<String>,
}

/// Everything a decision rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// The tasks.
    pub tasks: Vec<Item>,
    /// The agents.
    pub agents: Vec<Worker>,
    /// Most running agents.
    pub most_agents: usize,
    /// Most tasks that are worked on at once.
    pub most_working: usize,
    /// How many tasks of a workstream may be worked on at once; one where it is not named.
    pub chains: BTreeMap<String, usize>,
}

/// What to do about a task or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Give the task to an agent that is there.
    Claim {
        /// The agent.
        agent: String,
    },
    /// Make an agent and give the task to it.
    Spawn {
        /// Its name.
        agent: String,
    },
    /// Let the agent that has it go on.
    Resume,
    /// Stop an agent that has nothing to do; it and its work stay.
    Rest {
        /// The agent.
        agent: String,
    },
    /// It can never start as things are.
    Block,
    /// It stays where it is.
    Wait,
}

/// A decision with its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Index of the task.
    pub task: usize,
    /// What to do.
    pub what: What,
    /// Why, as one CamelCase word.
    pub reason: &'static str,
    /// The same for people.
    pub cause: String,
}

/// Decides. One decision per task that is open or waits to go on, preceded by the agents that make room for it.
pub fn schedule(board: &Board) -> Vec<Decision> {
    let mut round = Round::new(board);
    let blocked = blocked(&board.tasks);
    let mut candidates: Vec<usize> = Vec::new();
    for (index, task) in board.tasks.iter().enumerate() {
        match (&task.stand, &blocked[index]) {
            (Stand::Open, Some(cause)) => {
                round.decide(index, What::Block, cause.reason, cause.message.clone())
            }
            (Stand::Open, None) | (Stand::Resting { due: true, .. }, _) => candidates.push(index),
            _ => {}
        }
    }
    candidates.sort_by(|a, b| {
        let key = |index: &usize| {
            let task = &board.tasks[*index];
            (task.priority, task.stand == Stand::Open, &task.id)
        };
        key(a).cmp(&key(b))
    });
    for index in candidates {
        round.place(index);
    }
    round.decisions
}

/// Whether nothing is left that could be done without a person: no task is under way, and none could begin. What waits
/// for a review goes on when a person says so, and not before.
pub fn is_finished(board: &Board) -> bool {
    let blocked = blocked(&board.tasks);
    let complete = |index: &usize| board.tasks[*index].stand == Stand::Complete;
    board.tasks.iter().enumerate().all(|(index, task)| match task.stand {
        Stand::Working { .. } | Stand::Resting { .. } => false,
        // The graph has no cycles: of the open ones that are not blocked, either one is ready or all wait for reviews.
        Stand::Open => blocked[index].is_some() || !task.dependencies.iter().all(complete),
        _ => true,
    })
}

#[derive(Debug, Clone)]
struct Block {
    reason: &'static str,
    message: String,
}

/// Why tasks can never start, by index: each names the task at the root of it.
fn blocked(tasks: &[Item]) -> Vec<Option<Block>> {
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (index, task) in tasks.iter().enumerate() {
        for &dependency in &task.dependencies {
            dependants[dependency].push(index);
        }
    }
    let mut blocked: Vec<Option<Block>> = vec![None; tasks.len()];
    let mut roots: Vec<usize> = (0..tasks.len())
        .filter(|index| matches!(tasks[*index].stand, Stand::Failed | Stand::Blocked | Stand::Excluded))
        .collect();
    roots.sort_by(|a, b| tasks[*a].id.cmp(&tasks[*b].id));
    for root in roots {
        let mut stack = vec![root];
        while let Some(from) = stack.pop() {
            for &to in &dependants[from] {
                if blocked[to].is_some() || tasks[to].stand != Stand::Open {
                    continue;
                }
                blocked[to] = Some(why(tasks, root, from));
                stack.push(to);
            }
        }
    }
    blocked
}

fn why(tasks: &[Item], root: usize, from: usize) -> Block {
    let id = &tasks[root].id;
    let (reason, what) = match tasks[root].stand {
        Stand::Failed => ("DependencyFailed", "which failed"),
        Stand::Excluded => ("DependencyExcluded", "which is not among what was started"),
        _ => ("DependencyBlocked", "which is blocked"),
    };
    let message = if root == from {
        format!("it depends on '{id}', {what}")
    } else {
        format!("it depends on '{}', and that on '{id}', {what}", tasks[from].id)
    };
    Block { reason, message }
}

/// What is taken so far in one round.
struct Round<'b> {
    board: &'b Board,
    agents: BTreeMap<&'b str, &'b Worker>,
    /// Agents that have a task, by name.
    taken: BTreeMap<String, usize>,
    /// Agents that run, or will.
    running: BTreeSet<String>,
    working: usize,
    /// Tasks under way by workstream.
    chains: BTreeMap<&'b str, Vec<usize>>,
    /// How many open tasks each group has.
    open: BTreeMap<&'b Group, usize>,
    decisions: Vec<Decision>,
}

impl<'b> Round<'b> {
    fn new(board: &'b Board) -> Self {
        let agents: BTreeMap<&str, &Worker> =
            board.agents.iter().map(|agent| (agent.name.as_str(), agent)).collect();
        let mut round = Self {
            board,
            taken: BTreeMap::new(),
            running: board
                .agents
                .iter()
                .filter(|agent| agent.running)
                .map(|agent| agent.name.clone())
                .collect(),
            working: board.agents.iter().filter(|agent| agent.busy).count(),
            chains: BTreeMap::new(),
            open: BTreeMap::new(),
            decisions: Vec::new(),
            agents,
        };
        for (index, task) in board.tasks.iter().enumerate() {
            match &task.stand {
                Stand::Working { agent } | Stand::Resting { agent, .. } => {
                    round.working += usize::from(matches!(task.stand, Stand::Working { .. }));
                    round.take(index, agent);
                }
                Stand::Open => *round.open.entry(&task.group).or_default() += 1,
                _ => {}
            }
        }
        round
    }

    fn take(&mut self, index: usize, agent: &str) {
        self.taken.insert(agent.to_owned(), index);
        self.running.insert(agent.to_owned());
        if let Some(workstream) = &self.board.tasks[index].group.workstream {
            self.chains.entry(workstream).or_default().push(index);
        }
    }

    fn decide(&mut self, task: usize, what: What, reason: &'static str, cause: String) {
        self.decisions.push(Decision { task, what, reason, cause });
    }

    fn place(&mut self, index: usize) {
        let board = self.board;
        let task = &board.tasks[index];
        let open = task.stand == Stand::Open;
        let waiting = open.then(|| self.waiting_for(task)).flatten();
        if let Some((reason, cause)) = waiting {
            return self.decide(index, What::Wait, reason, cause);
        }
        if self.working >= board.most_working {
            let cause = format!("{} are worked on, and no more may be", tasks_text(board.most_working));
            return self.decide(index, What::Wait, "NoPlace", cause);
        }
        if !open {
            self.working += 1;
            return self.decide(index, What::Resume, "Due", "its wait is over".to_owned());
        }
        if let Some((reason, cause)) = self.chain_is_full(task) {
            return self.decide(index, What::Wait, reason, cause);
        }
        match self.choose(task) {
            Err((reason, cause)) => self.decide(index, What::Wait, reason, cause),
            Ok(Choice { agent, new, rest, cause }) => {
                if let Some(resting) = rest {
                    self.running.remove(&resting);
                    let why = format!("it has nothing to do, and '{}' needs a place for an agent", task.id);
                    self.decide(index, What::Rest { agent: resting }, "MakesRoom", why);
                }
                self.working += 1;
                *self.open.entry(&task.group).or_insert(1) -= 1;
                self.take(index, &agent);
                let what = if new { What::Spawn { agent } } else { What::Claim { agent } };
                self.decide(index, what, "Ready", format!("{} and ready; {cause}", task.priority));
            }
        }
    }

    fn waiting_for(&self, task: &Item) -> Option<(&'static str, String)> {
        let waits: Vec<&Item> = task
            .dependencies
            .iter()
            .map(|dependency| &self.board.tasks[*dependency])
            .filter(|dependency| dependency.stand != Stand::Complete)
            .collect();
        let first = waits.first()?;
        let names: Vec<String> = waits.iter().take(3).map(|waits| format!("'{}'", waits.id)).collect();
        let more = waits.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let reason = if first.stand == Stand::Review && waits.len() == 1 {
            "WaitsForReview"
        } else {
            "WaitsForDependency"
        };
        Some((reason, format!("it waits for {}{more}", names.join(", "))))
    }

    fn chain_is_full(&self, task: &Item) -> Option<(&'static str, String)> {
        let workstream = task.group.workstream.as_deref()?;
        let most = self.board.chains.get(workstream).copied().unwrap_or(1).max(1);
        let busy = self.chains.get(workstream)?;
        (busy.len() >= most).then(|| {
            let names: Vec<String> =
                busy.iter().map(|index| format!("'{}'", self.board.tasks[*index].id)).collect();
            let cause = format!("{} of the workstream '{workstream}' goes first", names.join(", "));
            ("WorkstreamBusy", cause)
        })
    }

    fn is_free(&self, agent: &Worker) -> bool {
        agent.usable && !agent.busy && !self.taken.contains_key(&agent.name)
    }

    fn choose(&self, task: &Item) -> Result<Choice, (&'static str, String)> {
        if let Some(name) = &task.pinned {
            return self.pinned(name);
        }
        let kept = |agent: &&&Worker| agent.kept_for.as_ref() == Some(&task.id) && self.is_free(agent);
        if let Some(agent) = self.agents.values().find(kept) {
            return self.existing(agent, format!("'{}' began it", agent.name));
        }
        let mut fit: Vec<&Worker> = self
            .agents
            .values()
            .copied()
            .filter(|agent| agent.group == task.group && agent.kept_for.is_none() && self.is_free(agent))
            .collect();
        let did = |agent: &Worker| {
            let mut done = task.dependencies.iter().map(|dependency| &self.board.tasks[*dependency]);
            done.any(|dependency| dependency.last.as_ref() == Some(&agent.name))
        };
        fit.sort_by_key(|agent| (!did(agent), !self.running.contains(&agent.name), &agent.name));
        let mut refused = None;
        for agent in fit {
            let why = if did(agent) { "did what it depends on" } else { "is free" };
            match self.existing(agent, format!("'{}' {why}", agent.name)) {
                Ok(choice) => return Ok(choice),
                Err(why) => refused = Some(why),
            }
        }
        if let Some(why) = refused {
            return Err(why);
        }
        self.spawn(self.new_name(&task.group), format!("no agent {} is free", group_text(&task.group)))
    }

    fn pinned(&self, name: &str) -> Result<Choice, (&'static str, String)> {
        let given = format!("it was given to '{name}'");
        match self.agents.get(name) {
            Some(agent) if self.is_free(agent) => self.existing(agent, given),
            Some(agent) => {
                let why = match self.taken.get(name) {
                    Some(other) => format!("works on '{}'", self.board.tasks[*other].id),
                    None if agent.busy => "is busy".to_owned(),
                    None => "cannot work now".to_owned(),
                };
                Err(("AgentBusy", format!("{given}, which {why}")))
            }
            None => match self.taken.get(name) {
                Some(other) => {
                    let other = &self.board.tasks[*other].id;
                    Err(("AgentBusy", format!("{given}, which works on '{other}'")))
                }
                None => self.spawn(name.to_owned(), given),
            },
        }
    }

    fn existing(&self, agent: &Worker, cause: String) -> Result<Choice, (&'static str, String)> {
        let rest = if self.running.contains(&agent.name) { None } else { self.room()? };
        Ok(Choice { agent: agent.name.clone(), new: false, rest, cause })
    }

    fn spawn(&self, agent: String, cause: String) -> Result<Choice, (&'static str, String)> {
        let rest = self.room()?;
        Ok(Choice { agent, new: true, rest, cause })
    }

    /// A place for one more running agent: a free one, or the agent that makes room.
    fn room(&self) -> Result<Option<String>, (&'static str, String)> {
        if self.running.len() < self.board.most_agents {
            return Ok(None);
        }
        let idle = self.agents.values().filter(|agent| agent.ours && agent.running);
        let idle = idle.filter(|agent| self.running.contains(&agent.name) && self.is_free(agent));
        let least = idle.min_by_key(|agent| {
            let open = self.open.get(&agent.group).copied().unwrap_or(0);
            (agent.kept_for.is_none() && open > 0, &agent.name)
        });
        match least {
            Some(agent) => Ok(Some(agent.name.clone())),
            None => {
                let most = self.board.most_agents;
                Err(("NoAgent", format!("{most} agents is the limit, and all of them are taken")))
            }
        }
    }

    /// A name nobody has, made from what the group is called.
    fn new_name(&self, group: &Group) -> String {
        let called = group.workstream.as_deref().or(group.role.as_deref()).unwrap_or("agent");
        let mut base: String = called
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
            .take(50)
            .collect();
        base = base.trim_matches('-').to_owned();
        if !base.starts_with(|c: char| c.is_ascii_lowercase()) || base.len() < 2 {
            base = format!("agent-{base}").trim_end_matches('-').to_owned();
        }
        let is_taken = |name: &str| {
            let pinned = |task: &Item| task.pinned.as_deref() == Some(name);
            self.agents.contains_key(name)
                || self.taken.contains_key(name)
                || self.board.tasks.iter().any(pinned)
        };
        let mut name = base.clone();
        let mut number = 1;
        while is_taken(&name) {
            number += 1;
            name = format!("{base}-{number}");
        }
        name
    }
}

struct Choice {
    agent: String,
    new: bool,
    /// The agent that makes room.
    rest: Option<String>,
    cause: String,
}

fn group_text(group: &Group) -> String {
    match (&group.role, &group.workstream) {
        (None, None) => "without role and workstream".to_owned(),
        (Some(role), None) => format!("of the role '{role}'"),
        (None, Some(workstream)) => format!("of the workstream '{workstream}'"),
        (Some(role), Some(workstream)) => format!("of the role '{role}' and the workstream '{workstream}'"),
    }
}

fn tasks_text(count: usize) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}
