//! Work that leaves a workspace: what is taken, what never is, and that no commit is lost on the way.

use super::{Yard, commit_in, git_in, transport};
use tanuki::git::{GitError, Transport};

#[tokio::test]
async fn only_the_branch_is_taken() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, _) = yard.workspace(&repository).await;
    std::fs::write(dest.join("b.txt"), "new\n").unwrap();
    let work = commit_in(&dest, "work");
    git_in(&dest, &["tag", "sneaky"]);
    git_in(&dest, &["branch", "main"]);
    git_in(&dest, &["update-ref", "refs/tanuki/rescue/other/1", "HEAD"]);
    let fetched = repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    assert_eq!(fetched, Some(work.clone()));
    assert_eq!(
        yard.git(&["for-each-ref", "--format=%(refname)"]).lines().collect::<Vec<_>>(),
        ["refs/heads/main", "refs/heads/tanuki/api", "refs/tanuki/base/api", "refs/tanuki/fetched/api"]
    );
    assert_eq!(yard.head("tanuki/api"), work);
    assert_ne!(yard.head("main"), work);
    // The project has it without the workspace.
    std::fs::remove_dir_all(&dest).unwrap();
    yard.git(&["fsck", "--strict", "--connectivity-only"]);
    assert_eq!(yard.git(&["show", "tanuki/api:b.txt"]), "new");
}

#[tokio::test]
async fn many_objects_come_as_a_pack_and_a_second_fetch_brings_only_what_is_new() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, _) = yard.workspace(&repository).await;
    for n in 0..150 {
        std::fs::write(dest.join(format!("{n}.txt")), format!("{n}\n")).unwrap();
    }
    commit_in(&dest, "many");
    repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    let packs = || {
        let listed = std::fs::read_dir(yard.root().join(".git/objects/pack")).unwrap();
        listed.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "idx")).count()
    };
    assert_eq!(packs(), 1);
    let work = commit_in(&dest, "one more");
    assert_eq!(repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap(), Some(work));
    assert_eq!(packs(), 1);
}

#[tokio::test]
async fn rewritten_history_leaves_the_former_head_reachable() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    let first = commit_in(&dest, "first try");
    repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    git_in(&dest, &["reset", "-q", "--hard", &base.commit]);
    std::fs::write(dest.join("b.txt"), "better\n").unwrap();
    let second = commit_in(&dest, "second try");
    let fetched = repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    assert_eq!(fetched, Some(second));
    assert_eq!(yard.head(&format!("refs/tanuki/old/api/{}", &first[..12])), first);
}

#[tokio::test]
async fn a_branch_the_user_has_moved_on_stays() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, _) = yard.workspace(&repository).await;
    yard.git(&["checkout", "-q", "tanuki/api"]);
    let mine = yard.commit("by hand");
    assert_eq!(repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap().as_ref(), Some(&mine));
    assert_eq!(yard.head("tanuki/api"), mine);
}

#[tokio::test]
async fn a_checked_out_branch_moves_with_its_checkout_or_not_at_all() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    yard.git(&["worktree", "add", "-q", "../look", "tanuki/api"]);
    std::fs::write(dest.join("a.txt"), "changed\n").unwrap();
    let work = commit_in(&dest, "work");
    let look = yard.path("look");
    std::fs::write(look.join("a.txt"), "mine\n").unwrap();
    let error = repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap_err();
    assert!(matches!(error, GitError::Dirty { .. }), "{error}");
    assert_eq!(yard.head("tanuki/api"), base.commit);
    assert_eq!(yard.head("refs/tanuki/fetched/api"), work);
    git_in(&look, &["checkout", "-q", "a.txt"]);
    repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    assert_eq!(std::fs::read_to_string(look.join("a.txt")).unwrap(), "changed\n");
    assert_eq!(git_in(&look, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_workspace_without_the_branch_gives_nothing_and_a_broken_one_an_error() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    git_in(&dest, &["checkout", "-q", "-b", "other"]);
    git_in(&dest, &["branch", "-q", "-D", "tanuki/api"]);
    assert_eq!(repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap(), None);
    // A branch that leads to something that is no commit, and one whose objects are not there.
    let blob = git_in(&dest, &["hash-object", "-w", "a.txt"]);
    std::fs::create_dir_all(dest.join(".git/refs/heads/tanuki")).unwrap();
    for id in [blob.as_str(), &"1".repeat(40)] {
        std::fs::write(dest.join(".git/refs/heads/tanuki/api"), format!("{id}\n")).unwrap();
        let fetched = repository.fetch(&transport(&dest), "api", "tanuki/api").await;
        assert!(matches!(fetched, Ok(None) | Err(GitError::Failed { .. })), "{fetched:?}");
    }
    std::fs::remove_dir_all(dest.join(".git")).unwrap();
    std::fs::write(dest.join(".git"), "gitdir: /nowhere\n").unwrap();
    let error = repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap_err();
    assert!(matches!(error, GitError::Failed { .. }), "{error}");
    assert_eq!(yard.head("tanuki/api"), base.commit);
    assert!(!yard.path("state/git/incoming/api").exists());
}

#[tokio::test]
async fn objects_that_break_the_rules_are_not_taken() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    // A tree with an entry named `.git`, which no git makes by itself.
    let blob = git_in(&dest, &["hash-object", "-w", "a.txt"]);
    let raw: String =
        blob.as_bytes().chunks(2).map(|pair| format!("\\x{}", String::from_utf8_lossy(pair))).collect();
    let script = format!(
        "tree=$(printf '100644 .git\\0{raw}' | git hash-object -t tree -w --literally --stdin) && \
         commit=$(git commit-tree -m evil -p HEAD $tree) && git update-ref refs/heads/tanuki/api $commit"
    );
    let made = std::process::Command::new("bash").args(["-c", &script]).current_dir(&dest).status().unwrap();
    assert!(made.success());
    let error = repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap_err();
    assert!(error.to_string().contains(".git"), "{error}");
    assert_eq!(yard.head("tanuki/api"), base.commit);
}

#[tokio::test]
async fn a_transport_that_fails_is_an_error_that_says_so() {
    let yard = Yard::new();
    let repository = yard.open().await;
    yard.workspace(&repository).await;
    let failing = Transport {
        program: "sh".into(),
        args: vec!["-c".into(), "echo no container >&2; exit 3".into()],
        env: Vec::new(),
    };
    let error = repository.fetch(&failing, "api", "tanuki/api").await.unwrap_err();
    assert!(error.to_string().contains("no container"), "{error}");
}
