//! From the death of a service until it runs again, against the engine's own `restart: always`.

use std::time::Duration;

use crate::Result;
use crate::project::Project;
use crate::table::Row;
use crate::tools::{REDIS, Tools, kill_and_await, timed};

const NAME: &str = "tanuki-bench-redis";
/// Between the start of a service and its death, so that neither side is still busy with the start.
const SETTLE: Duration = Duration::from_secs(1);

/// A container that the engine itself starts again, on a network and with a port as ours is.
struct Restarting<'a>(&'a Tools);

impl<'a> Restarting<'a> {
    fn start(tools: &'a Tools) -> Result<Self> {
        timed(&mut tools.docker(&["network", "create", NAME]))?;
        let started = Self(tools);
        let mut run = tools.docker(&["run", "--detach", "--restart", "always", "--name", NAME]);
        timed(run.args(["--network", NAME, "--publish", "127.0.0.1::6379", REDIS]))?;
        Ok(started)
    }
}

impl Drop for Restarting<'_> {
    fn drop(&mut self) {
        for arguments in [["rm", "--force", "--volumes", NAME].as_slice(), &["network", "rm", NAME]] {
            if let Err(error) = timed(&mut self.0.docker(arguments)) {
                eprintln!("bench: cannot clean up: {error}");
            }
        }
    }
}

/// Kills redis in turn under both. Each death is the first one in a row: further ones wait longer on both sides.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..tools.rounds {
        {
            let project = Project::new(tools, &format!("services:\n  redis:\n    image: {REDIS}\n"), None)?;
            project.timed(&["service", "start"])?;
            let status = project.status()?;
            let container = status["services"]["redis"]["container"].as_str().ok_or("no container")?;
            std::thread::sleep(SETTLE);
            ours.push(kill_and_await(container)?);
        }
        {
            let _container = Restarting::start(tools)?;
            std::thread::sleep(SETTLE);
            theirs.push(kill_and_await(NAME)?);
        }
    }
    Ok(vec![Row::ratio("death of redis until it runs again", &ours, "`restart: always`", &theirs, 1.5)])
}
