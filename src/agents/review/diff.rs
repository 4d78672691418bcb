//! What an agent has changed, committed or not.

use std::time::Duration;

use super::said;
use super::scripts::{CLEAN, DIFF};
use crate::agents::kind::Agents;
use crate::agents::lifecycle::failed;
use crate::git::diff_options;
use crate::model::{Accepted, DiffFormat, Rejected};

/// A large workspace on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(120);

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
        let work = match output.exit_code {
            0 => Work::Clean,
            1 => Work::Dirty(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            code => {
                let message = format!("agent '{name}': git status failed ({code}): {}", said(&output));
                return Err(Rejected::Failed { message });
            }
        };
        let dirty = work != Work::Clean;
        self.remember(name, |saved| saved.dirty = Some(dirty))
            .map_err(|message| Rejected::Failed { message })?;
        Ok(work)
    }
}
