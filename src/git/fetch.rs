//! Bringing work out of a workspace: a fetch from a program that speaks for it.
//!
//! What comes is hostile. It is received in a place of its own that borrows the project's objects, bounded in size and
//! time, checked object by object, and only then becomes part of the project. One reference is asked for and no other
//! taken.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{STDERR_LIMIT, failed, read};
use super::{GitError, Repository};

/// A workspace with much work, through a slow engine.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Most bytes that are taken at once.
const LIMIT: u64 = 2 << 30;

/// Largest file that is taken, unpacked.
const LARGEST: u64 = 1 << 30;

/// So many times as much may come out of what is taken when it is unpacked.
const UNPACKED: u64 = 4;

/// Packs with fewer objects become single ones.
const FEW_OBJECTS: u32 = 100;

/// Larger packs stay packs, whatever they hold.
const SMALL_PACK: u64 = 8 << 20;

/// Most memory that receiving takes: what is announced is kept there, and a hostile side never ends announcing.
const MEMORY: u64 = 2 << 30;

/// How often is looked at how much has come.
const LOOK: Duration = Duration::from_millis(100);

/// A program that connects its streams to `git upload-pack` in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. Anybody on the machine can see them.
    pub args: Vec<String>,
    /// Variables it gets.
    pub env: Vec<(String, String)>,
}

impl Transport {
    /// The address git takes it by. Its rule: spaces part arguments, and a percent sign escapes.
    fn address(&self) -> String {
        let escape = |text: &str| text.replace('%', "%%").replace(' ', "% ");
        let program = self.program.to_string_lossy();
        let words = std::iter::once(escape(&program)).chain(self.args.iter().map(|arg| escape(arg)));
        format!("ext::{}", words.collect::<Vec<_>>().join(" "))
    }
}

/// How much is taken, and how long is waited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    /// Of one file, unpacked.
    pub(super) file: u64,
    pub(super) time: Duration,
    pub(super) memory: u64,
    /// Takes lists of submodules and attributes that git would not follow: what is only kept does no harm by them.
    pub(super) any_lists: bool,
}

/// What git says of lists that it would not follow.
const LISTS: &[&str] = &[
    "gitmodulesBlob",
    "gitmodulesLarge",
    "gitmodulesMissing",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesSymlink",
    "gitmodulesUpdate",
    "gitmodulesUrl",
    "gitattributesBlob",
    "gitattributesLarge",
    "gitattributesLineLength",
    "gitattributesMissing",
];

impl Repository {
    /// Brings the agent's branch from its workspace into the project, and tells its newest commit; `None` where the
    /// workspace has no such branch. Where the agent has rewritten its history, the head there was stays reachable
    /// under `refs/tanuki/old/<name>/`; where the project's branch is ahead of the workspace's, it stays as it is.
    ///
    /// # Errors
    ///
    /// The workspace cannot be reached, what comes is broken or too large, or the branch is checked out where it
    /// cannot be moved. Nothing has changed then but that the commit is kept as `refs/tanuki/fetched/<name>`.
    pub async fn fetch(
        &self,
        transport: &Transport,
        name: &str,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        let turn = self.turn(name);
        let _turn = turn.lock().await;
        let head = format!("refs/heads/{branch}");
        let fetched = format!("refs/tanuki/fetched/{name}");
        let Some(new) = self.receive(transport, name, &head, false).await? else { return Ok(None) };
        let why = format!("tanuki: work of {name}");
        self.transact(&why, &[(&fetched, Some(&new), None)]).await?;
        let old = self.commit(&head).await?;
        let Some(old) = old else {
            self.transact(&why, &[(&head, Some(&new), Some(""))]).await?;
            return Ok(Some(new));
        };
        if self.is_ancestor(&new, &old).await? {
            return Ok(Some(old));
        }
        if !self.is_ancestor(&old, &new).await? {
            let kept = format!("refs/tanuki/old/{name}/{}", old.get(..12).unwrap_or(&old));
            self.transact(&why, &[(&kept, Some(&old), None)]).await?;
        }
        self.move_branch(&head, &old, &new, &why, &[]).await?;
        Ok(Some(new))
    }

    /// Brings one reference of a workspace's repository into the project's objects, and tells its commit. No
    /// reference of the project changes: the caller makes one before the next garbage collection.
    ///
    /// # Errors
    ///
    /// The workspace cannot be reached, or what comes is broken or too large.
    pub(super) async fn receive(
        &self,
        transport: &Transport,
        name: &str,
        reference: &str,
        any_lists: bool,
    ) -> Result<Option<String>, GitError> {
        let bounds = Bounds { bytes: LIMIT, file: LARGEST, time: TIMEOUT, memory: MEMORY, any_lists };
        self.receive_within(transport, name, reference, bounds).await
    }

    pub(super) async fn receive_within(
        &self,
        transport: &Transport,
        name: &str,
        reference: &str,
        bounds: Bounds,
    ) -> Result<Option<String>, GitError> {
        let place = self.state().join("incoming").join(name);
        let clear = || match fs::remove_dir_all(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(GitError::io(format!("clear {}", place.display()), error))
            }
            _ => Ok(()),
        };
        // A killed controller may have left one.
        clear()?;
        self.bare_at(&place)?;
        let received = self.receive_at(&place, transport, reference, bounds).await;
        let moved = match received {
            Ok(Some(commit)) => {
                let (from, to) = (place.join("objects"), self.common().join("objects"));
                self.unpack_small(&from.join("pack")).await?;
                adopt(&from, &to)
                    .map(|()| Some(commit))
                    .map_err(|error| GitError::io("take over what was fetched", error))
            }
            other => other,
        };
        clear()?;
        moved
    }

    async fn receive_at(
        &self,
        place: &Path,
        transport: &Transport,
        reference: &str,
        bounds: Bounds,
    ) -> Result<Option<String>, GitError> {
        let mut alternates = self.common().join("objects").into_os_string().into_encoded_bytes();
        alternates.push(b'\n');
        fs::write(place.join("objects/info/alternates"), alternates)
            .map_err(|error| GitError::io(format!("write {}", place.display()), error))?;
        let mut git = super::command::Git::new("fetch")
            .unconfigured()
            .within(place)
            .env("GIT_DIR", place)
            .config("protocol.ext.allow", "always")
            .config("fetch.fsckObjects", "true")
            .config("fetch.uriProtocols", "")
            .config("transfer.bundleURI", "false")
            .config("core.bigFileThreshold", "32m")
            .args(["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"])
            .args(["--no-auto-maintenance", "--no-show-forced-updates", "--refmap="])
            .arg(transport.address())
            .arg(format!("+{reference}:refs/incoming"));
        for list in LISTS.iter().filter(|_| bounds.any_lists) {
            git = git.config(format!("fetch.fsck.{list}"), "ignore");
        }
        for (name, value) in &transport.env {
            git = git.env(name, value);
        }
        let mut running = git.spawn()?;
        running.bound_memory(bounds.memory);
        let io = |error| GitError::io("talk to git fetch", error);
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let said = async { tokio::join!(read(stdout, STDERR_LIMIT), read(stderr, STDERR_LIMIT)) };
        tokio::pin!(said);
        let objects = place.join("objects");
        let late = tokio::time::sleep(bounds.time);
        tokio::pin!(late);
        let mut look = tokio::time::interval(LOOK);
        let stderr = loop {
            tokio::select! {
                biased;
                (_, stderr) = &mut said => break stderr.map_err(io)?.0,
                () = &mut late => {
                    return Err(GitError::TimedOut { command: "git fetch".to_owned(), seconds: bounds.time.as_secs() });
                }
                _ = look.tick() => {
                    if size(&objects) > bounds.bytes {
                        return Err(GitError::TooLarge { limit: bounds.bytes });
                    }
                }
            }
        };
        let status = running.child.wait().await.map_err(io)?;
        let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
        if status.success() {
            if size(&objects) > bounds.bytes {
                return Err(GitError::TooLarge { limit: bounds.bytes });
            }
            let head = super::command::Git::new("rev-parse")
                .unconfigured()
                .within(place)
                .env("GIT_DIR", place)
                .args(["--verify", "--quiet", "refs/incoming^{commit}"])
                .output()
                .await?;
            if head.code != 0 {
                return Err(not_a_commit(reference));
            }
            check_unpacked(place, bounds).await?;
            return Ok(Some(head.text()));
        }
        if stderr.contains("couldn't find remote ref") {
            return Ok(None);
        }
        Err(failed("git fetch", status.code().unwrap_or(-1), &stderr))
    }

    /// Makes single objects in the project of packs that hold few, as git itself would: a pack for each step of an
    /// agent would soon slow everything down.
    async fn unpack_small(&self, packs: &Path) -> Result<(), GitError> {
        let io = |error| GitError::io("take over what was fetched", error);
        for entry in fs::read_dir(packs).map_err(io)?.flatten() {
            let pack = entry.path();
            let small = entry.metadata().is_ok_and(|metadata| metadata.len() < SMALL_PACK);
            if !small || pack.extension().is_none_or(|extension| extension != "pack") {
                continue;
            }
            let bytes = fs::read(&pack).map_err(io)?;
            let Some(count) = bytes.get(8..12).and_then(|count| count.try_into().ok()) else { continue };
            if u32::from_be_bytes(count) < FEW_OBJECTS {
                self.plain("unpack-objects").arg("-q").stdin(bytes).run().await?;
                for extension in ["idx", "rev", "pack"] {
                    // Gone with its directory otherwise.
                    drop(fs::remove_file(pack.with_extension(extension)));
                }
            }
        }
        Ok(())
    }

    /// Whether one commit is in the history of another, or is it.
    pub(super) async fn is_ancestor(&self, old: &str, new: &str) -> Result<bool, GitError> {
        let output = self.plain("merge-base").args(["--is-ancestor", old, new]).output().await?;
        match output.code {
            0 => Ok(true),
            1 => Ok(false),
            code => Err(failed("git merge-base", code, &output.stderr)),
        }
    }
}

/// Looks how large what came is when it is unpacked: what is nothing on the way can be more than a disk holds.
async fn check_unpacked(place: &Path, bounds: Bounds) -> Result<(), GitError> {
    // The project's own objects are not looked at.
    fs::remove_file(place.join("objects/info/alternates"))
        .map_err(|error| GitError::io(format!("write {}", place.display()), error))?;
    let sizes = super::command::Git::new("cat-file")
        .unconfigured()
        .within(place)
        .env("GIT_DIR", place)
        .args(["--batch-all-objects", "--unordered", "--batch-check=%(objectsize)"])
        .run()
        .await?;
    let mut all = 0_u64;
    for size in sizes.text().lines().filter_map(|size| size.parse().ok()) {
        if size > bounds.file {
            return Err(GitError::LargeFile { size, limit: bounds.file });
        }
        all = all.saturating_add(size);
    }
    let limit = bounds.bytes.saturating_mul(UNPACKED);
    if all > limit || sizes.truncated { Err(GitError::TooLarge { limit }) } else { Ok(()) }
}

fn not_a_commit(reference: &str) -> GitError {
    GitError::Failed { command: "git fetch".to_owned(), stderr: format!("{reference} is no commit there") }
}

/// Bytes below a directory. Files that vanish meanwhile do not count.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_gone) => 0,
        })
        .sum()
}

/// Moves loose objects and packs from one store into another. A pack's index comes last, since that is what makes
/// others see it.
fn adopt(from: &Path, to: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for directory in fs::read_dir(from)?.flatten().filter(|entry| entry.file_name() != "info") {
        for file in fs::read_dir(directory.path())?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if !name.starts_with("tmp_") {
                let below = Path::new(&directory.file_name()).join(&name);
                files.push((name.ends_with(".idx"), below));
            }
        }
    }
    files.sort();
    for (_, below) in files {
        let (source, target) = (from.join(&below), to.join(&below));
        if target.exists() {
            continue;
        }
        if let Some(directory) = target.parent() {
            fs::create_dir_all(directory)?;
        }
        if fs::rename(&source, &target).is_err() {
            // Another file system: copied beside it first, so that nobody sees a part.
            let beside = target.with_extension("tmp_tanuki");
            fs::copy(&source, &beside)?;
            fs::rename(&beside, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn sh(directory: &Path, script: &str) {
        let done = Command::new("sh").args(["-ec", script]).current_dir(directory).status().unwrap();
        assert!(done.success(), "{script}");
    }

    #[tokio::test]
    async fn what_is_too_large_or_too_slow_is_ended_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let identity = "git config user.name a; git config user.email a@example.org";
        let begin =
            format!("git init -q project; cd project; {identity}; git commit -q --allow-empty -m first");
        sh(dir.path(), &begin);
        sh(dir.path(), "git clone -q project workspace");
        let work = format!(
            "cd workspace; {identity}; head -c 3000000 /dev/urandom >big; git add big; git commit -q -m big"
        );
        sh(dir.path(), &work);
        let repository =
            Repository::open(&dir.path().join("project"), &dir.path().join("state")).await.unwrap();
        let workspace = dir.path().join("workspace").display().to_string();
        let transport = |program: &str, args: &[&str]| Transport {
            program: program.into(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
        };
        let bounds = |bytes, millis| Bounds {
            bytes,
            file: 4 << 20,
            time: Duration::from_millis(millis),
            memory: 256 << 20,
            any_lists: false,
        };
        let honest = transport("git", &["upload-pack", &workspace]);
        let silent = transport("sleep", &["300.5"]);
        let receive = |transport, bounds| {
            let repository = repository.clone();
            async move { repository.receive_within(&transport, "api", "HEAD", bounds).await }
        };
        let large = receive(honest.clone(), bounds(1 << 20, 60_000)).await.unwrap_err();
        assert!(matches!(large, GitError::TooLarge { .. }), "{large}");
        let late = receive(silent, bounds(1 << 30, 300)).await.unwrap_err();
        assert!(matches!(late, GitError::TimedOut { .. }), "{late}");
        let line = format!("003d{} refs/heads/main", "1".repeat(40));
        let endless = receive(transport("yes", &[&line]), bounds(1 << 30, 60_000)).await.unwrap_err();
        assert!(matches!(endless, GitError::Failed { .. }), "{endless}");
        // The end of a process group is not seen at once.
        let ended = "for i in $(seq 50); do pgrep -fx 'sleep 300.5' || exit 0; sleep 0.1; done; exit 1";
        sh(dir.path(), ended);
        assert!(!dir.path().join("state/git/incoming/api").exists());
        sh(&dir.path().join("project"), "[ -z \"$(find .git/objects -size +500k)\" ]");
        assert!(receive(honest.clone(), bounds(1 << 30, 60_000)).await.unwrap().is_some());
        // Nothing on the way, and large when it is unpacked: one file, and many.
        let one = "cd workspace; truncate -s 5M bomb; git add bomb; git commit -q -m bomb";
        sh(dir.path(), one);
        let bomb = receive(honest.clone(), bounds(1 << 30, 60_000)).await.unwrap_err();
        assert!(matches!(bomb, GitError::LargeFile { size: 5_242_880, .. }), "{bomb}");
        let many = "cd workspace; git rm -q bomb; for n in 31 32 33 34 35 36; do truncate -s ${n}00K $n; done; git add .
                    git commit -q --amend -m many";
        sh(dir.path(), many);
        let bombs = receive(honest.clone(), bounds(4 << 20, 60_000)).await.unwrap_err();
        assert!(matches!(bombs, GitError::TooLarge { limit: 16_777_216 }), "{bombs}");
        assert!(receive(honest, bounds(16 << 20, 60_000)).await.unwrap().is_some());
    }
}
