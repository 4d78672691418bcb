//! Who works on what next. Pure: plain data in, decisions with their causes out.
//!
//! # Guarantees
//!
//! * A task is given away only when everything it depends on is complete, and to one agent only.
//! * Never more working tasks than places, never more tasks of a workstream than its chains, never more of a role than
//!   it may have, never more agents than allowed.
//! * What is ready goes by priority, then by id; a task is passed over only for a reason of its own, and told so.
//! * What can never start is blocked at once, with the task it is blocked by.
//! * An agent only gets tasks of its own role and workstream, unless a person gave them to it; one whose task is not
//!   settled (failed, in review, returned) is kept for that task, so that no other builds on what may be thrown away.
//! * Only where every place for an agent is taken, a ready task gets an idle agent of its role whatever that is kept
//!   for, or an idle agent makes room whose work is merged.

use std::collections::{BTreeMap, BTreeSet};

pub use super::board::{Board, Decision, Group, Item, Kept, Stand, What, Worker};

/// Decides. One decision per task that is open or waits to go on, preceded by the agents that make room for it.
pub fn schedule(board: &Board) -> Vec<Decision> {
    let mut round = Round::new(board);
    let blocked = blocked(&board.tasks);
    let mut candidates: Vec<usize> = Vec::new();
    for (index, task) in board.tasks.iter().enumerate() {
        match (&task.stand, &blocked[index]) {
            (Stand::Open, Some(cause)) => {
                round.decide(index, What::Block, cause.reason, cause.message.clone());
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

/// Whether nothing is left that could be done without a person: no task is under way, and none of `decisions` begins
/// one or may do so by itself later.
pub fn is_finished(board: &Board, decisions: &[Decision]) -> bool {
    let under_way = |task: &Item| matches!(task.stand, Stand::Working { .. } | Stand::Resting { .. });
    let busy = board.agents.iter().any(|agent| agent.busy);
    !board.tasks.iter().any(under_way)
        && decisions.iter().all(|decision| match decision.what {
            What::Block => true,
            // Without cycles, and with nothing under way, what waits for another one waits for a person in the end.
            What::Wait => match decision.reason {
                "WaitsForDependency" | "WaitsForReview" => true,
                "NoAgent" => !busy,
                _ => false,
            },
            _ => false,
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
    /// Agents that are there, or will be.
    there: BTreeSet<String>,
    working: usize,
    /// Tasks under way by workstream.
    chains: BTreeMap<&'b str, Vec<usize>>,
    /// How many tasks are under way of each role.
    roles: BTreeMap<&'b str, usize>,
    /// How many open tasks each group has.
    open: BTreeMap<&'b Group, usize>,
    /// Agents that make room.
    gone: BTreeSet<String>,
    decisions: Vec<Decision>,
}

impl<'b> Round<'b> {
    fn new(board: &'b Board) -> Self {
        let agents: BTreeMap<&str, &Worker> =
            board.agents.iter().map(|agent| (agent.name.as_str(), agent)).collect();
        let mut round = Self {
            board,
            taken: BTreeMap::new(),
            there: board.agents.iter().map(|agent| agent.name.clone()).collect(),
            working: board.agents.iter().filter(|agent| agent.busy).count(),
            chains: BTreeMap::new(),
            roles: BTreeMap::new(),
            open: BTreeMap::new(),
            gone: BTreeSet::new(),
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
        self.there.insert(agent.to_owned());
        let Group { role, workstream } = &self.board.tasks[index].group;
        if let Some(workstream) = workstream {
            self.chains.entry(workstream).or_default().push(index);
        }
        if let Some(role) = role {
            *self.roles.entry(role).or_default() += 1;
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
        if let Some((reason, cause)) = self.chain_is_full(task).or_else(|| self.role_is_full(task)) {
            return self.decide(index, What::Wait, reason, cause);
        }
        match self.choose(task) {
            Err((reason, cause)) => self.decide(index, What::Wait, reason, cause),
            Ok(Choice { agent, how, cause }) => {
                if let How::Instead(removed) = &how {
                    self.there.remove(removed);
                    self.gone.insert(removed.clone());
                    let why = format!("its work is merged, and '{}' needs a place for an agent", task.id);
                    self.decide(index, What::Remove { agent: removed.clone() }, "MakesRoom", why);
                }
                self.working += 1;
                *self.open.entry(&task.group).or_insert(1) -= 1;
                self.take(index, &agent);
                let what = match how {
                    How::There { reset } => What::Claim { agent, reset },
                    How::New | How::Instead(_) => What::Spawn { agent },
                };
                self.decide(index, what, "Ready", format!("{} and ready; {cause}", task.priority));
            }
        }
    }

    fn waiting_for(&self, task: &Item) -> Option<Why> {
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

    fn chain_is_full(&self, task: &Item) -> Option<Why> {
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

    fn role_is_full(&self, task: &Item) -> Option<Why> {
        let role = task.group.role.as_deref()?;
        let most = *self.board.roles.get(role)?;
        let full = self.roles.get(role).is_some_and(|busy| *busy >= most.max(1));
        full.then(|| {
            let cause =
                format!("of the role '{role}' no more than {} at once may be worked on", tasks_text(most));
            ("RoleBusy", cause)
        })
    }

    fn is_free(&self, agent: &Worker) -> bool {
        agent.usable
            && !agent.busy
            && !self.taken.contains_key(&agent.name)
            && !self.gone.contains(&agent.name)
    }

    fn free(&self) -> impl Iterator<Item = &'b Worker> {
        self.agents.values().copied().filter(|agent| self.is_free(agent))
    }

    fn is(&self, index: usize, task: &Item) -> bool {
        self.board.tasks.get(index).is_some_and(|other| other.id == task.id)
    }

    fn choose(&self, task: &Item) -> Result<Choice, Why> {
        if let Some(name) = &task.pinned {
            return self.pinned(task, name);
        }
        let began = |agent: &Worker| agent.kept.as_ref().is_some_and(|kept| self.is(kept.task, task));
        if let Some(agent) = self.free().find(|agent| began(agent)) {
            return Ok(Choice::there(agent, false, format!("'{}' began it", agent.name)));
        }
        let did = |agent: &Worker| {
            let mut done = task.dependencies.iter().map(|dependency| &self.board.tasks[*dependency]);
            done.any(|dependency| dependency.last.as_ref() == Some(&agent.name))
        };
        let fit = self.free().filter(|agent| agent.group == task.group && agent.kept.is_none());
        if let Some(agent) = fit.min_by_key(|agent| (!did(agent), &agent.name)) {
            let why = if did(agent) { "did what it depends on" } else { "is free" };
            return Ok(Choice::there(agent, false, format!("'{}' {why}", agent.name)));
        }
        let cause = format!("no agent {} is free", group_text(&task.group));
        if self.there.len() < self.board.most_agents {
            return Ok(Choice { agent: self.new_name(&task.group), how: How::New, cause });
        }
        let no_room = format!("{cause}, and there are as many agents as may be{}", self.away());
        // One of the same role goes on with something else; one that is in the middle of something last.
        let same_role = self.free().filter(|agent| agent.ours && agent.group.role == task.group.role);
        let unsound = |agent: &Worker| agent.kept.as_ref().is_some_and(|kept| !kept.sound);
        let open = |agent: &Worker| self.open.get(&agent.group).copied().unwrap_or(0) > 0;
        let least =
            same_role.min_by_key(|agent| (unsound(agent), agent.kept.is_some(), open(agent), &agent.name));
        if let Some(agent) = least {
            return Ok(Choice::there(agent, unsound(agent), no_room));
        }
        self.instead(self.new_name(&task.group), &no_room)
    }

    /// Agents that have a place and cannot work, for people.
    fn away(&self) -> String {
        let away: Vec<String> = self
            .agents
            .values()
            .filter(|agent| !agent.usable && !self.taken.contains_key(&agent.name))
            .map(|agent| format!("'{}'", agent.name))
            .collect();
        match away.as_slice() {
            [] => String::new(),
            away => format!(", with {} that cannot work now", away.join(", ")),
        }
    }

    /// A new agent in the place of one that may go.
    fn instead(&self, agent: String, cause: &str) -> Result<Choice, Why> {
        let may_go = self.free().filter(|agent| agent.ours && agent.merged && agent.kept.is_none());
        let open = |agent: &Worker| self.open.get(&agent.group).copied().unwrap_or(0) > 0;
        match may_go.min_by_key(|agent| (open(agent), &agent.name)) {
            Some(removed) => {
                Ok(Choice { agent, how: How::Instead(removed.name.clone()), cause: cause.to_owned() })
            }
            None => {
                let help = "merge and remove one, or raise `limits.agents`";
                Err(("NoAgent", format!("{cause} ({}); {help}", self.board.most_agents)))
            }
        }
    }

    fn pinned(&self, task: &Item, name: &str) -> Result<Choice, Why> {
        let given = format!("it was given to '{name}'");
        if let Some(other) = self.taken.get(name) {
            let other = &self.board.tasks[*other].id;
            return Err(("AgentBusy", format!("{given}, which works on '{other}'")));
        }
        match self.agents.get(name) {
            Some(agent) if self.is_free(agent) => {
                let unsound = |kept: &Kept| !kept.sound && !self.is(kept.task, task);
                Ok(Choice::there(agent, agent.kept.as_ref().is_some_and(unsound), given))
            }
            Some(agent) if agent.busy => Err(("AgentBusy", format!("{given}, which is busy"))),
            Some(_) => Err(("AgentAway", format!("{given}, which cannot work now"))),
            None if self.there.len() < self.board.most_agents => {
                Ok(Choice { agent: name.to_owned(), how: How::New, cause: given })
            }
            None => {
                let no_room = format!("{given}, and there are as many agents as may be{}", self.away());
                self.instead(name.to_owned(), &no_room)
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
            self.board.taken.contains(name)
                || self.agents.contains_key(name)
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

/// Why a task is passed over.
type Why = (&'static str, String);

struct Choice {
    agent: String,
    how: How,
    cause: String,
}

enum How {
    There {
        reset: bool,
    },
    New,
    /// In the place of this one.
    Instead(String),
}

impl Choice {
    fn there(agent: &Worker, reset: bool, cause: String) -> Self {
        Self { agent: agent.name.clone(), how: How::There { reset }, cause }
    }
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
