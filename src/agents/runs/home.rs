//! Files in an agent's home before its agent CLI starts, and the user's sign-in as a copy of its own.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::Runs;
use super::dir::Dir;
use crate::agents::adapters::{self, HomeFile};
use crate::model::{AdapterKind, Credentials, Rejected};

/// Longest file that is merged or copied.
const LONGEST: u64 = 4 << 20;

/// Puts these files there.
pub(super) fn prepare(home: &Path, files: &[HomeFile]) -> io::Result<()> {
    for file in files {
        let (dir, name) = place(Dir::open(home)?, file.path)?;
        let content = if file.merged { merged(&dir, name, &file.content) } else { None };
        dir.write(name, content.as_ref().unwrap_or(&file.content).as_bytes())?;
    }
    Ok(())
}

/// The directory of a path below a home, made where it is not there, and the file's name.
fn place(home: Dir, path: &str) -> io::Result<(Dir, &str)> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or(path);
    let dir = parts.into_iter().try_fold(home, |dir, part| dir.make(part))?;
    Ok((dir, name))
}

/// What is there with what must be there on top; `None` where nothing usable is there.
fn merged(dir: &Dir, name: &str, content: &str) -> Option<String> {
    let mut there: Value = serde_json::from_slice(&dir.small(name, LONGEST).ok()??).ok()?;
    if !there.is_object() {
        return None;
    }
    merge(&mut there, serde_json::from_str(content).ok()?);
    Some(there.to_string())
}

fn merge(there: &mut Value, on_top: Value) {
    match (there, on_top) {
        (Value::Object(there), Value::Object(on_top)) => {
            for (key, value) in on_top {
                merge(there.entry(key).or_insert(Value::Null), value);
            }
        }
        (there, on_top) => *there = on_top,
    }
}

pub(super) fn rejected(agent: &str, error: &io::Error) -> Rejected {
    Rejected::Failed { message: format!("cannot prepare the home of agent '{agent}': {error}") }
}

impl Runs {
    /// Gives the agent a copy of the user's sign-in, where no variable has one. The agent CLI may renew it: the newer of
    /// both stays.
    pub(super) fn copy_sign_in(&self, agent: &str, kind: AdapterKind, credentials: &Credentials) {
        let Some((path, variables)) = adapters::sign_in(kind) else { return };
        let Some(home) = &self.deps.user_home else { return };
        if variables.iter().any(|name| credentials.0.contains_key(*name)) {
            return;
        }
        match copy(home, &self.deps.ground.home_dir(agent), path) {
            Ok(true) => tracing::debug!(agent, path, "copied the user's sign-in"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, agent, path, "cannot copy the user's sign-in"),
        }
    }
}

fn copy(from: &Path, to: &Path, path: &str) -> io::Result<bool> {
    let original = from.join(path);
    let Some(directory) = original.parent().filter(|directory| directory.is_dir()) else { return Ok(false) };
    let name = path.rsplit('/').next().unwrap_or(path);
    let source = Dir::open(&directory.canonicalize()?)?;
    let Some(file) = source.file(name)? else { return Ok(false) };
    let (target, name) = place(Dir::open(to)?, path)?;
    if let Ok(Some(own)) = target.file(name)
        && own.metadata()?.modified()? >= file.metadata()?.modified()?
    {
        return Ok(false);
    }
    let Some(content) = source.small(name, LONGEST)? else { return Ok(false) };
    target.write(name, &content)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_and_json_is_merged() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".claude.json"), r#"{"history":[1],"projects":{"/a":{"x":1}}}"#)
            .unwrap();
        let file = |path, content: &str, merged| HomeFile { path, content: content.to_owned(), merged };
        let files = [
            file(".codex/config.toml", "a = 1\n", false),
            file(".claude.json", r#"{"projects":{"/workspace":{"trust":true}}}"#, true),
            file(".claude/settings.json", "{}", true),
        ];
        prepare(home.path(), &files).unwrap();
        let read = |path: &str| std::fs::read_to_string(home.path().join(path)).unwrap();
        assert_eq!(read(".codex/config.toml"), "a = 1\n");
        assert_eq!(
            read(".claude.json"),
            r#"{"history":[1],"projects":{"/a":{"x":1},"/workspace":{"trust":true}}}"#
        );
        assert_eq!(read(".claude/settings.json"), "{}");
    }

    #[test]
    fn a_sign_in_is_copied_once_and_a_renewed_one_stays() {
        let (user, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(!copy(user.path(), home.path(), ".codex/auth.json").unwrap());
        std::fs::create_dir(user.path().join(".codex")).unwrap();
        std::fs::write(user.path().join(".codex/auth.json"), "old").unwrap();
        assert!(copy(user.path(), home.path(), ".codex/auth.json").unwrap());
        let own = home.path().join(".codex/auth.json");
        std::fs::write(&own, "renewed").unwrap();
        assert!(!copy(user.path(), home.path(), ".codex/auth.json").unwrap());
        assert_eq!(std::fs::read_to_string(&own).unwrap(), "renewed");
    }
}
