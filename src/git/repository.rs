//! The project's repository: where it is, what it has, and the bare one beside it that computes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::GitError;
use super::command::{Git, Output, failed};

/// The oldest git that merges without a checkout.
const OLDEST: (u32, u32) = (2, 38);

/// Alternates of alternates are followed so deep, as git does.
const ALTERNATES_DEPTH: usize = 5;

/// The git repository a project is in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    inner: Arc<Inner>,
    /// Where task files are, relative to the repository.
    tasks: Option<PathBuf>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    prefix: PathBuf,
    common: PathBuf,
    objects: Vec<PathBuf>,
    format: String,
    version: (u32, u32),
    state: PathBuf,
    workspaces: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    moves: tokio::sync::Mutex<()>,
}

/// What an agent's work begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Full name of a branch, as `refs/heads/main`; the commit id where it is no branch.
    pub reference: String,
    /// The commit.
    pub commit: String,
}

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

impl Repository {
    /// The repository around `project`. Keeps files of its own in `state_dir`.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be used, or git is not there or too old.
    pub async fn open(project: &Path, state_dir: &Path) -> Result<Self, GitError> {
        let version = version().await?;
        let project = project
            .canonicalize()
            .map_err(|error| GitError::io(format!("open {}", project.display()), error))?;
        let asked = Git::new("rev-parse")
            .args(["--path-format=absolute", "--is-bare-repository", "--is-shallow-repository"])
            .args(["--show-object-format", "--git-common-dir", "--is-inside-work-tree"])
            .within(&project)
            .output()
            .await?;
        if asked.code != 0 {
            return Err(not_opened(&project, &asked));
        }
        let text = asked.text();
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default();
        let (bare, shallow, format, common, inside) = (line(), line(), line(), line(), line());
        if bare == "true" || inside != "true" {
            return Err(GitError::Bare { path: project });
        }
        if shallow == "true" {
            let reason = "the repository is shallow, so its history cannot be lent to agents; \
                          `git fetch --unshallow` completes it";
            return Err(GitError::Unsupported { reason: reason.to_owned() });
        }
        let partial = Git::new("config")
            .args(["--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"])
            .within(&project)
            .output()
            .await?;
        if partial.code == 0 {
            let reason = "the repository is a partial clone, so some of its objects cannot be lent to agents; \
                          make a full clone";
            return Err(GitError::Unsupported { reason: reason.to_owned() });
        }
        let top = Git::new("rev-parse").arg("--show-toplevel").within(&project).text().await?;
        let canonical = |path: &str| {
            Path::new(path).canonicalize().map_err(|error| GitError::io(format!("open {path}"), error))
        };
        let (root, common) = (canonical(&top)?, canonical(common)?);
        let state = state_dir.join("git");
        let inner = Inner {
            prefix: project.strip_prefix(&root).unwrap_or(Path::new("")).to_owned(),
            root,
            objects: objects(&common.join("objects")),
            common,
            format: format.to_owned(),
            version,
            state,
            workspaces: Mutex::default(),
            moves: tokio::sync::Mutex::default(),
        };
        let repository = Self { inner: Arc::new(inner), tasks: None };
        repository.bare_at(&repository.plain_dir())?;
        Ok(repository)
    }

    /// The directory of its files: the top of the working tree the project is in.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Where in it the project is; empty when it is at the top.
    pub fn prefix(&self) -> &Path {
        &self.inner.prefix
    }

    /// The same repository, in which task files are in `directory`, relative to the project: what Tanuki writes into
    /// them stands in the way of no move, and stays.
    #[must_use]
    pub fn with_tasks_in(&self, directory: &Path) -> Self {
        Self { inner: Arc::clone(&self.inner), tasks: Some(self.inner.prefix.join(directory)) }
    }

    pub(super) fn tasks(&self) -> Option<&Path> {
        self.tasks.as_deref()
    }

    /// Directories of objects, the repository's own first: what a container has to see, at the same paths, for a
    /// workspace to be whole.
    pub fn objects(&self) -> &[PathBuf] {
        &self.inner.objects
    }

    /// How object ids are made: `sha1` or `sha256`.
    pub fn format(&self) -> &str {
        &self.inner.format
    }

    /// Whether git is at least so new.
    pub(super) fn has(&self, version: (u32, u32)) -> bool {
        self.inner.version >= version
    }

    pub(super) fn state(&self) -> &Path {
        &self.inner.state
    }

    /// What is to be done one at a time for an agent.
    pub(super) fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.inner.workspaces.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(name.to_owned()).or_default().clone()
    }

    /// Branches are moved one at a time.
    pub(super) fn moves(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.moves
    }

    /// The directory worktrees share.
    pub(super) fn common(&self) -> &Path {
        &self.inner.common
    }

    /// A command in the project, with the user's configuration: for references, and for the user's own checkout.
    pub(super) fn git(&self, subcommand: &str) -> Git {
        Git::new(subcommand).within(&self.inner.root)
    }

    /// A command that sees the project's objects and nothing else: no configuration, no attributes, no references.
    /// What it makes is in the project at once.
    pub(super) fn plain(&self, subcommand: &str) -> Git {
        let objects = self.inner.common.join("objects");
        let directory = self.plain_dir();
        Git::new(subcommand)
            .unconfigured()
            .within(&directory)
            .env("GIT_DIR", &directory)
            .env("GIT_OBJECT_DIRECTORY", objects)
    }

    fn plain_dir(&self) -> PathBuf {
        self.inner.state.join("plain")
    }

    /// Makes an empty bare repository there, which borrows nothing yet. Fine when it is there.
    pub(super) fn bare_at(&self, directory: &Path) -> Result<(), GitError> {
        let make = || {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700);
            for part in ["objects/info", "objects/pack", "refs"] {
                builder.create(directory.join(part))?;
            }
            let format = match self.format() {
                "sha1" => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n".to_owned(),
                other => format!(
                    "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = {other}\n"
                ),
            };
            fs::write(directory.join("config"), format)?;
            fs::write(directory.join("HEAD"), "ref: refs/heads/none\n")
        };
        make().map_err(|error| GitError::io(format!("write {}", directory.display()), error))
    }

    /// Who the user is to git; a stand-in where nothing says.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn identity(&self) -> Result<Identity, GitError> {
        let name = self.config_value("user.name").await?;
        let email = self.config_value("user.email").await?;
        Ok(Identity {
            name: name.unwrap_or_else(|| "Tanuki".to_owned()),
            email: email.unwrap_or_else(|| "tanuki@localhost".to_owned()),
        })
    }

    async fn config_value(&self, key: &str) -> Result<Option<String>, GitError> {
        let output = self.git("config").args(["--get", key]).output().await?;
        Ok((output.code == 0).then(|| output.text()).filter(|value| !value.is_empty()))
    }

    /// What work begins from: a branch, tag or commit, or the current branch.
    ///
    /// # Errors
    ///
    /// There is no such thing, or no commit at all.
    pub async fn resolve_base(&self, name: Option<&str>) -> Result<Base, GitError> {
        let asked = name.unwrap_or("HEAD");
        let unknown = || GitError::UnknownRef { name: asked.to_owned() };
        if asked.starts_with('-') || asked.is_empty() {
            return Err(unknown());
        }
        let Some(commit) = self.commit(asked).await? else {
            return Err(if name.is_none() { GitError::Empty } else { unknown() });
        };
        let full = self
            .git("rev-parse")
            .args(["--verify", "--quiet", "--symbolic-full-name", asked])
            .output()
            .await?
            .text();
        let reference = if full.starts_with("refs/heads/") { full } else { commit.clone() };
        Ok(Base { reference, commit })
    }

    /// The commit a reference leads to, where it leads to one.
    ///
    /// # Errors
    ///
    /// Git failed.
    pub async fn commit(&self, reference: &str) -> Result<Option<String>, GitError> {
        if reference.starts_with('-') {
            return Ok(None);
        }
        let output = self
            .git("rev-parse")
            .args(["--verify", "--quiet", &format!("{reference}^{{commit}}")])
            .output()
            .await?;
        match output.code {
            0 => Ok(Some(output.text())),
            // An ambiguous or impossible name ends with 128.
            1 | 128 => Ok(None),
            _ => Err(failed("git rev-parse", output.code, &output.stderr)),
        }
    }

    /// Moves references in one transaction: (name, new value, value it has to have). Without a new value it is
    /// deleted, an empty expected value means that it must not be there, an absent one that nobody cares.
    pub(super) async fn transact(
        &self,
        why: &str,
        changes: &[(&str, Option<&str>, Option<&str>)],
    ) -> Result<(), GitError> {
        let zero = "0".repeat(if self.format() == "sha1" { 40 } else { 64 });
        let mut script = String::new();
        for (reference, new, old) in changes {
            let old = old.map(|old| if old.is_empty() { zero.as_str() } else { old });
            match (new, old) {
                (Some(new), Some(old)) => script.push_str(&format!("update {reference} {new} {old}\n")),
                (Some(new), None) => script.push_str(&format!("update {reference} {new}\n")),
                (None, Some(old)) => script.push_str(&format!("delete {reference} {old}\n")),
                (None, None) => script.push_str(&format!("delete {reference}\n")),
            }
        }
        let output = self
            .git("update-ref")
            .args(["-m", why, "--no-deref", "--stdin"])
            .config("core.filesRefLockTimeout", "5000")
            .config("core.packedRefsTimeout", "5000")
            .stdin(script)
            // One that is killed leaves its locks, and the user with them.
            .survives()
            .output()
            .await?;
        if output.code == 0 {
            return Ok(());
        }
        let said = &output.stderr;
        let named = changes.iter().find(|(reference, ..)| said.contains(&format!("'{reference}'")));
        let reference = named.or(changes.first()).map(|(reference, ..)| (*reference).to_owned());
        let expected =
            ["but expected", "reference already exists", "reference is missing", "unable to resolve"];
        match reference {
            Some(reference) if expected.iter().any(|words| said.contains(words)) => {
                Err(GitError::Moved { reference })
            }
            Some(reference) if said.contains("cannot create") || said.contains("cannot lock ref") => {
                let branch = reference.trim_start_matches("refs/heads/").to_owned();
                Err(GitError::BadBranch { branch, reason: said.clone() })
            }
            _ => Err(failed("git update-ref", output.code, &output.stderr)),
        }
    }

    /// References below a prefix, with what they lead to.
    pub(super) async fn references(&self, prefix: &str) -> Result<Vec<(String, String)>, GitError> {
        let text =
            self.git("for-each-ref").args(["--format=%(objectname) %(refname)", prefix]).text().await?;
        let split = |line: &str| line.split_once(' ').map(|(id, name)| (name.to_owned(), id.to_owned()));
        Ok(text.lines().filter_map(split).collect())
    }
}

/// Which git there is.
async fn version() -> Result<(u32, u32), GitError> {
    let text = Git::new("version").text().await?;
    let words = text.trim_start_matches("git version ");
    let mut numbers = words.split(['.', ' ', '-']).map_while(|part| part.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        let reason = format!("git {words} is too old; {}.{} or newer is needed", OLDEST.0, OLDEST.1);
        return Err(GitError::Unsupported { reason });
    }
    Ok(version)
}

fn not_opened(project: &Path, output: &Output) -> GitError {
    let path = project.to_owned();
    if output.stderr.contains("dubious ownership") {
        GitError::Untrusted { path }
    } else if output.stderr.contains("not a git repository") {
        GitError::NotARepository { path }
    } else {
        failed("git rev-parse", output.code, &output.stderr)
    }
}

/// A directory of objects and those it borrows from, as they really are on disk.
fn objects(own: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut level = vec![own.to_owned()];
    for _ in 0..=ALTERNATES_DEPTH {
        let mut next = Vec::new();
        for directory in level.drain(..).filter_map(|directory| directory.canonicalize().ok()) {
            if found.contains(&directory) {
                continue;
            }
            let listed = fs::read_to_string(directory.join("info/alternates")).unwrap_or_default();
            let lines = listed.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '"']));
            next.extend(lines.map(|line| directory.join(line)));
            found.push(directory);
        }
        level = next;
    }
    found
}
