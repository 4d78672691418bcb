//! Which repositories can be used, and what work begins from.

use super::{Yard, git_in};
use tanuki::git::{GitError, Repository};

async fn error_of(path: &std::path::Path, yard: &Yard) -> GitError {
    Repository::open(path, &yard.path("state")).await.unwrap_err()
}

#[tokio::test]
async fn what_cannot_be_used_is_told_apart() {
    let yard = Yard::new();
    let (plain, bare, shallow) = (yard.path("plain"), yard.path("bare"), yard.path("shallow"));
    std::fs::create_dir(&plain).unwrap();
    assert!(matches!(error_of(&plain, &yard).await, GitError::NotARepository { .. }));
    git_in(&yard.path(""), &["init", "-q", "--bare", "bare"]);
    assert!(matches!(error_of(&bare, &yard).await, GitError::Bare { .. }));
    yard.commit("second");
    let url = format!("file://{}", yard.root().display());
    git_in(&yard.path(""), &["clone", "-q", "--depth=1", &url, "shallow"]);
    let error = error_of(&shallow, &yard).await;
    assert!(error.to_string().contains("--unshallow"), "{error}");
    yard.git(&["config", "remote.origin.promisor", "true"]);
    let error = error_of(&yard.root(), &yard).await;
    assert!(error.to_string().contains("partial clone"), "{error}");
}

#[tokio::test]
async fn a_repository_without_a_commit_says_so() {
    let yard = Yard::new();
    git_in(&yard.path(""), &["init", "-q", "empty"]);
    let repository = Repository::open(&yard.path("empty"), &yard.path("state")).await.unwrap();
    assert!(matches!(repository.resolve_base(None).await, Err(GitError::Empty)));
}

#[tokio::test]
async fn a_base_is_a_branch_or_a_commit() {
    let yard = Yard::new();
    let first = yard.head("HEAD");
    yard.git(&["tag", "v1"]);
    yard.git(&["branch", "side"]);
    let second = yard.commit("second");
    let repository = yard.open().await;
    for (asked, reference, commit) in [
        (None, "refs/heads/main", &second),
        (Some("main"), "refs/heads/main", &second),
        (Some("HEAD"), "refs/heads/main", &second),
        (Some("side"), "refs/heads/side", &first),
        (Some("v1"), first.as_str(), &first),
        (Some("HEAD~1"), first.as_str(), &first),
        (Some(&second[..10]), second.as_str(), &second),
    ] {
        let base = repository.resolve_base(asked).await.unwrap();
        assert_eq!((base.reference.as_str(), &base.commit), (reference, commit), "{asked:?}");
    }
    for unknown in ["nothing", "", "--all", "main:a.txt", "a b"] {
        let error = repository.resolve_base(Some(unknown)).await.unwrap_err();
        assert!(matches!(error, GitError::UnknownRef { .. }), "{unknown}: {error}");
    }
    yard.git(&["checkout", "-q", "--detach"]);
    let base = repository.resolve_base(None).await.unwrap();
    assert_eq!((base.reference, base.commit), (second.clone(), second));
}

#[tokio::test]
async fn a_worktree_and_a_subdirectory_lend_the_same_objects() {
    let yard = Yard::new();
    let objects = yard.root().join(".git/objects");
    yard.git(&["worktree", "add", "-q", "-b", "other", "../linked"]);
    let linked = Repository::open(&yard.path("linked"), &yard.path("state")).await.unwrap();
    assert_eq!((linked.root(), linked.objects()), (yard.path("linked").as_path(), &[objects.clone()][..]));
    assert_eq!(linked.resolve_base(None).await.unwrap().reference, "refs/heads/other");
    std::fs::create_dir_all(yard.root().join("deep/er")).unwrap();
    let below = Repository::open(&yard.root().join("deep/er"), &yard.path("state")).await.unwrap();
    assert_eq!(below.root(), yard.root());
    assert_eq!(below.prefix(), std::path::Path::new("deep/er"));
    git_in(&yard.path(""), &["clone", "-q", "--shared", "project", "borrower"]);
    let borrower = Repository::open(&yard.path("borrower"), &yard.path("state2")).await.unwrap();
    assert_eq!(borrower.objects(), [yard.path("borrower/.git/objects"), objects]);
}
