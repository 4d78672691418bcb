//! Projects whose agents are at work.
//!
//! They belong to an ordinary user, where the engine has one, as projects do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::command::Outcome;
use crate::engines::Engine;
use crate::project::{self, Project};

/// An image with agent CLIs, built by `integration/images.sh`.
pub const AGENT_IMAGE: &str = "tanuki-test/agent:1";

/// What an agent of the tests can be: `shell` runs its prompt as a script, the others are real.
const ADAPTERS: &str = "\
adapters:
  shell: { kind: command, run: [sh, -c, '{prompt}'] }
";

/// How often the world is looked at while something is waited for.
const POLL: Duration = Duration::from_millis(100);

impl Project {
    /// A repository with one commit of these files, and agents that run their prompts as scripts unless another
    /// adapter is asked for. `config` is the rest of `tanuki.yaml`.
    pub async fn with_agents(engine: Engine, config: &str, files: &[(&str, &str)]) -> Self {
        let owner = engine.user().unwrap_or_else(|error| panic!("{error}"));
        let project = Self::owned_by(engine, owner).await;
        // Rootful Podman runs no agent CLIs here.
        let image = if engine == Engine::Podman { crate::engines::PLAIN_IMAGE } else { AGENT_IMAGE };
        let defaults = format!("defaults: {{ agent: shell, model: stand-in, image: '{image}' }}\n");
        for (key, value) in [("user.name", "A Person"), ("user.email", "person@example.org")] {
            let _set = project.git(&["config", key, value]).await.ok();
        }
        let _made = project.tanuki(&["init"]).await.ok();
        project.configure(&format!("{defaults}{ADAPTERS}{config}"));
        for (path, text) in files {
            project.write(path, text);
        }
        project.commit("begin").await;
        project
    }

    /// Writes a file of the project, as its owner.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        let parents = path.ancestors().skip(1).take_while(|parent| !parent.exists());
        let parents: Vec<&Path> = parents.collect();
        let written = parents.iter().rev().try_for_each(|parent| {
            std::fs::create_dir(parent)?;
            project::give(parent, self.owner)
        });
        let written = written.and_then(|()| std::fs::write(&path, text));
        let written = written.and_then(|()| project::give(&path, self.owner));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Commits everything that git does not ignore.
    pub async fn commit(&self, message: &str) {
        let _added = self.git(&["add", "--all"]).await.ok();
        let _made = self.git(&["commit", "--quiet", "--message", message]).await.ok();
    }

    /// What git prints, without the white space around it.
    pub async fn git_says(&self, args: &[&str]) -> String {
        self.git(args).await.ok().stdout.trim().to_owned()
    }

    /// Makes an agent.
    pub async fn spawn(&self, name: &str) -> Outcome {
        self.tanuki(&["spawn", name]).await.ok()
    }

    /// Runs a shell line in an agent's container, as a user would.
    #[track_caller]
    pub fn inside(&self, agent: &str, line: &str) -> impl Future<Output = Outcome> + use<> {
        self.tanuki(&["attach", agent, "--", "sh", "-c", line])
    }

    /// Waits until an agent finds a service by its name.
    ///
    /// The name server of Podman 4 sometimes ends by itself, and is started again with the next container that comes
    /// to any network: after a while one is made to come.
    pub async fn until_named(&self, agent: &str, host: &str) {
        let deadline = Instant::now() + Duration::from_secs(150);
        for tries in 1.. {
            let began = Instant::now();
            let found = self.inside(agent, &format!("getent hosts {host}")).await;
            if found.code == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{agent} does not find {host}: {found}");
            let slow = began.elapsed() > Duration::from_secs(5);
            if self.engine != Engine::Docker && (slow || tries % 5 == 0) {
                let network = self.objects().await.networks[0].name.clone();
                let image = format!("localhost/{}", crate::engines::PLAIN_IMAGE);
                let label = self.foreign_label();
                let args = ["run", "--rm", "--label", &label, "--network", &network, &image, "true"];
                let _came = self.engine_cli(&args).await;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// The variables of a process in an agent's container.
    pub async fn environment(&self, agent: &str) -> BTreeMap<String, String> {
        let shown = self.inside(agent, "env").await.ok().stdout;
        let pairs = shown.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// One agent, as programs read it; null when there is none.
    pub async fn agent(&self, name: &str) -> Value {
        let listed = self.tanuki(&["list", "-o", "json"]).await.ok().json();
        let agents = listed.as_array().cloned().unwrap_or_default();
        agents.into_iter().find(|agent| agent["name"] == name).unwrap_or_default()
    }

    /// Waits until an agent is as it should be, and returns it.
    pub async fn until_agent(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + limit;
        loop {
            let agent = self.agent(name).await;
            if is(&agent) {
                return agent;
            }
            assert!(Instant::now() < deadline, "{name} is not {what} within {limit:?}: {agent:#}");
            sleep(POLL).await;
        }
    }

    /// The runs so far, oldest first, as programs read them.
    pub async fn runs(&self) -> Vec<Value> {
        let shown = self.tanuki(&["runs", "-o", "json"]).await.ok().json();
        shown.as_array().cloned().unwrap_or_else(|| panic!("not a list: {shown:#}"))
    }

    /// Where an agent works, on the host.
    pub fn workspace(&self, agent: &str) -> PathBuf {
        self.root.join(".tanuki/workspaces").join(agent)
    }
}

/// The service by which agents reach the stand-in for the models, as a part of `tanuki.yaml`'s `services`.
pub fn model_service() -> String {
    let program = project::for_everybody(&project::binary().with_file_name("model"));
    format!(
        "  model:
    image: tanuki-test/plain:1
    pull_policy: never
    command: [/stand-in/model]
    port: 8080
    volumes: ['{}:/stand-in/model:ro']
",
        program.display()
    )
}
