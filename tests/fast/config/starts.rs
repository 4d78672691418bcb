//! Finding a project, and making one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tanuki::config::starter::{ConfigFile, InitError, STARTER, create, directory};
use tanuki::config::{find_project, project_id};
use tempfile::TempDir;

use super::Project;

fn repository() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join(".git")).unwrap();
    fs::write(dir.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    dir
}

#[test]
fn a_project_is_found_from_below() {
    let project = Project::new("").file("a/b/file", "");
    let paths = find_project(&project.dir.path().join("a/b")).unwrap();
    assert_eq!(paths.root, project.root());
    assert_eq!(paths.state_dir, project.root().join(".tanuki/state"));
    let error = find_project(Path::new("/")).unwrap_err();
    insta::assert_snapshot!("no_project", error.render(false));
}

#[test]
fn identity_is_of_the_path() {
    assert_eq!(project_id(Path::new("/a/b")).0.len(), 12);
    assert_ne!(project_id(Path::new("/a/b")), project_id(Path::new("/c/b")));
    let project = Project::new("");
    std::os::unix::fs::symlink(project.root(), project.root().join("link")).unwrap();
    let through = find_project(&project.root().join("link")).unwrap();
    assert_eq!(through.id(), find_project(&project.root()).unwrap().id());
}

#[test]
fn a_new_project_loads() {
    let config = Project::new(STARTER).ok();
    assert_eq!(config.services.keys().collect::<Vec<_>>(), ["postgres", "redis"]);
    // The starter writes out what the templates say.
    let bare = Project::new("services: { postgres: , redis: }").ok();
    assert_eq!(config.services, bare.services);
    // Its examples are right, too.
    let uncommented = |line: &str| -> Option<String> {
        let indent = line.len() - line.trim_start().len();
        let rest = line.trim_start().strip_prefix("# ")?;
        let (key, _) = rest.trim_start().split_once(':')?;
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        is_key.then(|| format!("{}{rest}", " ".repeat(indent)))
    };
    let lines = STARTER.lines().map(|line| uncommented(line).unwrap_or_else(|| line.to_owned()));
    let examples = lines.collect::<Vec<_>>().join("\n");
    let config = Project::new(examples).ok();
    assert_eq!(config.services.keys().collect::<Vec<_>>(), ["postgres", "redis", "search", "warehouse"]);
    assert!(config.adapters.contains_key("scripted"));
}

#[test]
fn init_is_idempotent() {
    let dir = repository();
    let below = dir.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    let root = directory(&below).unwrap();
    assert_eq!(root, dir.path().canonicalize().unwrap());

    let first = create(&root, false).unwrap();
    assert_eq!(first.config, ConfigFile::Written);
    assert_eq!(fs::read_to_string(&first.paths.config_file).unwrap(), STARTER);
    assert_eq!(fs::read_to_string(root.join(".tanuki/.gitignore")).unwrap(), "/workspaces/\n/state/\n");
    let mode = fs::metadata(&first.paths.state_dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    fs::write(root.join(".tanuki/.gitignore"), "mine\n/state/").unwrap();
    fs::write(&first.paths.config_file, "services: {}\n").unwrap();
    let second = create(&root, false).unwrap();
    assert_eq!(second.config, ConfigFile::Kept);
    assert_eq!(fs::read_to_string(&first.paths.config_file).unwrap(), "services: {}\n");
    assert_eq!(fs::read_to_string(root.join(".tanuki/.gitignore")).unwrap(), "mine\n/state/\n/workspaces/\n");
}

#[test]
fn force_keeps_the_old_file() {
    let dir = repository();
    let root = dir.path().canonicalize().unwrap();
    for (number, text) in [(1, "one"), (2, "two")] {
        fs::write(root.join("tanuki.yaml"), text).unwrap();
        let backup = root.join(format!("tanuki.yaml.bak-{number}"));
        assert_eq!(create(&root, true).unwrap().config, ConfigFile::Replaced { backup: backup.clone() });
        assert_eq!(fs::read_to_string(backup).unwrap(), text);
    }
    assert_eq!(create(&root, true).unwrap().config, ConfigFile::Kept);
    let left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "{left:?}");
}

#[test]
fn init_needs_a_repository() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(directory(dir.path()), Err(InitError::NoRepository(_))));
    assert!(matches!(create(dir.path(), false), Err(InitError::NoRepository(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    // A worktree has a file for `.git`.
    fs::write(dir.path().join(".git"), "gitdir: elsewhere\n").unwrap();
    create(dir.path(), false).unwrap();
    // A file in the way is an error, not a loss.
    let dir = repository();
    fs::write(dir.path().join(".tanuki"), "").unwrap();
    assert!(matches!(create(dir.path(), false), Err(InitError::Io { .. })));
}
