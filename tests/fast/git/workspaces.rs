//! Workspaces: what is in one, what is refused, and that nothing is left of one that could not be made.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Yard, commit_in, git_in};
use tanuki::git::{Base, GitError, Head};

#[tokio::test]
async fn a_workspace_borrows_the_projects_objects_and_has_no_remote() {
    let yard = Yard::new();
    yard.git(&["tag", "v1"]);
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    assert_eq!(git_in(&dest, &["status", "--porcelain", "--branch"]), "## tanuki/api");
    assert_eq!(git_in(&dest, &["rev-parse", "HEAD"]), base.commit);
    assert_eq!(git_in(&dest, &["remote"]) + &git_in(&dest, &["tag"]), "");
    assert_eq!(git_in(&dest, &["count-objects"]), "0 objects, 0 kilobytes");
    assert_eq!(git_in(&dest, &["config", "user.email"]), "ada@example.org");
    assert_eq!(yard.head("refs/heads/tanuki/api"), base.commit);
    assert_eq!(yard.head("refs/tanuki/base/api"), base.commit);
    commit_in(&dest, "work");
}

#[tokio::test]
async fn a_branch_that_is_there_or_cannot_be_is_refused_and_kept() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let base = repository.resolve_base(None).await.unwrap();
    yard.git(&["branch", "tanuki/api"]);
    yard.git(&["branch", "team"]);
    let dest = yard.path("workspace");
    let error = repository.make_workspace("api", &dest, "tanuki/api", &base).await.unwrap_err();
    assert!(matches!(error, GitError::BranchExists { .. }), "{error}");
    for bad in ["team/api", "a..b", "-x", "@{-1}", "a b"] {
        let error = repository.make_workspace("api", &dest, bad, &base).await.unwrap_err();
        assert!(matches!(error, GitError::BadBranch { .. }), "{bad}: {error:?}");
    }
    assert!(!dest.exists());
    assert_eq!(yard.head("tanuki/api"), base.commit);
}

#[tokio::test]
async fn a_workspace_that_cannot_be_written_leaves_nothing() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let base = repository.resolve_base(None).await.unwrap();
    std::fs::write(yard.path("file"), "").unwrap();
    let dest = yard.path("file").join("workspace");
    assert!(repository.make_workspace("api", &dest, "tanuki/api", &base).await.is_err());
    assert_eq!(yard.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test]
async fn a_branch_that_moved_is_not_dropped() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let (_, base) = yard.workspace(&repository).await;
    let moved = yard.commit("elsewhere");
    yard.git(&["update-ref", "refs/heads/tanuki/api", &moved]);
    let error = repository.drop_refs("api", "tanuki/api", &base.commit).await.unwrap_err();
    assert!(matches!(error, GitError::Moved { .. }), "{error}");
    assert_eq!(yard.head("refs/tanuki/base/api"), base.commit);
    for _again in 0..2 {
        repository.drop_refs("api", "tanuki/api", &moved).await.unwrap();
        assert_eq!(yard.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
    }
}

/// Everything a configuration can have git run, set to leave a mark.
pub(super) fn make_hostile(yard: &Yard, mark: &Path) {
    let run = format!("touch {}; cat", mark.display());
    for hook in ["post-checkout", "post-merge", "reference-transaction", "post-index-change", "pre-commit"] {
        let path = yard.root().join(".git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.a.b=c.smudge",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "merge.evil.driver",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "gpg.program",
    ] {
        yard.git(&["config", key, &run]);
    }
    yard.git(&["config", "filter.evil.required", "true"]);
    yard.git(&["config", "commit.gpgSign", "true"]);
    yard.git(&["config", "merge.verifySignatures", "true"]);
    yard.git(&["config", "url.ext::sh -c true.insteadOf", "ext::"]);
}

#[tokio::test]
async fn nothing_a_configuration_names_is_run() {
    let yard = Yard::new();
    let mark = yard.path("mark");
    yard.write(".gitattributes", "*.txt filter=evil diff=evil merge=evil\n*.md filter=a.b=c\n");
    yard.commit("attributes");
    make_hostile(&yard, &mark);
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    std::fs::write(dest.join("b.txt"), "new\n").unwrap();
    std::fs::write(dest.join("c.md"), "new\n").unwrap();
    let lines: String = (1..=10).map(|n| format!("line {n}{}\n", if n == 1 { "!" } else { "" })).collect();
    std::fs::write(dest.join("a.txt"), lines).unwrap();
    let work = commit_in(&dest, "work");
    let fetched = repository.fetch(&super::transport(&dest), "api", "tanuki/api").await.unwrap();
    assert_eq!(fetched.as_ref(), Some(&work));
    let merged = repository
        .compute_merge(&tanuki::git::Merging {
            branch: "tanuki/api",
            head: &work,
            target: &base.reference,
            method: tanuki::model::MergeMethod::Squash,
            message: None,
        })
        .await
        .unwrap();
    let diff = repository.diff(&base.commit, &work, tanuki::model::DiffFormat::Patch).await.unwrap();
    assert!(diff.text.contains("+line 1!"), "{}", diff.text);
    assert!(!mark.exists(), "before the merge");
    // Only what the user's own `git status` would run is run on the user's own files.
    yard.git(&["config", "filter.evil.clean", "cat"]);
    let warnings = repository.land("api", &merged).await.unwrap();
    assert!(warnings[0].starts_with("3 of the files"), "{warnings:?}");
    assert_eq!(yard.read("c.md"), "new\n");
    repository.undo_merge("api").await.unwrap();
    assert!(!mark.exists());
}

#[tokio::test]
async fn submodules_and_lfs_are_told_of_and_listed_files_are_copied() {
    let yard = Yard::new();
    yard.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ../x\n");
    yard.write("deep/.gitattributes", "*.bin filter=lfs diff=lfs\n");
    yard.write(".gitignore", ".env\n*.key\nlink\n");
    yard.write(".worktreeinclude", ".env\nlink\na.txt\nnotes\n");
    yard.commit("more");
    yard.write(".env", "A=1\n");
    yard.write("deep/.env", "B=2\n");
    yard.write("secret.key", "no\n");
    yard.write("notes", "untracked, not ignored\n");
    std::os::unix::fs::symlink("/etc/passwd", yard.root().join("link")).unwrap();
    let repository = yard.open().await;
    let base = repository.resolve_base(None).await.unwrap();
    let dest = yard.path("workspace");
    let made = repository.make_workspace("api", &dest, "tanuki/api", &base).await.unwrap();
    assert_eq!(made.warnings.len(), 2, "{made:?}");
    let there = |name: &str| std::fs::symlink_metadata(dest.join(name)).is_ok();
    assert!(there(".env") && there("deep/.env"));
    assert!(!there("secret.key") && !there("notes") && !there("link"));
}

#[tokio::test]
async fn heads_count_against_each_agents_own_base() {
    let yard = Yard::new();
    let first = yard.head("HEAD");
    yard.git(&["branch", "tanuki/old"]);
    yard.git(&["branch", "side"]);
    let second = yard.commit("second");
    yard.git(&["checkout", "-q", "-b", "tanuki/new"]);
    yard.commit("third");
    let fourth = yard.commit("fourth");
    let repository = yard.open().await;
    let ask = |branch: &str, base: &str| (branch.to_owned(), base.to_owned());
    let heads = repository
        .heads(&[
            ask("tanuki/old", "refs/heads/main"),
            ask("tanuki/new", "refs/heads/side"),
            ask("tanuki/new", &second),
            ask("tanuki/gone", "refs/heads/main"),
            ask("tanuki/new", "refs/heads/gone"),
            ask("tanuki/new", &"0".repeat(40)),
        ])
        .await
        .unwrap();
    let head = |commit: &str, ahead, behind| Head { commit: Some(commit.to_owned()), ahead, behind };
    assert_eq!(
        heads,
        [
            head(&first, Some(0), Some(1)),
            head(&fourth, Some(3), Some(0)),
            head(&fourth, Some(2), Some(0)),
            Head::default(),
            head(&fourth, None, None),
            head(&fourth, None, None),
        ]
    );
}

#[tokio::test]
async fn many_workspaces_are_made_at_once() {
    let yard = Yard::new();
    let repository = yard.open().await;
    let base: Base = repository.resolve_base(None).await.unwrap();
    let make = |n: usize| {
        let (repository, base, dest) = (repository.clone(), base.clone(), yard.path(&format!("w{n}")));
        async move { repository.make_workspace(&format!("a{n}"), &dest, &format!("tanuki/a{n}"), &base).await }
    };
    let made = futures_util::future::join_all((0..16).map(make)).await;
    for (n, made) in made.into_iter().enumerate() {
        made.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
}
