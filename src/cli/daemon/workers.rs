//! What tasks need of agents, over the kind Agent, its runs, and git in the project.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tanuki_runtimes::ExecOutput;
use tokio::sync::OnceCell;

use crate::agents::runs::{Runs, keep_credentials, kept_credentials};
use crate::agents::{Agents, Ground as _, roles};
use crate::controller::Publisher;
use crate::git::Repository;
use crate::model::{
    AgentSettings, AgentStatus, Conflict, Credentials, Merge, Rejected, Request, RunRecord, RunSpec,
    Snapshot, Spawn,
};
use crate::store::{Stage, Store};
use crate::tasks::ports::{Bring, MergeResult, NewAgent, Roles, Target, Trouble, Verdict, Workers};

/// A merge of large branches on a slow disk.
const BRING: Duration = Duration::from_secs(600);
/// A test suite may take its time.
const VERIFY: Duration = Duration::from_secs(3600);
/// Runs of an agent that are looked through for those of a task.
const RUNS: u32 = 200;
/// Bytes of output that the next try is told.
const OUTPUT: usize = 4096;

/// What every script begins with: nothing that the workspace configures runs beside it.
const GIT: &str = "set -u
git() { command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c commit.gpgSign=false \"$@\"; }
mark=$(git rev-parse --git-path tanuki-bring) || exit 1
";

/// A merge that was cut off with its container is taken back before anything else looks at the workspace.
const TIDY: &str = "if [ -e \"$mark\" ]; then git merge --abort 2>/dev/null; rm -f \"$mark\"; fi; exit 0";

/// `$1` is the branch, `$2` the commit to begin anew from, `$3` the target's, `$4` what was done before; the rest are
/// commits to merge, each before what it is called. What is empty is left out, and so are `$3` and `$4` where they do
/// not fit. Ends with 10 where something does not
/// fit, and prints what and then the files.
const BRING_IN: &str = "branch=$1 reset=$2 target=$3 own=$4
shift 4
git symbolic-ref HEAD \"refs/heads/$branch\" || exit 1
: >\"$mark\" || exit 1
trap 'rm -f \"$mark\"' EXIT
start=$(git rev-parse --verify HEAD) || exit 1
has() { git merge-base --is-ancestor \"$1\" HEAD; }
if [ -n \"$reset\" ]; then git reset --quiet --hard \"$reset\" || exit 1; fi
optional() {
  [ -z \"$1\" ] || has \"$1\" || git merge --quiet --no-edit --no-verify -m \"$2\" \"$1\" >&2 || git merge --abort
}
optional \"$target\" 'Bring in the target branch'
while [ $# -gt 1 ]; do
  if ! has \"$1\" && ! git merge --quiet --no-edit --no-verify -m \"Bring in $2\" \"$1\" >&2; then
    echo \"$2\"
    git -c core.quotePath=false diff --name-only --diff-filter=U
    git merge --abort 2>/dev/null
    git reset --quiet --hard \"$start\"
    exit 10
  fi
  shift 2
done
optional \"$own\" 'Go on with what was done before'
exit 0";

/// Agents of this project, for its tasks.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) agents: Arc<Agents>,
    pub(super) runs: Arc<Runs>,
    pub(super) store: Arc<Store>,
    pub(super) publisher: Publisher<Snapshot>,
    /// The project's directory.
    pub(super) root: PathBuf,
    /// `.tanuki/state`.
    pub(super) state_dir: PathBuf,
    pub(super) git: OnceCell<Repository>,
}

impl Crew {
    async fn git(&self) -> Result<&Repository, Trouble> {
        let open = || async { Repository::open(&self.root, &self.state_dir).await };
        self.git.get_or_try_init(open).await.map_err(|error| trouble(error.into()))
    }

    fn stage(&self, agent: &str) -> Result<Option<Stage>, Trouble> {
        let row = self.store.agent(agent).map_err(|error| passing(error.to_string()))?;
        Ok(row.map(|row| row.stage))
    }

    /// Whether there may be one more agent.
    fn room(&self, settings: &AgentSettings) -> Result<(), Trouble> {
        let rows = self.store.agents().map_err(|error| passing(error.to_string()))?;
        let count = rows.iter().filter(|row| row.stage != Stage::Removed).count();
        if u32::try_from(count).is_ok_and(|count| count >= settings.limits.agents) {
            return Err(passing("there are as many agents as `limits.agents` allows".to_owned()));
        }
        Ok(())
    }

    async fn script(
        &self,
        agent: &str,
        script: &str,
        words: &[&str],
        timeout: Duration,
    ) -> Result<ExecOutput, Trouble> {
        let quoted: Vec<String> = words.iter().map(|word| shell_words::quote(word).into_owned()).collect();
        let text = format!("set -- {}\n{GIT}{script}", quoted.join(" "));
        self.agents.shell(agent, &text, timeout).await.map_err(trouble)
    }

    /// Commits what is in the workspace, and brings it over.
    async fn keep(&self, agent: &str, message: &str) -> Result<Option<String>, Trouble> {
        self.script(agent, TIDY, &[], BRING).await?;
        self.agents.commit_all(agent, message).await.map_err(trouble)?;
        self.agents.collect(agent).await.map_err(trouble)
    }
}

#[async_trait]
impl Workers for Crew {
    fn agents(&self) -> Option<BTreeMap<String, AgentStatus>> {
        let rows = self.store.agents().ok()?;
        let agents = self.publisher.current().agents.clone();
        // One that is not told of yet was not looked at yet.
        let seen = |name: &str| agents.contains_key(name);
        rows.iter().filter(|row| row.stage == Stage::Made).all(|row| seen(&row.spec.name)).then_some(agents)
    }

    fn settings(&self) -> Arc<AgentSettings> {
        self.agents.settings()
    }

    fn roles(&self) -> Option<Roles> {
        roles::at_once(&self.settings(), &self.root).ok()
    }

    async fn spawn(&self, agent: &NewAgent) -> Result<(), Trouble> {
        let settings = self.settings();
        match self.stage(&agent.name)? {
            Some(Stage::Made) => return Ok(()),
            // A controller was killed in the middle of it; what it left is taken back first.
            Some(Stage::Creating | Stage::Removing) => {
                return Err(passing(format!("what was left of agent '{}' is being taken back", agent.name)));
            }
            Some(Stage::Removed) | None => {}
        }
        self.room(&settings)?;
        let spawn = Spawn {
            names: vec![agent.name.clone()],
            count: 1,
            role: agent.role.clone(),
            // One that only task files speak of is no agent's matter.
            workstream: agent.workstream.clone().filter(|name| settings.workstreams.contains_key(name)),
            base: agent.base.clone(),
            ..Spawn::default()
        };
        match self.agents.handle(Request::Spawn(Box::new(spawn))).await {
            Ok(_) => Ok(()),
            Err(Rejected::NotPossible { message }) => Err(Trouble::Taken { message }),
            Err(rejected @ Rejected::Invalid { .. }) => {
                // Somebody else may have been first.
                self.room(&settings)?;
                Err(trouble(rejected))
            }
            Err(rejected) => Err(trouble(rejected)),
        }
    }

    async fn start(&self, agent: &str) -> Result<(), Trouble> {
        let request = Request::AgentStart { names: vec![agent.to_owned()] };
        self.agents.handle(request).await.map(drop).map_err(trouble)
    }

    async fn remove(&self, agent: &str) -> Result<(), Trouble> {
        let request = Request::AgentRemove { names: vec![agent.to_owned()], force: false };
        self.agents.handle(request).await.map(drop).map_err(trouble)
    }

    async fn runs(&self, agent: &str, task: &str) -> Result<Vec<RunRecord>, Trouble> {
        let runs = self.store.runs(Some(agent), RUNS).map_err(|error| passing(error.to_string()))?;
        let mut runs: Vec<RunRecord> =
            runs.into_iter().filter(|run| run.task.as_deref() == Some(task)).collect();
        runs.reverse();
        Ok(runs)
    }

    async fn start_run(&self, spec: RunSpec, credentials: Credentials) -> Result<String, Trouble> {
        let record = self.runs.start(spec, credentials).map_err(trouble)?;
        Ok(record.id)
    }

    fn keep_credentials(&self, credentials: &Credentials) {
        if let Err(error) = keep_credentials(&self.state_dir, credentials) {
            tracing::warn!(%error, "what agents sign in with does not survive this controller");
        }
    }

    fn kept_credentials(&self) -> Credentials {
        kept_credentials(&self.state_dir)
    }

    async fn stop_run(&self, agent: &str) -> Result<(), Trouble> {
        match self.runs.stop(agent).await {
            // It ended meanwhile.
            Ok(_) | Err(Rejected::NotPossible { .. }) => Ok(()),
            Err(rejected) => Err(trouble(rejected)),
        }
    }

    async fn bring(&self, agent: &str, bring: &Bring) -> Result<(), Trouble> {
        self.keep(agent, "Keep what was in the workspace").await?;
        let spec = self.agents.spec(agent).ok_or(Trouble::Gone)?;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut words = vec![spec.branch, text(&bring.reset), text(&bring.target), text(&bring.own)];
        for (with, commit) in &bring.commits {
            words.extend([commit.clone(), with.clone()]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.script(agent, BRING_IN, &words, BRING).await?;
        match output.exit_code {
            0 => Ok(()),
            10 => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                let mut lines = said.lines().map(ToOwned::to_owned);
                let with = lines.next().unwrap_or_default();
                Err(Trouble::Conflicts { with, files: lines.collect() })
            }
            code => Err(passing(format!(
                "the workspace of '{agent}' cannot be made ready ({code}): {}",
                tail(&output.stderr, 500)
            ))),
        }
    }

    async fn collect(&self, agent: &str) -> Result<Option<String>, Trouble> {
        self.keep(agent, "Keep what was in the workspace").await
    }

    async fn verify(&self, agent: &str, command: &str) -> Result<Verdict, Trouble> {
        // Everything is committed: what is in the workspace is what will be merged.
        let output = self
            .agents
            .shell(agent, &format!("exec </dev/null\n{command}"), VERIFY)
            .await
            .map_err(trouble)?;
        let mut printed = output.stdout;
        printed.extend(output.stderr);
        let output_text = format!("{}\n(exit code {})", tail(&printed, OUTPUT), output.exit_code);
        Ok(Verdict { passed: output.exit_code == 0, output: output_text })
    }

    async fn merge(&self, agent: &str, verify: Option<&str>, message: &str) -> Result<MergeResult, Trouble> {
        let spec = self.agents.spec(agent).ok_or(Trouble::Gone)?;
        let head = self.keep(agent, "Keep what was in the workspace").await?;
        let git = self.git().await?;
        if let (Some(head), Ok(Some(base))) = (&head, git.commit(&spec.base).await)
            && git.has_all(&base, head).await.map_err(|error| trouble(error.into()))?
        {
            return Ok(MergeResult::Merged);
        }
        let merge = Merge {
            name: agent.to_owned(),
            verify: verify.map(ToOwned::to_owned),
            message: Some(message.to_owned()),
            ..Merge::default()
        };
        match self.agents.handle(Request::AgentMerge(Box::new(merge))).await {
            Ok(_) => Ok(MergeResult::Merged),
            Err(Rejected::Conflicts { files, .. }) => Ok(MergeResult::Conflicts(files)),
            Err(Rejected::VerifyFailed { message }) => Ok(MergeResult::VerifyFailed(message)),
            Err(Rejected::NotPossible { message }) => Ok(MergeResult::Refused(message)),
            Err(rejected) => Err(trouble(rejected)),
        }
    }

    async fn target(&self) -> Result<Target, Trouble> {
        let base = self.git().await?.resolve_base(None).await.map_err(|error| trouble(error.into()))?;
        Ok(Target { branch: base.reference, commit: base.commit })
    }

    async fn head(&self, branch: &str) -> Result<String, Trouble> {
        let commit = self.git().await?.commit(branch).await.map_err(|error| trouble(error.into()))?;
        commit.ok_or_else(|| Trouble::Invalid { message: format!("the branch '{branch}' is gone") })
    }

    async fn forecast(&self, target: &str) -> Result<Vec<Conflict>, Trouble> {
        let git = self.git().await?;
        let agents = self.publisher.current().agents.clone();
        // What is merged conflicts with nothing.
        let open: Vec<&AgentStatus> = agents.values().filter(|agent| agent.ahead.unwrap_or(0) > 0).collect();
        let short = target.strip_prefix("refs/heads/").unwrap_or(target);
        let mut found = Vec::new();
        for (index, agent) in open.iter().enumerate() {
            let head = format!("refs/heads/{}", agent.branch);
            let others = open[index + 1..]
                .iter()
                .map(|other| (other.name.as_str(), format!("refs/heads/{}", other.branch)));
            for (with, other) in std::iter::once((short, target.to_owned())).chain(others) {
                let files = git.conflicts(&other, &head).await.map_err(|error| trouble(error.into()))?;
                if !files.is_empty() {
                    found.push(Conflict { agent: agent.name.clone(), with: with.to_owned(), files });
                }
            }
        }
        Ok(found)
    }
}

fn passing(message: String) -> Trouble {
    Trouble::Passing { message }
}

fn trouble(rejected: Rejected) -> Trouble {
    match rejected {
        Rejected::UnknownAgent { .. } => Trouble::Gone,
        Rejected::Invalid { message, hint } => Trouble::Invalid { message: format!("{message}; {hint}") },
        Rejected::Conflicts { message, files } => Trouble::Conflicts { with: message, files },
        Rejected::NotPossible { message }
        | Rejected::VerifyFailed { message }
        | Rejected::Failed { message } => passing(message),
        Rejected::UnknownService { name, .. } => passing(format!("there is no service '{name}'")),
        Rejected::UnknownTask { id, .. } => passing(format!("there is no task '{id}'")),
        Rejected::ShuttingDown => passing("the controller is shutting down".to_owned()),
    }
}

/// The end of what was printed.
fn tail(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let from = text.len().saturating_sub(most);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[from..].to_owned()
}
