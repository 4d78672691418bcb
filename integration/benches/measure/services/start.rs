//! `service start` and `service status` against Compose and the engine's client.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::project::{Project, postgres_and_redis};
use crate::table::Row;
use crate::tools::{POSTGRES, REDIS, Tools, timed};

/// How often a quick command is measured in each round.
const AGAIN: usize = 4;

/// The same services for Compose. Its probe of postgres asks over TCP: over the socket it would be content with the
/// server that only initialises the data.
fn compose_file() -> String {
    format!(
        r#"services:
  postgres:
    image: {POSTGRES}
    environment: {{ POSTGRES_USER: tanuki, POSTGRES_PASSWORD: tanuki, POSTGRES_DB: tanuki_dev }}
    volumes: ["postgres:/var/lib/postgresql/data"]
    ports: ["127.0.0.1::5432"]
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "tanuki", "-d", "tanuki_dev"]
      interval: 500ms
      timeout: 3s
      retries: 100
  redis:
    image: {REDIS}
    volumes: ["redis:/data"]
    ports: ["127.0.0.1::6379"]
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 500ms
      timeout: 3s
      retries: 100
volumes: {{ postgres: , redis: }}
"#
    )
}

/// A Compose project, gone when dropped.
struct Compose<'a> {
    tools: &'a Tools,
    file: &'a Path,
    name: String,
}

impl Compose<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.tools.docker(&["compose", "--project-name", &self.name, "--file"]);
        command.arg(self.file).args(arguments);
        command
    }
}

impl Drop for Compose<'_> {
    fn drop(&mut self) {
        if let Err(error) = timed(&mut self.command(&["down", "--volumes", "--timeout", "5"])) {
            eprintln!("bench: cannot clean up: {error}");
        }
    }
}

/// Starts anew and again, and asks for the status, in turn.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("compose.yaml");
    std::fs::write(&file, compose_file())?;
    let (mut fresh, mut fresh_compose) = (Vec::new(), Vec::new());
    let (mut again, mut again_compose) = (Vec::new(), Vec::new());
    let (mut status, mut ps, mut ps_compose) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..tools.rounds {
        // One after the other, never side by side: nothing of the one runs while the other starts.
        {
            let project = Project::new(tools, &postgres_and_redis(), None)?;
            fresh.push(project.timed(&["service", "start"])?);
        }
        {
            let compose = Compose { tools, file: &file, name: format!("tanuki-bench-{round}") };
            fresh_compose.push(timed(&mut compose.command(&["up", "--detach", "--wait"]))?);
        }
    }
    let project = Project::new(tools, &postgres_and_redis(), None)?;
    project.timed(&["service", "start"])?;
    let compose = Compose { tools, file: &file, name: "tanuki-bench".to_owned() };
    timed(&mut compose.command(&["up", "--detach", "--wait"]))?;
    for _ in 0..tools.rounds * AGAIN {
        again.push(project.timed(&["service", "start"])?);
        again_compose.push(timed(&mut compose.command(&["up", "--detach", "--wait"]))?);
        status.push(project.timed(&["service", "status"])?);
        ps.push(timed(&mut tools.docker(&["ps"]))?);
        ps_compose.push(timed(&mut compose.command(&["ps"]))?);
    }
    let up = "`docker compose up -d --wait`";
    Ok(vec![
        Row::ratio(
            "`service start` of fresh postgres and redis until healthy, controller included",
            &fresh,
            up,
            &fresh_compose,
            0.8,
        ),
        Row::ratio("the same when already running", &again, up, &again_compose, 0.3),
        Row::ratio("`service status`", &status, "`docker ps`", &ps, 1.5),
        Row::ratio("`service status`", &status, "`docker compose ps`", &ps_compose, 0.2),
    ])
}
