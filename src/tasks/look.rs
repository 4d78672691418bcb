//! How tasks are, told from files and store alone. Nothing is changed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::board::What;
use super::file::Folder;
use super::hand::{at_once, board};
use super::kind::{META, State, World};
use super::memory::{Memory, Project, Wish};
use super::ports::Roles;
use super::report;
use super::schedule::schedule;
use super::sheet::sheet;
use crate::model::{AgentSettings, ProjectPhase, ProjectStatus, TaskState, TaskStatus, Time};
use crate::store::{Store, StoreError};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// The project's directory.
    pub root: &'a Path,
    /// The configuration.
    pub settings: &'a AgentSettings,
    /// The roles there are, where they can be told.
    pub roles: Option<&'a Roles>,
    /// What controllers remembered, where there ever was one.
    pub store: Option<&'a Store>,
}

/// How tasks are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The tasks by id.
    pub tasks: BTreeMap<String, Arc<TaskStatus>>,
    /// The whole.
    pub work: ProjectStatus,
}

/// Whether a controller is to hand out tasks.
///
/// # Errors
///
/// The store failed.
pub fn is_under_way(store: &Store) -> Result<bool, StoreError> {
    Ok(project(store)?.wish == Wish::Run)
}

fn project(store: &Store) -> Result<Project, StoreError> {
    Ok(store.meta(META)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Looks.
///
/// # Errors
///
/// The store failed.
pub fn look(looked: Looked<'_>, now: Time) -> Result<Sight, StoreError> {
    let found = Folder::new(looked.root.to_owned()).scan(&looked.settings.tasks_dir);
    let mut state = State::default();
    if let Some(store) = looked.store {
        let read = |(id, text): (String, String)| Some((id, serde_json::from_str::<Memory>(&text).ok()?));
        state.tasks = store.task_memories()?.into_iter().filter_map(read).collect();
        state.project = project(store)?;
    }
    let sheet = Arc::new(sheet(&found, looked.roles));
    let memories = std::mem::take(&mut state.tasks);
    for task in &sheet.tasks {
        let id = &task.front.id;
        // What people did to a file since counts.
        let known = memories.get(id).filter(|memory| memory.says(&task.front)).cloned();
        state.tasks.insert(id.clone(), known.unwrap_or_else(|| Memory::first(&task.front)));
    }
    let roles = looked.roles.map(at_once).unwrap_or_default();
    let world = World { sheet, roles, partial: found.partial, agents: None, unready: Vec::new() };
    let decisions = schedule(&board(&state, &world, looked.settings, now));
    let mut by_task = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| !matches!(decision.what, What::Remove { .. })) {
        by_task.insert(decision.task, decision);
    }
    let complete = |id: &str| state.tasks.get(id).is_some_and(|memory| memory.state == TaskState::Complete);
    let tasks: BTreeMap<String, TaskStatus> = (0..world.sheet.tasks.len())
        .map(|index| {
            let id = world.sheet.tasks[index].front.id.clone();
            let decision = by_task.get(&index).copied();
            (id.clone(), report::status(&world.sheet, index, state.tasks.get(&id), decision, complete))
        })
        .collect();
    let (phase, message) = match state.project.wish {
        Wish::None => (ProjectPhase::Idle, String::new()),
        Wish::Stop => (ProjectPhase::Stopped, "`tanuki project resume` goes on".to_owned()),
        Wish::Done => (ProjectPhase::Finished, String::new()),
        Wish::Run => {
            (ProjectPhase::Running, "no controller runs; `tanuki project resume` goes on".to_owned())
        }
    };
    let work = ProjectStatus {
        phase,
        projects: state.project.projects.iter().cloned().collect(),
        merge: state.project.merge,
        target: state.project.target.clone(),
        message,
        counts: report::counts(tasks.values()),
        problems: world.sheet.problems.clone(),
        conflicts: state.project.conflicts.clone(),
    };
    let tasks = tasks.into_iter().map(|(id, task)| (id, Arc::new(task))).collect();
    Ok(Sight { tasks, work })
}
