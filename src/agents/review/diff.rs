//! What an agent has changed, committed or not.

use std::time::Duration;

use tanuki_runtimes::{ContainerRuntime, ExecOutput, ExecSpec};

use super::scripts::{CLEAN, DIFF, DIRTY};
use super::{command, said};
use crate::agents::kind::Agents;
use crate::agents::layout::WORKSPACE;
use crate::agents::lifecycle::failed;
use crate::git::diff_options;
use crate::model::{Accepted, DiffFormat, Rejected};

/// A large workspace on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The same for somebody who only looks.
const LOOK: Duration = Duration::from_secs(10);

/// Most bytes of a difference that are told; less than an exec gives.
const MOST: usize = 1_000_000;

/// Whether a workspace has work that is not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agents) enum Work {
    /// None.
    Clean,
    /// Some; the first few files, as `git status` tells them.
    Dirty(String),
}

impl Agents {
    /// Everything the agent's workspace has that `base` does not; the agent's own base when absent.
    pub(in crate::agents) async fn diff(
        &self,
        name: &str,
        base: Option<&str>,
        format: DiffFormat,
    ) -> Result<Accepted, Rejected> {
        let spec = self.made(name)?.spec;
        let git = self.facts().await.map_err(failed)?.git;
        let from = match base {
            Some(base) => git.resolve_base(Some(base)).await?.commit,
            // A branch that is gone leaves the commit the agent was made from.
            None => git.commit(&spec.base).await?.unwrap_or_else(|| spec.base_commit.clone()),
        };
        let most = MOST.to_string();
        let mut args = vec![from.as_str(), &most];
        args.extend(diff_options(format));
        let mut warnings = Vec::new();
        let text = match self.inside(name, (DIFF, &args), None, TIMEOUT).await {
            Ok(output) if output.exit_code == 0 => {
                let said = String::from_utf8_lossy(&output.stderr);
                self.note_dirty(name, Some(said.lines().last() == Some(DIRTY)))?;
                let left_out: Vec<&str> =
                    said.lines().filter_map(|line| line.strip_prefix("left out: ")).collect();
                if !left_out.is_empty() {
                    warnings.push(format!("not shown, for its size: {}", left_out.join(", ")));
                }
                if output.truncated || output.stdout.len() >= MOST {
                    warnings.push("the rest is left out; `--stat` shows all files".to_owned());
                }
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            looked => {
                let why = match looked {
                    Ok(output) => said(&output),
                    Err(Rejected::Failed { message } | Rejected::NotPossible { message }) => message,
                    Err(other) => return Err(other),
                };
                let head = git.commit(&format!("refs/heads/{}", spec.branch)).await?;
                let Some(head) = head else { return Err(Rejected::Failed { message: why }) };
                warnings.push(format!("only what was committed and brought over is shown: {why}"));
                let begin = git.merge_base(&from, &head).await?.unwrap_or(from);
                let diff = git.diff(&begin, &head, format).await?;
                if diff.truncated {
                    warnings.push("the rest is left out; `--stat` shows all files".to_owned());
                }
                diff.text
            }
        };
        Ok(Accepted { agents: vec![name.to_owned()], text, warnings, ..Accepted::default() })
    }

    /// Whether the workspace has work that is not committed.
    pub(in crate::agents) async fn work(&self, name: &str) -> Result<Work, Rejected> {
        let output = self.inside(name, (CLEAN, &[]), None, TIMEOUT).await?;
        let work =
            told(&output).map_err(|why| Rejected::Failed { message: format!("agent '{name}': {why}") })?;
        self.note_dirty(name, Some(work != Work::Clean))?;
        Ok(work)
    }

    /// The same for somebody who only looks: soon, and in the agent's own container or not at all.
    pub(in crate::agents) async fn look_into(&self, name: &str) -> Result<Accepted, Rejected> {
        self.is_wanted_running(name)?;
        let work = tokio::time::timeout(LOOK, self.work(name)).await;
        let work = work.map_err(|_elapsed| Rejected::Failed {
            message: format!("agent '{name}': git status takes more than {LOOK:?}"),
        })??;
        let text = match work {
            Work::Clean => String::new(),
            Work::Dirty(files) => files,
        };
        Ok(Accepted { agents: vec![name.to_owned()], text, ..Accepted::default() })
    }

    /// Takes down whether a workspace has work that is not committed; `None` when what was known is old.
    pub(in crate::agents) fn note_dirty(&self, name: &str, dirty: Option<bool>) -> Result<(), Rejected> {
        self.remember(name, |saved| saved.dirty = dirty).map_err(|message| Rejected::Failed { message })?;
        let known = self.deps.publisher.current().agents.get(name).map(|status| status.dirty);
        if known.is_some_and(|known| known != dirty) {
            self.deps.publisher.update(|snapshot| {
                if let Some(status) = snapshot.agents.get_mut(name) {
                    status.dirty = dirty;
                }
            });
            // A pass that began before this tells of what was known then.
            self.touch(name);
        }
        Ok(())
    }
}

/// Whether a workspace has work that is not committed, without a controller; `None` where that cannot be told soon.
pub(in crate::agents) async fn dirty(
    runtime: &dyn ContainerRuntime,
    container: &str,
    user: String,
) -> Option<bool> {
    let spec = ExecSpec {
        command: command(CLEAN, &[]),
        user: Some(user),
        workdir: Some(WORKSPACE.to_owned()),
        timeout: Some(LOOK),
        ..ExecSpec::default()
    };
    let output = runtime.exec(container, &spec).await.ok()?;
    told(&output).ok().map(|work| work != Work::Clean)
}

/// What [`CLEAN`] tells.
fn told(output: &ExecOutput) -> Result<Work, String> {
    match output.exit_code {
        0 => Ok(Work::Clean),
        1 => Ok(Work::Dirty(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
        code => Err(format!("git status failed ({code}): {}", said(output))),
    }
}
