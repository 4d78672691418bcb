//! Moves of a checkout that were cut off in the middle: finished, taken back, or left to the user.

use std::fs::{self, File};
use std::path::Path;

use super::{Yard, git_in};
use tanuki::git::{GitError, Mended, Merging, Outcome, Repository};
use tanuki::model::MergeMethod;

/// `main` is checked out at its first commit; `work`, one ahead, changes, removes and adds files. A move from one to the
/// other is under way, and nothing of it is done yet.
async fn begun(yard: &Yard) -> (Repository, String, String) {
    yard.write("gone.txt", "gone\n");
    yard.write("mine.txt", "mine\n");
    let old = yard.commit("before");
    yard.git(&["checkout", "-q", "-b", "work"]);
    yard.write("a.txt", "another text\n");
    yard.write("new/deep/one.txt", "one\n");
    yard.write("new/two.txt", "two\n");
    fs::remove_file(yard.root().join("gone.txt")).unwrap();
    let new = yard.commit("after");
    yard.git(&["checkout", "-q", "main"]);
    yard.git(&["update-ref", "refs/tanuki/moving/from/main", &old]);
    yard.git(&["update-ref", "refs/tanuki/moving/to/main", &new]);
    (yard.open().await, old, new)
}

/// A move that was killed after it had written some files, and half of another.
fn half_written(yard: &Yard) {
    yard.write("a.txt", "another t");
    yard.write("new/deep/one.txt", "one\n");
    fs::remove_file(yard.root().join("gone.txt")).unwrap();
    yard.write(".git/index.lock", "");
}

fn status(yard: &Yard) -> String {
    yard.git(&["status", "--porcelain", "--untracked-files=all"])
}

fn moving(yard: &Yard) -> String {
    yard.git(&["for-each-ref", "refs/tanuki/moving"])
}

async fn mend(repository: &Repository) -> Outcome {
    let mut found = repository.mend_moves().await.unwrap();
    let Mended { branch, outcome } = found.pop().unwrap();
    assert_eq!((branch.as_str(), found), ("main", Vec::new()));
    outcome
}

#[tokio::test]
async fn files_that_were_written_are_taken_back_and_what_is_the_users_stays() {
    let yard = Yard::new();
    let (repository, old, _) = begun(&yard).await;
    half_written(&yard);
    yard.write("mine.txt", "changed by hand\n");
    yard.write("new/untracked.txt", "mine too\n");
    assert_eq!(mend(&repository).await, Outcome::TakenBack(3));
    assert_eq!(status(&yard), " M mine.txt\n?? new/untracked.txt");
    assert_eq!((yard.head("main"), yard.read("gone.txt")), (old, "gone\n".to_owned()));
    assert!(!yard.root().join("new/deep").exists() && !yard.root().join(".git/index.lock").exists());
    assert_eq!(moving(&yard), "");
    assert_eq!(repository.mend_moves().await.unwrap(), []);
}

#[tokio::test]
async fn where_only_the_branch_is_missing_the_move_is_finished() {
    let yard = Yard::new();
    let (repository, _, new) = begun(&yard).await;
    yard.git(&["read-tree", "-m", "-u", "HEAD", "work"]);
    yard.write(".git/HEAD.lock", "");
    assert_eq!(mend(&repository).await, Outcome::Finished);
    assert_eq!((yard.head("main"), status(&yard), moving(&yard)), (new, String::new(), String::new()));
}

#[tokio::test]
async fn where_nothing_had_begun_or_all_was_over_nothing_is_done() {
    let yard = Yard::new();
    let (repository, old, new) = begun(&yard).await;
    yard.write("mine.txt", "changed by hand\n");
    assert_eq!(mend(&repository).await, Outcome::Whole);
    assert_eq!((status(&yard), moving(&yard)), (" M mine.txt".to_owned(), String::new()));
    for (reference, commit) in [("from", &old), ("to", &new)] {
        yard.git(&["update-ref", &format!("refs/tanuki/moving/{reference}/main"), commit]);
    }
    yard.git(&["merge", "-q", "--ff-only", "work"]);
    assert_eq!(mend(&repository).await, Outcome::Whole);
    assert_eq!((yard.head("main"), moving(&yard)), (new, String::new()));
}

#[tokio::test]
async fn what_is_neither_as_before_nor_as_after_is_left_to_the_user_and_merges_wait() {
    let yard = Yard::new();
    let (repository, old, new) = begun(&yard).await;
    half_written(&yard);
    yard.write("new/two.txt", "what I have written since\n");
    let before = status(&yard);
    let outcome = mend(&repository).await;
    assert!(matches!(&outcome, Outcome::Stuck(why) if why.contains("new/two.txt")), "{outcome:?}");
    assert_eq!((status(&yard), yard.read("a.txt")), (before, "another t".to_owned()));
    let target = "refs/heads/main";
    let merging = Merging { branch: "work", head: &new, target, method: MergeMethod::Merge, message: None };
    let merged = repository.compute_merge(&merging).await.unwrap();
    let refused = repository.land("api", &merged).await.unwrap_err();
    assert!(
        matches!(&refused, GitError::CheckedOut { reason, .. } if reason.contains("cut off")),
        "{refused}"
    );
    // Once it is in order, the next merge finds that by itself.
    fs::remove_file(yard.root().join("new/two.txt")).unwrap();
    repository.land("api", &merged).await.unwrap();
    assert_eq!((yard.head("main"), status(&yard), moving(&yard)), (new, String::new(), String::new()));
    assert_eq!(repository.undo_merge("api").await.unwrap().commit, old);
    assert_eq!((yard.head("main"), status(&yard), moving(&yard)), (old, String::new(), String::new()));
}

#[tokio::test]
async fn a_git_that_is_at_work_is_left_to_its_end() {
    let yard = Yard::new();
    let (repository, ..) = begun(&yard).await;
    half_written(&yard);
    let held = File::open(yard.root().join(".git/index.lock")).unwrap();
    assert_eq!(mend(&repository).await, Outcome::Busy);
    assert_eq!(yard.read("a.txt"), "another t");
    drop(held);
    assert_eq!(mend(&repository).await, Outcome::TakenBack(3));
}

/// Kills whoever has this file open, if anybody does; whether it was there.
fn kill_holder(lock: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    for process in processes.flatten() {
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|open| open == lock)) {
            let pid = process.file_name().to_string_lossy().parse().ok();
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                return rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok();
            }
        }
    }
    false
}

#[tokio::test]
async fn a_merge_whose_git_is_killed_with_its_controller_is_never_left_half_done() {
    let yard = Yard::new();
    for number in 0..1500 {
        yard.write(&format!("many/{number}.txt"), &format!("{number} before\n"));
    }
    yard.commit("many");
    yard.git(&["checkout", "-q", "-b", "work"]);
    for number in 0..3000 {
        yard.write(&format!("many/{number}.txt"), &format!("{number} after\n"));
    }
    let new = yard.commit("more");
    yard.git(&["checkout", "-q", "main"]);
    let old = yard.head("main");
    let repository = yard.open().await;
    let target = "refs/heads/main";
    let merging = Merging { branch: "work", head: &new, target, method: MergeMethod::Merge, message: None };
    let merged = repository.compute_merge(&merging).await.unwrap();
    let lock = yard.root().join(".git/index.lock");
    let landing = tokio::spawn(async move { repository.land("api", &merged).await });
    // Wherever it is when it is found, what comes after must be whole.
    while !landing.is_finished() && !kill_holder(&lock) {
        tokio::task::yield_now().await;
    }
    landing.abort();
    drop(landing.await);
    let next = yard.open().await;
    let outcomes = next.mend_moves().await.unwrap();
    assert!(
        outcomes.iter().all(|mended| !matches!(mended.outcome, Outcome::Busy | Outcome::Stuck(_))),
        "{outcomes:?}"
    );
    let at = yard.head("main");
    assert!(at == old || at == new, "{outcomes:?}");
    assert_eq!((status(&yard), moving(&yard)), (String::new(), String::new()), "{outcomes:?}");
    assert_eq!(
        git_in(&yard.root(), &["ls-files", "many"]).lines().count(),
        if at == old { 1500 } else { 3000 }
    );
    assert!(!lock.exists());
}
