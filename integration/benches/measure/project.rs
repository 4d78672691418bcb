//! A project of Tanuki's, in a directory and with a home of its own, gone when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::Result;
use crate::tools::{POSTGRES, REDIS, Tools, is_alive, kill, timed};

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
        timed(Command::new("git").args(["init", "--quiet"]).current_dir(project.root()))?;
        Ok(project)
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("project")
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

    /// Runs it; how long that took, in seconds.
    pub(crate) fn timed(&self, arguments: &[&str]) -> Result<f64> {
        timed(&mut self.tanuki(arguments))
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
}

impl Drop for Project {
    fn drop(&mut self) {
        let controller = self.controller();
        if let Err(error) = self.timed(&["down", "--volumes", "--yes"]) {
            eprintln!("bench: cannot clean up: {error}");
        }
        // It would wait a minute for the next command.
        if let Ok(pid) = controller
            && kill(pid, Signal::TERM).is_ok()
        {
            for _ in 0..100 {
                if !is_alive(pid) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
