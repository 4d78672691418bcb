//! All tasks of a project as their files have them, each id once, with everything that is wrong. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::{Found, TaskFile};
use super::graph::{self, Node};
use super::ports::Roles;
use crate::model::FileProblem;

/// Tasks by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// The tasks, in the order of their files.
    pub tasks: Vec<Arc<TaskFile>>,
    /// Indices by id.
    pub by_id: BTreeMap<String, usize>,
    /// For each task, the tasks it depends on that there are.
    pub dependencies: Vec<Vec<usize>>,
    /// For each task, why it cannot be worked on as it is written.
    pub flaws: Vec<Option<String>>,
    /// What is wrong, by file and line.
    pub problems: Vec<FileProblem>,
}

/// Puts together what was found. Unknown roles are only told where the known ones are.
pub fn sheet(found: &Found, roles: Option<&Roles>) -> Sheet {
    let all = &found.tasks;
    let nodes: Vec<Node<'_>> = all
        .iter()
        .map(|task| Node { id: &task.front.id, file: &task.file, depends_on: &task.front.depends_on })
        .collect();
    let graph = graph::graph(&nodes);
    let mut flaws: Vec<Option<String>> = all.iter().map(|task| task.flawed.clone()).collect();
    let mut problems = found.problems.clone();
    let mut tell = |index: usize, key: &str, message: String, help: String| {
        let task = &all[index];
        let line = task.lines.get(key).copied();
        flaws[index].get_or_insert_with(|| message.clone());
        problems.push(FileProblem { file: task.file.clone(), line, message, help });
    };
    for tangle in graph.tangles {
        tell(tangle.task, tangle.key, tangle.message, tangle.help);
    }
    for (index, task) in all.iter().enumerate() {
        if let (Some(roles), Some(role)) = (roles, &task.front.role)
            && !roles.contains_key(role)
        {
            let known: Vec<&str> = roles.keys().map(String::as_str).collect();
            let help = format!("use one of {}, or make it with `tanuki role create`", known.join(", "));
            tell(index, "role", format!("there is no role '{role}'"), help);
        }
    }
    problems.sort_by(|a, b| (&a.file, a.line, &a.message).cmp(&(&b.file, b.line, &b.message)));
    // Of a double id only the first counts.
    let kept: Vec<usize> =
        (0..all.len()).filter(|index| graph.by_id.get(&all[*index].front.id) == Some(index)).collect();
    let new_index: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let dependencies = kept
        .iter()
        .map(|old| graph.dependencies[*old].iter().filter_map(|to| new_index.get(to).copied()).collect())
        .collect();
    Sheet {
        tasks: kept.iter().map(|old| Arc::clone(&all[*old])).collect(),
        by_id: kept.iter().enumerate().map(|(new, old)| (all[*old].front.id.clone(), new)).collect(),
        dependencies,
        flaws: kept.iter().map(|old| flaws[*old].clone()).collect(),
        problems,
    }
}

impl Sheet {
    /// The task of an id.
    pub fn task(&self, id: &str) -> Option<&Arc<TaskFile>> {
        self.by_id.get(id).and_then(|index| self.tasks.get(*index))
    }
}
