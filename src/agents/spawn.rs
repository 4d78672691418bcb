//! Making agents: all that were asked for, or none.
//!
//! A name is claimed in the store before anything is made, and stays marked as unfinished until everything is: this
//! controller rolls back what fails, and the next one what this one was killed in.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tanuki_runtimes::{ContainerState, ErrorKind, ExecSpec};
use tokio::sync::OwnedMutexGuard;

use super::choose::{self, nearest};
use super::environment::trouble;
use super::execute::StepError;
use super::kind::{Agents, Ask, Facts};
use super::layout::{self, WORKSPACE};
use super::lifecycle::{failed, store_failed};
use super::memory::{Asked, Saved};
use super::observe::World;
use super::plan::Plan;
use super::roles::RoleError;
use crate::git::{Base, GitError};
use crate::model::{
    Accepted, AdapterKind, AgentSettings, AgentSpec, AgentState, Desired, EventType, HealthWord, Rejected,
    Spawn, check_agent_name,
};
use crate::store::{AgentRow, Claim, Stage};

/// Most agents that one request makes.
const MOST: u32 = 64;

/// How long services that are starting are waited for before somebody is warned of them.
const SERVICES: Duration = Duration::from_secs(3);

/// How long the look into a new container may take.
const CHECK: Duration = Duration::from_secs(60);

/// What must hold in a new container, each with an exit code of its own; `$1` is the agent CLI.
const CHECKS: &str = "command -v git >/dev/null 2>&1 || exit 21
[ -w . ] && [ -w \"$HOME\" ] || exit 22
git rev-parse --verify --quiet HEAD >/dev/null || exit 23
command -v \"$1\" >/dev/null 2>&1 || exit 24";

/// A name that is claimed, with the lock that keeps everybody else away.
struct Claimed {
    spec: AgentSpec,
    _lock: OwnedMutexGuard<()>,
}

impl Agents {
    /// Makes agents.
    pub(super) async fn spawn(&self, asked: &Spawn) -> Result<Accepted, Rejected> {
        let settings = self.current_settings();
        check_names(asked)?;
        let choices =
            Asked { adapter: asked.agent.clone(), image: asked.image.clone(), model: asked.model.clone() };
        let template = self.template(asked, &settings, &choices)?;
        let facts = self.facts().await.map_err(failed)?;
        let base = facts.git.resolve_base(asked.base.as_deref()).await.map_err(|error| git(&error))?;
        self.ensure_image(&template.image).await?;
        let template =
            AgentSpec { base: base.reference.clone(), base_commit: base.commit.clone(), ..template };
        let claimed = self.claim(asked, &settings, &template, &choices, &facts).await?;
        let built = join_all(claimed.iter().map(|agent| self.build(&agent.spec, &base, &facts))).await;
        let names: Vec<String> = claimed.iter().map(|agent| agent.spec.name.clone()).collect();
        let mut warnings = Vec::new();
        let mut failure = None;
        for (name, result) in names.iter().zip(built) {
            match result {
                Ok(said) => warnings.extend(said.into_iter().map(|text| format!("agent '{name}': {text}"))),
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(failure) = failure {
            join_all(names.iter().map(|name| self.roll_back(name))).await;
            drop(claimed);
            // What could not be taken away yet is for passes, which leave alone what is locked.
            names.iter().for_each(|name| self.touch(name));
            return Err(failure);
        }
        for name in &names {
            self.deps.store.set_agent_stage(name, Stage::Made).map_err(|error| store_failed(&error))?;
            let message = format!("made on branch {}{name}", settings.branch_prefix);
            self.record(EventType::Normal, &format!("agent/{name}"), "Spawned", &message);
        }
        for name in &names {
            // All are made: an engine that goes away now is for passes to deal with.
            if let Err(error) = self.drive(name, Ask::default()).await {
                tracing::warn!(?error, agent = name, "cannot look at it once more");
            }
        }
        drop(claimed);
        names.iter().for_each(|name| self.touch(name));
        warnings.dedup();
        warnings.extend(self.service_warnings().await);
        Ok(Accepted { agents: names, warnings, ..Accepted::default() })
    }

    /// What all agents of one request have in common, checked; name, branch and base are still to come.
    fn template(
        &self,
        asked: &Spawn,
        settings: &AgentSettings,
        choices: &Asked,
    ) -> Result<AgentSpec, Rejected> {
        if let Some(name) = &asked.workstream
            && !settings.workstreams.contains_key(name)
        {
            return Err(unknown("workstream", name, settings.workstreams.keys(), "workstreams"));
        }
        let whose = (asked.role.as_deref(), asked.workstream.as_deref());
        let profile = choose::choose(settings, &self.deps.layout.root, whose, choices);
        let profile = profile.map_err(|error| match error {
            RoleError::Unknown { name, known } => unknown("role", &name, known.iter(), "roles"),
            other => Rejected::Invalid { message: other.to_string(), hint: "correct the role".to_owned() },
        })?;
        if !settings.adapters.contains_key(&profile.agent) {
            return Err(unknown("adapter", &profile.agent, settings.adapters.keys(), "adapters"));
        }
        let image = profile.image.ok_or_else(|| Rejected::Invalid {
            message: "there is no image for agents".to_owned(),
            hint: "set `defaults.image` in tanuki.yaml, or give --image; it needs sh, git and the agent CLI"
                .to_owned(),
        })?;
        Ok(AgentSpec {
            name: String::new(),
            role: profile.name,
            workstream: asked.workstream.clone(),
            adapter: profile.agent,
            image,
            model: profile.model,
            branch: String::new(),
            base: String::new(),
            base_commit: String::new(),
            resources: profile.resources,
            created_at: self.now(),
        })
    }

    /// Claims the names asked for, and free ones for the rest; all or none.
    async fn claim(
        &self,
        asked: &Spawn,
        settings: &AgentSettings,
        template: &AgentSpec,
        choices: &Asked,
        facts: &Facts,
    ) -> Result<Vec<Claimed>, Rejected> {
        let named = u32::try_from(asked.names.len()).unwrap_or(u32::MAX);
        let count = asked.count.max(named).max(1);
        let mut names = asked.names.clone();
        // In one order, so that two requests never wait for each other.
        names.sort();
        let mut claimed = Vec::new();
        let mut result = Ok(());
        for name in &names {
            let lock = self.agent_lock(name).lock_owned().await;
            match self.claim_one(name, settings, template, choices, facts).await {
                Ok(spec) => claimed.push(Claimed { spec, _lock: lock }),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let mut number = 0;
        while result.is_ok() && claimed.len() < usize::try_from(count).unwrap_or(usize::MAX) {
            number += 1;
            let name = format!("{}-{number}", template.role.as_deref().unwrap_or("agent"));
            let Ok(lock) = self.agent_lock(&name).try_lock_owned() else { continue };
            match self.claim_one(&name, settings, template, choices, facts).await {
                Ok(spec) => claimed.push(Claimed { spec, _lock: lock }),
                // Somebody's: the next number may be free.
                Err(Rejected::NotPossible { .. }) if number < 10_000 => {}
                Err(error) => result = Err(error),
            }
        }
        if let Err(error) = result {
            for agent in &claimed {
                // Nothing was made yet.
                self.deps.store.forget_agent(&agent.spec.name).map_err(|error| store_failed(&error))?;
            }
            return Err(error);
        }
        claimed.sort_by_key(|agent| {
            asked.names.iter().position(|name| *name == agent.spec.name).unwrap_or(usize::MAX)
        });
        Ok(claimed)
    }

    /// Claims one name, by whoever holds its lock. Not possible where somebody or something has it.
    async fn claim_one(
        &self,
        name: &str,
        settings: &AgentSettings,
        template: &AgentSpec,
        choices: &Asked,
        facts: &Facts,
    ) -> Result<AgentSpec, Rejected> {
        let taken = |what: String| Rejected::NotPossible { message: what };
        let spec = AgentSpec {
            name: name.to_owned(),
            branch: format!("{}{name}", settings.branch_prefix),
            ..template.clone()
        };
        let exists = || taken(format!("an agent named '{name}' is there already"));
        let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
        match row.map(|row| row.stage) {
            None | Some(Stage::Removed) => {}
            Some(Stage::Made) => return Err(exists()),
            // Nobody makes or removes it now: its lock is held here.
            Some(Stage::Creating | Stage::Removing) => {
                return Err(taken(format!(
                    "what an earlier '{name}' has left is still being taken away; try again in a moment"
                )));
            }
        }
        let head = facts.git.commit(&format!("refs/heads/{}", spec.branch)).await;
        if head.map_err(|error| git(&error))?.is_some() {
            return Err(taken(format!(
                "branch '{}' exists already; choose another name, or rename or delete the branch",
                spec.branch
            )));
        }
        let workspace = self.deps.layout.workspace(name);
        if workspace.symlink_metadata().is_ok() {
            return Err(taken(format!(
                "{} is there already, and no agent's; move it away",
                workspace.display()
            )));
        }
        let saved = Saved { asked: choices.clone(), ..Saved::default() };
        let most = settings.limits.agents;
        match self.deps.store.claim_agent(&spec, &saved.text(), most).map_err(|error| store_failed(&error))? {
            Claim::Taken => Ok(spec),
            Claim::InUse => Err(exists()),
            Claim::Full { agents } => Err(Rejected::Invalid {
                message: format!(
                    "there are {agents} agents already, and `limits.agents` allows {most}; none was made"
                ),
                hint: "remove one with `tanuki remove`, or raise `limits.agents` in tanuki.yaml".to_owned(),
            }),
        }
    }

    /// Makes everything of one agent, by whoever claimed its name. What it warns of.
    async fn build(&self, spec: &AgentSpec, base: &Base, facts: &Facts) -> Result<Vec<String>, Rejected> {
        let name = &spec.name;
        let row = self.deps.store.agent(name).map_err(|error| store_failed(&error))?;
        let row = row.ok_or_else(|| Rejected::Failed { message: format!("agent '{name}' is gone") })?;
        self.tell_creating(&row).await?;
        let layout = &self.deps.layout;
        let workspace = layout.workspace(name);
        layout.prepare().map_err(|error| Rejected::Failed {
            message: format!("cannot prepare {}: {error}", layout.workspaces.display()),
        })?;
        let prepared = layout::remove(&layout.state(name))
            .and_then(|()| layout.make(name, facts.identity))
            .and_then(|()| layout.make_workspace(name));
        let failed = |error| Rejected::Failed {
            message: format!("cannot prepare the directories of agent '{name}': {error}"),
        };
        prepared.map_err(failed)?;
        let step = |error| match error {
            StepError::Retry(message) | StepError::Final(message) => {
                Rejected::Failed { message: format!("agent '{name}': {message}") }
            }
        };
        // The engine makes the container while git writes the files. Both come to their end also where one fails:
        // what takes it all away again must not race with either.
        let container = async {
            self.ensure_network().await.map_err(step)?;
            self.create(&row, spec, facts).await.map_err(step)
        };
        let files = facts.git.make_workspace(name, &workspace, &spec.branch, base);
        let (made, created) = tokio::join!(files, container);
        let mut warnings = made.map_err(|error| git(&error))?.warnings;
        let container = created?;
        layout::give(&workspace, facts.identity).map_err(failed)?;
        self.start(spec, &container).await.map_err(step)?;
        warnings.extend(self.check(spec, &container, facts).await?);
        Ok(warnings)
    }

    /// Looks into a new container: is there what every agent needs?
    async fn check(
        &self,
        spec: &AgentSpec,
        container: &str,
        facts: &Facts,
    ) -> Result<Option<String>, Rejected> {
        let settings = self.current_settings();
        let program = settings.adapters.get(&spec.adapter).map_or("", |adapter| match adapter.kind {
            AdapterKind::Claude => "claude",
            AdapterKind::Codex => "codex",
            AdapterKind::Gemini => "gemini",
            AdapterKind::Opencode => "opencode",
            AdapterKind::Command => adapter.run.first().map_or("", String::as_str),
        });
        let exec = ExecSpec {
            command: ["sh", "-c", CHECKS, "tanuki", program].map(ToOwned::to_owned).to_vec(),
            workdir: Some(WORKSPACE.to_owned()),
            user: Some(facts.identity.user()),
            timeout: Some(CHECK),
            ..ExecSpec::default()
        };
        let looked = self.deps.runtime.exec(container, &exec).await;
        let output = match looked {
            Ok(output) => output,
            Err(error) => return Err(self.not_looked(spec, container, &error).await),
        };
        let invalid = |message: String, hint: &str| Err(Rejected::Invalid { message, hint: hint.to_owned() });
        match output.exit_code {
            0 => Ok(None),
            21 => invalid(
                format!("image {} has no git", spec.image),
                "agents commit their work inside their container: use an image with git",
            ),
            22 => invalid(
                format!("the workspace cannot be written by user {} in the container", facts.identity.user()),
                "`tanuki doctor` tells what the engine can do; the project must be on a disk the engine shares",
            ),
            23 => invalid(
                format!(
                    "git does not find the project in the container: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                ),
                "the project must be on a disk that the engine shares with containers",
            ),
            24 => Ok(Some(format!(
                "`{program}` is not in image {}; runs need it (adapter {})",
                spec.image, spec.adapter
            ))),
            code => invalid(
                format!(
                    "cannot look into the container of image {} (exit code {code}): {}",
                    spec.image,
                    String::from_utf8_lossy(&output.stderr).trim()
                ),
                "the image must have `sh` and `git`",
            ),
        }
    }

    /// Why a new container cannot be looked into: some engines start one without a shell, which ends at once.
    async fn not_looked(
        &self,
        spec: &AgentSpec,
        container: &str,
        error: &tanuki_runtimes::Error,
    ) -> Rejected {
        match self.deps.runtime.inspect(container).await {
            Ok(found) if found.state == ContainerState::Exited => Rejected::Invalid {
                message: format!(
                    "the container of image {} ended at once{}",
                    spec.image,
                    found.exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default()
                ),
                hint: "the image must have `sh` and `git`".to_owned(),
            },
            _ => Rejected::Failed { message: error.to_string() },
        }
    }

    async fn tell_creating(&self, row: &AgentRow) -> Result<(), Rejected> {
        let plan = Plan {
            steps: Vec::new(),
            state: AgentState::Creating,
            reason: "Creating",
            message: "being made".to_owned(),
            out_of_date: Vec::new(),
            recheck: false,
        };
        self.publish(row, &Saved::default(), &plan, &World::default()).await.map_err(failed)
    }

    /// Takes away what was made of an agent. What cannot be taken away now is tried again by the loop.
    async fn roll_back(&self, name: &str) {
        if let Err(error) = self.drive(name, Ask::default()).await {
            tracing::warn!(?error, agent = name, "cannot roll back yet");
        }
    }

    /// Pulls an image that is not there.
    pub(super) async fn ensure_image(&self, image: &str) -> Result<(), Rejected> {
        let runtime = &self.deps.runtime;
        let there = runtime.image(image).await;
        if there.map_err(|error| Rejected::Failed { message: error.to_string() })?.is_some() {
            return Ok(());
        }
        self.record(EventType::Normal, "agents", "Pulling", &format!("pulling {image}"));
        let missing = |error: tanuki_runtimes::Error| Rejected::Invalid {
            message: match error.kind {
                ErrorKind::ImageMissing => format!("image {image} is neither here nor in its registry"),
                _ => error.to_string(),
            },
            hint: "build or load it, or name another one in `defaults.image` or with --image".to_owned(),
        };
        let mut progress = runtime.pull(image).await.map_err(missing)?;
        while let Some(record) = progress.next().await {
            let record = record.map_err(missing)?;
            tracing::debug!(image, layer = record.layer, status = record.status, "pull");
        }
        self.record(EventType::Normal, "agents", "Pulled", &format!("pulled {image}"));
        Ok(())
    }

    /// What is said of services that are not healthy. Those that are on their way are waited for shortly.
    async fn service_warnings(&self) -> Vec<String> {
        let mut snapshots = self.deps.publisher.subscribe();
        let on_their_way = tokio::time::timeout(SERVICES, async {
            loop {
                let waiting = snapshots.borrow_and_update().services.values().any(|status| {
                    status.desired == Desired::Running
                        && !status.is_ready()
                        && status.health != HealthWord::Unhealthy
                        && status.next_try.is_none()
                });
                if !waiting || snapshots.changed().await.is_err() {
                    return;
                }
            }
        });
        // Late ones are warned of.
        let _late = on_their_way.await;
        self.look_at_services();
        let statuses = &self.deps.publisher.current().services;
        let memory = self.lock();
        let environment = &memory.environment;
        let mut warnings: Vec<String> = environment
            .unhealthy
            .iter()
            .map(|name| {
                let rest = if environment.missing.contains(name) {
                    format!("agents get its variables once it is (`tanuki service start {name}`)")
                } else {
                    format!("`tanuki service status` says why ({name})")
                };
                format!("service '{name}' is not healthy: {}; {rest}", trouble(statuses.get(name)))
            })
            .collect();
        warnings.extend(environment.conflict.as_ref().map(ToString::to_string));
        let (_env, hidden) = environment.of_agent("");
        warnings.extend(hidden.iter().map(|variable| {
            format!(
                "{} of service '{}' is not given to agents, since they have a variable of that name",
                variable.name, variable.service
            )
        }));
        warnings
    }
}

fn check_names(asked: &Spawn) -> Result<(), Rejected> {
    let hint = "names look like `api` or `web-2`";
    for (at, name) in asked.names.iter().enumerate() {
        if let Err(why) = check_agent_name(name) {
            let message = format!("`{name}` cannot be an agent's name: {why}");
            return Err(Rejected::Invalid { message, hint: hint.to_owned() });
        }
        if asked.names[..at].contains(name) {
            let message = format!("'{name}' is named twice");
            return Err(Rejected::Invalid { message, hint: "name each agent once".to_owned() });
        }
    }
    if asked.count > MOST {
        let message = format!("{} agents are too many at once; at most {MOST}", asked.count);
        return Err(Rejected::Invalid { message, hint: "spawn them in several steps".to_owned() });
    }
    Ok(())
}

fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a String> + Clone,
    key: &str,
) -> Rejected {
    let names: Vec<&str> = known.clone().map(String::as_str).collect();
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean '{near}'?"),
        None if names.is_empty() => format!("there are none; describe it under `{key}` in tanuki.yaml"),
        None => format!("there are {}", names.join(", ")),
    };
    Rejected::Invalid { message: format!("there is no {what} '{name}'"), hint }
}

/// What git said, with what to do.
pub(super) fn git(error: &GitError) -> Rejected {
    let hint = match error {
        GitError::Empty => "make a first commit: agents begin from one",
        GitError::UnknownRef { .. } => "`git branch` lists the branches there are",
        GitError::NotARepository { .. } => "run `git init` and make a first commit",
        GitError::Untrusted { .. } => {
            "`git config --global --add safe.directory` with its path says that you trust it"
        }
        GitError::BranchExists { .. } | GitError::BadBranch { .. } => "choose another name for the agent",
        _ => return Rejected::Failed { message: error.to_string() },
    };
    Rejected::Invalid { message: error.to_string(), hint: hint.to_owned() }
}
