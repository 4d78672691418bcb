//! Git in memory: references and commits, as far as agents stand on them. Workspaces are real directories.
//!
//! In a workspace, `head` names the commit its branch is at, and each line of `work` is a piece of work that is not
//! committed. A commit is the set of pieces that are in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use fastrand::Rng;
use tanuki::git::{
    Base, Diff, GitError, Head, Made, Mended, Merged, Merging, ProjectGit, Rescue, Transport, Undone,
};
use tanuki::model::{DiffFormat, Time};
use tokio::task::yield_now;

/// The branch agents are made from.
pub(crate) const MAIN: &str = "refs/heads/main";

/// The project's repository; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct FakeGit {
    repository: Arc<Mutex<Repository>>,
    objects: Arc<Vec<PathBuf>>,
    faults: Arc<Mutex<(Rng, f64)>>,
}

#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// What references lead to.
    pub(crate) refs: BTreeMap<String, String>,
    /// Parent and pieces of work of each commit.
    pub(crate) commits: BTreeMap<String, Commit>,
    /// What a container has made ready to be fetched, by where.
    pub(crate) offered: BTreeMap<String, Commit>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Commit {
    pub(crate) parent: Option<String>,
    pub(crate) pieces: BTreeSet<String>,
}

impl Repository {
    pub(crate) fn add(&mut self, commit: Commit) -> String {
        let id = format!("c{}", self.commits.len());
        self.commits.insert(id.clone(), commit);
        id
    }

    fn has(&self, commit: &str, other: &str) -> bool {
        let mut at = Some(commit.to_owned());
        while let Some(commit) = at {
            if commit == other {
                return true;
            }
            at = self.commits.get(&commit).and_then(|commit| commit.parent.clone());
        }
        false
    }

    fn below(&self, prefix: &str) -> Vec<String> {
        self.refs.keys().filter(|name| name.starts_with(prefix)).cloned().collect()
    }
}

/// What a workspace has on disk.
pub(crate) struct Workspace {
    pub(crate) head: String,
    pub(crate) work: BTreeSet<String>,
}

/// Reads a workspace; `None` where there is none, or only half of one.
pub(crate) fn read(directory: &Path) -> Option<Workspace> {
    let head = fs::read_to_string(directory.join("head")).ok()?;
    let work = fs::read_to_string(directory.join("work")).unwrap_or_default();
    Some(Workspace { head, work: work.lines().map(str::to_owned).collect() })
}

/// Writes a workspace whose directory is there.
pub(crate) fn write(directory: &Path, workspace: &Workspace) {
    let lines: String = workspace.work.iter().map(|piece| format!("{piece}\n")).collect();
    fs::write(directory.join("work"), lines).unwrap();
    fs::write(directory.join("head"), &workspace.head).unwrap();
}

impl FakeGit {
    /// A repository with one commit on its main branch, and faults at such a rate.
    pub(crate) fn new(objects: PathBuf, seed: u64, faults: f64) -> Self {
        let mut repository = Repository::default();
        let first = repository.add(Commit::default());
        repository.refs.insert(MAIN.to_owned(), first);
        Self {
            repository: Arc::new(Mutex::new(repository)),
            objects: Arc::new(vec![objects]),
            faults: Arc::new(Mutex::new((Rng::with_seed(seed), faults))),
        }
    }

    pub(crate) fn heal(&self) {
        self.faults.lock().unwrap().1 = 0.0;
    }

    pub(crate) fn repository(&self) -> MutexGuard<'_, Repository> {
        self.repository.lock().unwrap()
    }

    /// Everything that keeps work of an agent: its branch and its rescues.
    pub(crate) fn kept(&self, agent: &str) -> BTreeSet<String> {
        let repository = self.repository();
        let mut names = repository.below(&format!("refs/tanuki/rescue/{agent}/"));
        names.push(format!("refs/heads/tanuki/{agent}"));
        let commits = names.iter().filter_map(|name| repository.commits.get(repository.refs.get(name)?));
        commits.flat_map(|commit| commit.pieces.iter().cloned()).collect()
    }

    /// Where a controller can die, and where git can fail.
    async fn point(&self) -> Result<(), GitError> {
        yield_now().await;
        let mut faults = self.faults.lock().unwrap();
        let rate = faults.1;
        if faults.0.f64() < rate {
            let stderr = "a fault of the test".to_owned();
            return Err(GitError::Failed { command: "git".to_owned(), stderr });
        }
        Ok(())
    }

    /// One call: it may fail before its effect, or be done without anybody hearing of it.
    async fn call<T>(
        &self,
        effect: impl FnOnce(&mut Repository) -> Result<T, GitError> + Send,
    ) -> Result<T, GitError> {
        self.point().await?;
        let result = effect(&mut self.repository());
        self.point().await?;
        result
    }

    async fn write_workspace(&self, dest: &Path, workspace: &Workspace) -> Result<(), GitError> {
        let io = |source| GitError::Io { what: format!("write {}", dest.display()), source };
        fs::create_dir_all(dest).map_err(io)?;
        self.point().await?;
        write(dest, workspace);
        Ok(())
    }
}

fn unused<T>() -> Result<T, GitError> {
    Err(GitError::Nothing { what: "no test asks for this".to_owned() })
}

#[async_trait]
impl ProjectGit for FakeGit {
    fn objects(&self) -> &[PathBuf] {
        &self.objects
    }

    fn format(&self) -> &str {
        "sha1"
    }

    fn with_tasks_in(&self, _directory: &Path) -> Arc<dyn ProjectGit> {
        Arc::new(self.clone())
    }

    async fn resolve_base(&self, _name: Option<&str>) -> Result<Base, GitError> {
        self.call(|repository| Ok(Base { reference: MAIN.to_owned(), commit: repository.refs[MAIN].clone() }))
            .await
    }

    async fn commit(&self, reference: &str) -> Result<Option<String>, GitError> {
        self.call(|repository| {
            let known = repository.commits.contains_key(reference).then(|| reference.to_owned());
            Ok(known.or_else(|| repository.refs.get(reference).cloned()))
        })
        .await
    }

    async fn heads(&self, asked: &[(String, String)]) -> Result<Vec<Head>, GitError> {
        self.call(|repository| {
            let head = |(branch, _): &(String, String)| {
                let commit = repository.refs.get(&format!("refs/heads/{branch}")).cloned();
                Head { commit, ahead: None, behind: None }
            };
            Ok(asked.iter().map(head).collect())
        })
        .await
    }

    async fn make_workspace(
        &self,
        name: &str,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        let head = format!("refs/heads/{branch}");
        self.call(|repository| {
            if repository.refs.contains_key(&head) {
                return Err(GitError::BranchExists { branch: branch.to_owned() });
            }
            repository.refs.insert(head, base.commit.clone());
            repository.refs.insert(format!("refs/tanuki/base/{name}"), base.commit.clone());
            Ok(())
        })
        .await?;
        let workspace = Workspace { head: base.commit.clone(), work: BTreeSet::new() };
        let written = self.write_workspace(dest, &workspace).await;
        if written.is_err() {
            drop(fs::remove_dir_all(dest));
            drop(self.drop_refs(name, branch, &base.commit).await);
        }
        written.map(|()| Made::default())
    }

    async fn drop_refs(&self, name: &str, branch: &str, expected: &str) -> Result<(), GitError> {
        let head = format!("refs/heads/{branch}");
        self.call(|repository| {
            if let Some(at) = repository.refs.get(&head) {
                if at != expected {
                    return Err(GitError::Moved { reference: head });
                }
                repository.refs.remove(&head);
            }
            Ok(())
        })
        .await?;
        self.call(|repository| {
            for kept in ["base", "fetched"] {
                repository.refs.remove(&format!("refs/tanuki/{kept}/{name}"));
            }
            Ok(())
        })
        .await
    }

    async fn fetch(
        &self,
        _transport: &Transport,
        name: &str,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        let workspace = self.workspace(name);
        self.call(|repository| {
            let Some(workspace) = read(&workspace) else { return Ok(None) };
            repository.refs.insert(format!("refs/tanuki/fetched/{name}"), workspace.head.clone());
            repository.refs.insert(format!("refs/heads/{branch}"), workspace.head.clone());
            Ok(Some(workspace.head))
        })
        .await
    }

    async fn fetch_rescue(&self, transport: &Transport, name: &str, at: Time) -> Result<Rescue, GitError> {
        let place = transport.args.last().cloned().unwrap_or_default();
        let commit = self
            .call(|repository| {
                let offered = repository.offered.get(place.trim_end_matches("/git")).cloned();
                let offered =
                    offered.ok_or_else(|| GitError::Nothing { what: "nothing is saved".to_owned() })?;
                Ok(repository.add(offered))
            })
            .await?;
        self.keep(name, commit, at).await
    }

    async fn rescue_commit(
        &self,
        name: &str,
        head: &str,
        _message: &str,
        at: Time,
    ) -> Result<Rescue, GitError> {
        let commit = self
            .call(|repository| {
                let pieces = repository.commits[head].pieces.clone();
                Ok(repository.add(Commit { parent: Some(head.to_owned()), pieces }))
            })
            .await?;
        self.keep(name, commit, at).await
    }

    async fn rescues(&self, name: Option<&str>) -> Result<Vec<Rescue>, GitError> {
        let name = name.unwrap_or_default().to_owned();
        self.call(|repository| {
            let rescue = |reference: String| {
                let commit = repository.refs[&reference].clone();
                Rescue { name: name.clone(), reference, commit }
            };
            Ok(repository.below(&format!("refs/tanuki/rescue/{name}/")).into_iter().map(rescue).collect())
        })
        .await
    }

    async fn rescued_head(&self, rescue: &Rescue) -> Result<String, GitError> {
        self.call(|repository| Ok(repository.commits[&rescue.commit].parent.clone().unwrap_or_default()))
            .await
    }

    async fn restore_rescue(
        &self,
        rescue: &Rescue,
        dest: &Path,
        branch: &str,
        base: &Base,
    ) -> Result<Made, GitError> {
        let head = self.rescued_head(rescue).await?;
        let begin = Base { reference: base.reference.clone(), commit: head.clone() };
        self.make_workspace(&rescue.name, dest, branch, &begin).await?;
        let restored = self
            .call(|repository| {
                let work = repository.commits[&rescue.commit].pieces.clone();
                write(dest, &Workspace { head: head.clone(), work });
                Ok(Made::default())
            })
            .await;
        if restored.is_err() {
            drop(fs::remove_dir_all(dest));
            drop(self.drop_refs(&rescue.name, branch, &head).await);
        }
        restored
    }

    async fn has_all(&self, target: &str, head: &str) -> Result<bool, GitError> {
        self.call(|repository| Ok(repository.has(target, head))).await
    }

    async fn conflicts(&self, _target: &str, _head: &str) -> Result<Vec<String>, GitError> {
        unused()
    }

    async fn compute_merge(&self, _merging: &Merging<'_>) -> Result<Merged, GitError> {
        unused()
    }

    async fn land(&self, _name: &str, _merged: &Merged) -> Result<Vec<String>, GitError> {
        unused()
    }

    async fn has_undo(&self, _name: &str) -> Result<bool, GitError> {
        Ok(false)
    }

    async fn undo_merge(&self, _name: &str) -> Result<Undone, GitError> {
        unused()
    }

    async fn mend_moves(&self) -> Result<Vec<Mended>, GitError> {
        Ok(Vec::new())
    }

    async fn merge_base(&self, _one: &str, _other: &str) -> Result<Option<String>, GitError> {
        unused()
    }

    async fn diff(&self, _from: &str, _to: &str, _format: DiffFormat) -> Result<Diff, GitError> {
        unused()
    }
}

impl FakeGit {
    async fn keep(&self, name: &str, commit: String, at: Time) -> Result<Rescue, GitError> {
        self.call(|repository| {
            let reference = format!("refs/tanuki/rescue/{name}/{:015}", at.0);
            repository.refs.insert(reference.clone(), commit.clone());
            Ok(Rescue { name: name.to_owned(), reference, commit })
        })
        .await
    }

    /// Where an agent's workspace is: the objects are beside them.
    fn workspace(&self, name: &str) -> PathBuf {
        self.objects[0].parent().unwrap().join(".tanuki/workspaces").join(name)
    }
}
