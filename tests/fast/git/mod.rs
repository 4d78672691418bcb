//! Git in the project's repository, against real git in temporary directories.

mod carries;
mod fetches;
mod mends;
mod merges;
mod opens;
mod rescues;
mod workspaces;

use std::path::{Path, PathBuf};
use std::process::Command;

use tanuki::git::{Base, Repository, Transport};

/// A repository with one commit, and what Tanuki keeps beside it.
pub(super) struct Yard {
    /// Everything of the test.
    pub(super) dir: tempfile::TempDir,
}

impl Yard {
    /// `main` has `a.txt` with ten lines.
    pub(super) fn new() -> Self {
        let yard = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(yard.root()).unwrap();
        yard.git(&["init", "-q", "-b", "main"]);
        yard.git(&["config", "user.name", "Ada"]);
        yard.git(&["config", "user.email", "ada@example.org"]);
        yard.write("a.txt", &(1..=10).map(|n| format!("line {n}\n")).collect::<String>());
        yard.commit("first");
        yard
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("project")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn git(&self, args: &[&str]) -> String {
        git_in(&self.root(), args)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root().join(name)).unwrap()
    }

    /// Commits everything and tells the commit.
    pub(super) fn commit(&self, message: &str) -> String {
        commit_in(&self.root(), message)
    }

    pub(super) fn head(&self, reference: &str) -> String {
        self.git(&["rev-parse", "--verify", reference])
    }

    pub(super) async fn open(&self) -> Repository {
        Repository::open(&self.root(), &self.path("state")).await.unwrap()
    }

    /// A workspace of agent `api` on `main`; what an agent does there is done by the tests.
    pub(super) async fn workspace(&self, repository: &Repository) -> (PathBuf, Base) {
        let base = repository.resolve_base(None).await.unwrap();
        let dest = self.path("workspace");
        repository.make_workspace("api", &dest, "tanuki/api", &base).await.unwrap();
        (dest, base)
    }
}

pub(super) fn git_in(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?} in {}: {said}", directory.display());
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(super) fn commit_in(directory: &Path, message: &str) -> String {
    git_in(directory, &["add", "-A"]);
    git_in(directory, &["commit", "-q", "--allow-empty", "-m", message]);
    git_in(directory, &["rev-parse", "HEAD"])
}

/// A transport that needs no container.
pub(super) fn transport(workspace: &Path) -> Transport {
    Transport {
        program: "sh".into(),
        args: vec![
            "-c".into(),
            "exec git upload-pack \"$1\" 2>/dev/null".into(),
            "100% sh".into(),
            workspace.display().to_string(),
        ],
        env: vec![("GIT_PROTOCOL".into(), "version=2".into())],
    }
}
