//! What the scheduler sees and says: plain data.

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
    /// It is busy with something that is no task.
    pub busy: bool,
    /// Tanuki made it for its tasks, and may give it to others or remove it.
    pub ours: bool,
    /// All its work is merged: nothing is lost with it.
    pub merged: bool,
    /// What it is kept for.
    pub kept: Option<Kept>,
}

/// A task an agent is kept for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Index of the task.
    pub task: usize,
    /// What was done may stay where it is: it only waits for a person's word.
    pub sound: bool,
}

/// Everything a decision rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Board {
    /// The tasks.
    pub tasks: Vec<Item>,
    /// The agents.
    pub agents: Vec<Worker>,
    /// Most agents.
    pub most_agents: usize,
    /// Most tasks that are worked on at once.
    pub most_working: usize,
    /// Names that no new agent may have.
    pub taken: BTreeSet<String>,
    /// How many tasks of a workstream may be worked on at once; one where it is not named.
    pub chains: BTreeMap<String, usize>,
    /// How many tasks of a role may be worked on at once; any number where it is not named.
    pub roles: BTreeMap<String, usize>,
}

/// What to do about a task or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Give the task to an agent that is there.
    Claim {
        /// The agent.
        agent: String,
        /// What it did for another task is put aside first.
        reset: bool,
    },
    /// Make an agent and give the task to it.
    Spawn {
        /// Its name.
        agent: String,
    },
    /// Let the agent that has it go on.
    Resume,
    /// Remove an agent that has nothing to do and whose work is merged.
    Remove {
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
