//! A project of Tanuki's, in a directory and with a home of its own, gone when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::Result;
use crate::process::{is_alive, kill};
use crate::tools::{POSTGRES, REDIS, Tools, output, timed};

/// Postgres and redis as the templates have them, on the test images.
pub(crate) fn postgres_and_redis() -> String {
    format!("services:\n  postgres:\n    image: {POSTGRES}\n  redis:\n    image: {REDIS}\n")
}

/// A project.
pub(crate) struct Project {
    directory: TempDir,
    tanuki: PathBuf,
    /// The engine's socket, where it is not the usual one.
    engine: Option<PathBuf>,
}

impl Project {
    /// A project with this `tanuki.yaml`, on the usual engine or through this socket.
    pub(crate) fn new(tools: &Tools, yaml: &str, engine: Option<&Path>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let project = Self { directory, tanuki: tools.tanuki.clone(), engine: engine.map(Into::into) };
        std::fs::create_dir(project.root())?;
        std::fs::write(project.root().join("tanuki.yaml"), yaml)?;
        timed(&mut project.git(&["init", "--quiet", "--initial-branch", "main"]))?;
        Ok(project)
    }

    /// Its directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// A directory beside it, for what is compared with it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command line of git in this project, without the configuration of whoever measures.
    pub(crate) fn git(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.root());
        command.env("HOME", self.directory.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env_remove("XDG_CONFIG_HOME");
        command
    }

    /// A command line of `tanuki` in this project.
    pub(crate) fn tanuki(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.tanuki);
        command.args(arguments).current_dir(self.root());
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.directory.path()).env("TANUKI_RUNTIME", "docker");
        if let Some(socket) = &self.engine {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        command
    }

    /// The same through another socket of the engine.
    pub(crate) fn through(&self, engine: &Path, arguments: &[&str]) -> Command {
        let mut command = self.tanuki(arguments);
        command.env("DOCKER_HOST", format!("unix://{}", engine.display()));
        command
    }

    /// Runs it; how long that took, in seconds.
    pub(crate) fn timed(&self, arguments: &[&str]) -> Result<f64> {
        timed(&mut self.tanuki(arguments))
    }

    /// Runs it; what it prints.
    pub(crate) fn says(&self, arguments: &[&str]) -> Result<String> {
        output(&mut self.tanuki(arguments))
    }

    /// What `service status` tells.
    pub(crate) fn status(&self) -> Result<Value> {
        let output = self.tanuki(&["service", "status", "-o", "json"]).output()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The controller's process.
    pub(crate) fn controller(&self) -> Result<i32> {
        let status = self.status()?;
        let pid = status["controller"]["pid"].as_i64().ok_or("no controller runs")?;
        Ok(i32::try_from(pid)?)
    }

    /// Ends the controller, which would wait a minute for the next command. What it watches over goes on.
    pub(crate) fn end_controller(&self) -> Result {
        end(self.controller()?)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let controller = self.controller();
        if let Err(error) = self.timed(&["down", "--volumes", "--yes"]) {
            eprintln!("bench: cannot clean up: {error}");
        }
        // Where none runs there is none to end.
        drop(controller.and_then(end));
    }
}

fn end(controller: i32) -> Result {
    kill(controller, Signal::TERM)?;
    for _ in 0..500 {
        if !is_alive(controller) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("the controller (pid {controller}) does not end").into())
}
