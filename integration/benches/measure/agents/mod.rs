//! Agents: what it costs to make them, to run them, to list them and to read what they say.

mod history;
mod list;
mod logs;
mod repository;
mod run;
mod spawn;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::project::Project;
use crate::tools::{PLAIN, Tools, inspect, timed};
use crate::{Group, Result};
use repository::Import;

/// Quick ones first.
pub(crate) const GROUP: Group = Group {
    name: "agents",
    measurements: &[
        ("run", run::measure),
        ("spawn", spawn::measure),
        ("logs", logs::measure),
        ("list", list::measure),
        ("history", history::measure),
    ],
};

/// Prints when it is printed, in nanoseconds since 1970.
const NOW: &str = "date +%s%N";

/// A project whose agents run their prompts as scripts, with one more commit of so many small files.
fn project(tools: &Tools, files: usize, before: impl FnOnce(&mut Import) -> Result) -> Result<Project> {
    let yaml = format!(
        "defaults: {{ agent: shell, image: '{PLAIN}' }}\n\
         limits: {{ agents: 64, working: 64, free_memory: 0 }}\n\
         adapters:\n  shell: {{ kind: command, run: [sh, -c, '{{prompt}}'] }}\n"
    );
    let project = Project::new(tools, &yaml, None)?;
    for (key, value) in [("user.name", "A Person"), ("user.email", "person@example.org")] {
        timed(&mut project.git(&["config", key, value]))?;
    }
    let mut import = Import::begin(&project)?;
    before(&mut import)?;
    import.small_files(files)?;
    import.end()?;
    timed(&mut project.git(&["reset", "--quiet", "--hard"]))?;
    // Its controller and its network are there before anything is measured.
    project.timed(&["spawn", "first"])?;
    Ok(project)
}

/// Where an agent lives on the engine.
struct Home {
    container: String,
    user: String,
}

impl Home {
    fn of(project: &Project, agent: &str) -> Result<Self> {
        let listed: Value = serde_json::from_str(&project.says(&["list", "-o", "json"])?)?;
        let agents = listed.as_array().ok_or("no list of agents")?;
        let found = agents.iter().find(|found| found["name"] == agent).ok_or("no such agent")?;
        let container = found["container"].as_str().ok_or("no container")?.to_owned();
        let inspected = inspect(&container)?;
        let user = inspected["Config"]["User"].as_str().ok_or("no user")?.to_owned();
        Ok(Self { container, user })
    }

    /// The engine's client running something there as the agent.
    fn exec(&self, tools: &Tools, words: &[&str]) -> Command {
        let options = ["exec", "--user", &self.user, "--workdir", "/workspace", &self.container];
        let mut command = tools.docker(&options);
        command.args(words);
        command
    }
}

/// Seconds from then until what a line of [`NOW`] says; nothing where it is another line.
fn since(then: SystemTime, line: &str) -> Option<f64> {
    let told: u64 =
        line.trim().parse().ok().filter(|nanoseconds| *nanoseconds > 1_000_000_000_000_000_000)?;
    let told = UNIX_EPOCH + Duration::from_nanos(told);
    Some(told.duration_since(then).ok()?.as_secs_f64())
}

/// A container that goes when this does.
struct Container<'a> {
    tools: &'a Tools,
    name: String,
}

impl<'a> Container<'a> {
    fn new(tools: &'a Tools, name: impl Into<String>) -> Self {
        Self { tools, name: name.into() }
    }

    /// Starts it; this workspace is where an agent's would be.
    fn run(&self, workspace: Option<&Path>, words: &[&str]) -> Command {
        let mut command = self.tools.docker(&["run", "--detach", "--init", "--name", &self.name]);
        if let Some(workspace) = workspace {
            command.arg("--volume").arg(format!("{}:/workspace", workspace.display()));
            command.args(["--workdir", "/workspace"]);
        }
        command.arg(PLAIN).args(words);
        command
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = timed(&mut self.tools.docker(&["rm", "--force", "--volumes", &self.name])) {
            eprintln!("bench: cannot clean up: {error}");
        }
    }
}
