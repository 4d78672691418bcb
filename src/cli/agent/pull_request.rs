//! `tanuki merge --pr`: the agent's branch goes to the remote, and `gh` opens a pull request.
//!
//! git and gh run in the project's own repository with the user's own configuration; the agent's workspace is not
//! looked at.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::cli::context::Project;
use crate::cli::{CliError, Context, Exit, Output, Result, text};
use crate::model::AgentStatus;

/// Whether `gh` is there, before anything is done.
pub(super) fn check(context: &Context) -> Result<()> {
    let path = context.env.var("PATH").unwrap_or_default();
    if std::env::split_paths(path).any(|directory| directory.join("gh").is_file()) {
        return Ok(());
    }
    Err(CliError::failed("--pr needs GitHub's command line, gh, and it is not there")
        .hint("install it (cli.github.com) and run `gh auth login`, or push the agent's branch yourself"))
}

/// Pushes the agent's branch and opens a pull request for it.
pub(super) async fn open(
    context: &Context,
    project: &Project,
    name: &str,
    message: Option<&str>,
    out: &Output,
) -> Result {
    let snapshot = context.look_at_agents().await?;
    let known = || snapshot.agents.keys().map(String::as_str);
    let agent = snapshot.agents.get(name).ok_or_else(|| CliError::unknown_agent(name, known()))?;
    let base = base(agent)?;
    let root = &project.paths.root;
    let remote = remote(root, base).await?;
    let branch = &agent.branch;
    run(root, "git", &["push", &remote, &format!("refs/heads/{branch}:refs/heads/{branch}")], out).await?;
    let mut arguments = vec!["pr", "create", "--head", branch, "--base", base];
    match message {
        None => arguments.push("--fill"),
        Some(message) => {
            let (title, body) = message.split_once('\n').unwrap_or((message, ""));
            arguments.extend(["--title", title.trim(), "--body", body.trim()]);
        }
    }
    run(root, "gh", &arguments, out).await?;
    Ok(Exit::DONE)
}

/// The branch the pull request is for.
fn base(agent: &AgentStatus) -> Result<&str> {
    agent.base.strip_prefix("refs/heads/").ok_or_else(|| {
        CliError::failed(format!("agent '{}' was made from no branch", agent.name))
            .cause(format!("its base is {}", agent.base))
            .hint("push its branch and open the pull request yourself")
    })
}

/// The remote that the base belongs to; else the usual one, or the only one.
async fn remote(root: &Path, base: &str) -> Result<String> {
    let own = read(root, &["config", "--get", &format!("branch.{base}.remote")]).await?;
    // A dot is this repository itself.
    if let Some(own) = own.first().filter(|own| *own != ".") {
        return Ok(own.clone());
    }
    let remotes = read(root, &["remote"]).await?;
    if remotes.iter().any(|remote| remote == "origin") {
        return Ok("origin".to_owned());
    }
    match remotes.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            Err(CliError::failed("the repository has no remote to push to")
                .hint("add one with `git remote add`"))
        }
        _ => Err(CliError::failed("the repository has several remotes")
            .cause(remotes.join(", "))
            .hint(format!("choose one: git config branch.{base}.remote <name>"))),
    }
}

/// The lines git prints; none where it fails, which here means that there is nothing.
async fn read(root: &Path, arguments: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| CliError::failed("cannot run git").because(&error))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect())
}

/// Runs a program that may ask for a password, and passes on what it prints.
async fn run(root: &Path, program: &str, arguments: &[&str], out: &Output) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| CliError::failed(format!("cannot run {program}")).because(&error))?
        .wait_with_output()
        .await
        .map_err(|error| CliError::failed(format!("cannot run {program}")).because(&error))?;
    out.result(&text::block(&String::from_utf8_lossy(&output.stdout)))?;
    if output.status.success() {
        return Ok(());
    }
    let what = arguments.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    Err(CliError::failed(format!("`{program} {what}` failed"))
        .cause(output.status.to_string())
        .hint("what it printed above says why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn git(root: &Path, arguments: &[&str]) {
        let status = Command::new("git").args(arguments).current_dir(root).status().await.unwrap();
        assert!(status.success(), "{arguments:?}");
    }

    #[tokio::test]
    async fn the_branch_goes_where_its_base_comes_from() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        git(root, &["init", "--quiet"]).await;
        assert!(remote(root, "main").await.unwrap_err().message.contains("no remote"));
        git(root, &["remote", "add", "one", "/nowhere/1"]).await;
        assert_eq!(remote(root, "main").await.unwrap(), "one");
        git(root, &["remote", "add", "two", "/nowhere/2"]).await;
        assert!(remote(root, "main").await.unwrap_err().message.contains("several remotes"));
        git(root, &["remote", "add", "origin", "/nowhere/3"]).await;
        assert_eq!(remote(root, "main").await.unwrap(), "origin");
        git(root, &["config", "branch.main.remote", "two"]).await;
        assert_eq!(remote(root, "main").await.unwrap(), "two");
    }
}
