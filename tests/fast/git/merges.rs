//! Merges in their variants, conflicts, what stands in the way of one, and the way back.

use super::{Yard, git_in};
use tanuki::git::{GitError, Merged, Merging, Repository};
use tanuki::model::MergeMethod;

/// `main` and `work` part after the first commit; both are checked out nowhere but `main`, which is.
async fn parted(yard: &Yard) -> Repository {
    yard.git(&["checkout", "-q", "-b", "work"]);
    let text = yard.read("a.txt");
    yard.write("a.txt", &text.replace("line 9", "line nine"));
    yard.write("new/one.txt", "one\n");
    yard.git(&["add", "-A"]);
    yard.git(&["-c", "user.name=Agent", "commit", "-q", "-m", "one", "--date=@1000000000 +0200"]);
    yard.write("new/two.txt", "two\n");
    yard.commit("two");
    yard.git(&["checkout", "-q", "main"]);
    yard.write("a.txt", &text.replace("line 1\n", "line one\n"));
    yard.commit("meanwhile");
    yard.open().await
}

async fn compute(
    repository: &Repository,
    method: MergeMethod,
    message: Option<&str>,
) -> Result<Merged, GitError> {
    let head = repository.commit("refs/heads/work").await.unwrap().unwrap();
    let target = "refs/heads/main";
    repository.compute_merge(&Merging { branch: "work", head: &head, target, method, message }).await
}

fn graph(yard: &Yard, reference: &str) -> Vec<String> {
    let log = yard.git(&["log", "--reverse", "--topo-order", "--format=%an: %s (%p)", reference]);
    log.lines()
        .map(|line| format!("{} {}", line.split(" (").next().unwrap(), line.matches(' ').count()))
        .collect()
}

#[tokio::test]
async fn each_method_makes_its_own_history_of_the_same_files() {
    for (method, message, history) in [
        (
            MergeMethod::Merge,
            None,
            vec![
                "Ada: first",
                "Ada: meanwhile",
                "Agent: one",
                "Ada: two",
                "Ada: Merge branch 'work' into main",
            ],
        ),
        (MergeMethod::Squash, None, vec!["Ada: first", "Ada: meanwhile", "Ada: Work of work"]),
        (MergeMethod::Squash, Some("All of it"), vec!["Ada: first", "Ada: meanwhile", "Ada: All of it"]),
        (MergeMethod::Rebase, None, vec!["Ada: first", "Ada: meanwhile", "Agent: one", "Ada: two"]),
    ] {
        let yard = Yard::new();
        let repository = parted(&yard).await;
        let before = yard.head("main");
        let merged = compute(&repository, method, message).await.unwrap();
        assert_eq!(
            (yard.head("main"), yard.git(&["status", "--porcelain"])),
            (before.clone(), String::new())
        );
        assert_eq!(repository.land("api", &merged).await.unwrap(), Vec::<String>::new());
        let mut seen: Vec<String> =
            graph(&yard, "main").iter().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect();
        let mut history: Vec<&str> = history;
        seen.sort();
        history.sort_unstable();
        assert_eq!(seen, history, "{method:?}");
        assert_eq!(yard.git(&["status", "--porcelain"]), "", "{method:?}");
        let text = yard.read("a.txt");
        assert!(text.contains("line nine") && text.contains("line one\n"), "{text}");
        assert_eq!(yard.read("new/two.txt"), "two\n");
        if method == MergeMethod::Rebase {
            assert_eq!(yard.git(&["log", "-1", "--format=%ad", "--date=raw", "main~1"]), "1000000000 +0200");
        }
        let undone = repository.undo_merge("api").await.unwrap();
        assert_eq!((undone.target.as_str(), &undone.commit), ("main", &before));
        assert_eq!(yard.git(&["status", "--porcelain"]), "");
        assert!(!yard.root().join("new").exists());
        assert!(matches!(repository.undo_merge("api").await, Err(GitError::Nothing { .. })));
    }
}

#[tokio::test]
async fn where_nothing_else_happened_the_target_only_moves_up() {
    let yard = Yard::new();
    yard.git(&["checkout", "-q", "-b", "work"]);
    let work = yard.commit("one");
    yard.git(&["checkout", "-q", "main"]);
    let repository = yard.open().await;
    for method in [MergeMethod::Merge, MergeMethod::Rebase] {
        let merged = compute(&repository, method, None).await.unwrap();
        assert_eq!((merged.after, merged.fast_forward), (work.clone(), true));
    }
    let merged = compute(&repository, MergeMethod::Merge, Some("mine")).await.unwrap();
    assert_eq!(
        yard.git(&["log", "-1", "--format=%s %P", &merged.after]),
        format!("mine {} {work}", merged.before)
    );
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    repository.land("api", &merged).await.unwrap();
    for method in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase] {
        let error = compute(&repository, method, None).await.unwrap_err();
        assert!(matches!(error, GitError::Nothing { .. }), "{error}");
    }
}

#[tokio::test]
async fn conflicts_name_the_files_and_change_nothing() {
    let yard = Yard::new();
    yard.write("b.txt", "b\n");
    yard.write("ä \"b\".txt", "c\n");
    yard.commit("more");
    yard.git(&["checkout", "-q", "-b", "work"]);
    for file in ["b.txt", "ä \"b\".txt"] {
        yard.write(file, "theirs\n");
    }
    yard.commit("theirs");
    yard.git(&["checkout", "-q", "main"]);
    for file in ["b.txt", "ä \"b\".txt"] {
        yard.write(file, "ours\n");
    }
    let before = yard.commit("ours");
    let repository = yard.open().await;
    let files = vec!["b.txt".to_owned(), "ä \"b\".txt".to_owned()];
    assert_eq!(repository.conflicts("refs/heads/main", "refs/heads/work").await.unwrap(), files);
    for method in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase] {
        match compute(&repository, method, None).await {
            Err(GitError::Conflicts { files: found }) => assert_eq!(found, files),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(yard.head("main"), before);
}

#[tokio::test]
async fn attributes_of_the_target_decide_how_files_are_merged() {
    let yard = Yard::new();
    yard.write(".gitattributes", "LOG merge=union\n");
    yard.write("LOG", "");
    yard.commit("attributes");
    yard.git(&["checkout", "-q", "-b", "work"]);
    yard.write("LOG", "theirs\n");
    yard.commit("theirs");
    yard.git(&["checkout", "-q", "main"]);
    yard.write("LOG", "ours\n");
    yard.commit("ours");
    let repository = yard.open().await;
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    assert_eq!(yard.git(&["show", &format!("{}:LOG", merged.after)]), "ours\ntheirs");
}

#[tokio::test]
async fn what_is_the_users_stands_in_the_way_and_stays() {
    type Set = fn(&Yard);
    let cases: &[(&str, Set)] = &[
        ("changed file", |yard| yard.write("a.txt", "mine\n")),
        ("staged file", |yard| {
            yard.write("staged.txt", "mine\n");
            yard.git(&["add", "staged.txt"]);
        }),
        ("untracked file where one is added", |yard| yard.write("new/one.txt", "mine\n")),
        ("ignored file where one is added", |yard| {
            yard.write(".git/info/exclude", "new\n");
            yard.write("new/one.txt", "mine\n");
        }),
        ("untracked file where a directory is added", |yard| yard.write("new", "mine\n")),
        ("merge under way", |yard| yard.write(".git/MERGE_HEAD", "x")),
        ("lock", |yard| yard.write(".git/index.lock", "")),
        ("checked out twice", |yard| {
            yard.git(&["worktree", "add", "-q", "--force", "../twice", "main"]);
        }),
    ];
    for (name, set) in cases {
        let yard = Yard::new();
        let repository = parted(&yard).await;
        let before = yard.head("main");
        let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
        set(&yard);
        let read_all = || {
            let files = ["a.txt", "staged.txt", "new/one.txt", "new"]
                .map(|file| std::fs::read(yard.root().join(file)).ok());
            (files, std::fs::read(yard.root().join(".git/index")).unwrap())
        };
        let was = read_all();
        let error = repository.land("api", &merged).await.expect_err(name);
        assert!(
            matches!(error, GitError::Dirty { .. } | GitError::InTheWay { .. } | GitError::CheckedOut { .. }),
            "{name}: {error:?}"
        );
        assert_eq!(yard.head("main"), before, "{name}");
        assert!(read_all() == was, "{name}");
        assert!(!repository.has_undo("api").await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn untracked_files_elsewhere_and_tanukis_own_changes_do_not_matter() {
    let yard = Yard::new();
    yard.write(".tanuki/tasks/one.md", "status: pending\n");
    yard.commit("task");
    let repository = parted(&yard).await;
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    yard.write("notes.txt", "mine\n");
    yard.write("new/mine.txt", "mine\n");
    yard.write(".tanuki/tasks/one.md", "status: complete\n");
    repository.land("api", &merged).await.unwrap();
    assert_eq!(yard.head("main"), merged.after);
    assert_eq!(yard.read(".tanuki/tasks/one.md"), "status: complete\n");
    assert_eq!(yard.read("new/mine.txt"), "mine\n");
}

#[tokio::test]
async fn a_file_that_becomes_a_directory_is_not_in_its_own_way() {
    let yard = Yard::new();
    yard.write("thing", "file\n");
    yard.write("dir/inner", "dir\n");
    yard.commit("both");
    yard.git(&["checkout", "-q", "-b", "work"]);
    yard.git(&["rm", "-q", "-r", "thing", "dir"]);
    yard.write("thing/inner", "now a directory\n");
    yard.write("dir", "now a file\n");
    yard.commit("swapped");
    yard.git(&["checkout", "-q", "main"]);
    let repository = yard.open().await;
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    yard.write("dir/mine", "mine\n");
    let error = repository.land("api", &merged).await.unwrap_err();
    assert!(matches!(error, GitError::InTheWay { .. }), "{error}");
    std::fs::remove_file(yard.root().join("dir/mine")).unwrap();
    repository.land("api", &merged).await.unwrap();
    assert_eq!(
        (yard.read("dir"), yard.git(&["status", "--porcelain"])),
        ("now a file\n".into(), String::new())
    );
    repository.undo_merge("api").await.unwrap();
    assert_eq!((yard.read("thing"), yard.git(&["status", "--porcelain"])), ("file\n".into(), String::new()));
}

#[tokio::test]
async fn a_target_that_moved_is_left_alone() {
    let yard = Yard::new();
    let repository = parted(&yard).await;
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    let moved = yard.commit("by hand");
    for checked_out in [true, false] {
        if !checked_out {
            yard.git(&["checkout", "-q", "--detach"]);
        }
        let error = repository.land("api", &merged).await.unwrap_err();
        assert!(matches!(error, GitError::Moved { .. }), "{error}");
        assert_eq!(yard.head("main"), moved);
    }
    let again = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    repository.land("api", &again).await.unwrap();
    yard.git(&["checkout", "-q", "main"]);
    let moved = yard.commit("after the merge");
    let error = repository.undo_merge("api").await.unwrap_err();
    assert!(matches!(error, GitError::Moved { .. }), "{error}");
    assert_eq!(yard.head("main"), moved);
}

#[tokio::test]
async fn the_checkout_of_another_worktree_moves_too() {
    let yard = Yard::new();
    let repository = parted(&yard).await;
    yard.git(&["checkout", "-q", "--detach"]);
    yard.git(&["worktree", "add", "-q", "../main wörk", "main"]);
    let merged = compute(&repository, MergeMethod::Merge, None).await.unwrap();
    repository.land("api", &merged).await.unwrap();
    let checkout = yard.path("main wörk");
    assert_eq!(git_in(&checkout, &["status", "--porcelain"]), "");
    assert_eq!(std::fs::read_to_string(checkout.join("new/one.txt")).unwrap(), "one\n");
    // A worktree whose directory is gone is nobody's checkout.
    std::fs::remove_dir_all(&checkout).unwrap();
    repository.undo_merge("api").await.unwrap();
    assert_eq!(yard.head("main"), merged.before);
}

#[tokio::test]
async fn only_branches_can_be_merged_into() {
    let yard = Yard::new();
    let repository = parted(&yard).await;
    let head = yard.head("work");
    for (target, unknown) in [(head.as_str(), false), ("refs/heads/gone", true)] {
        let merging =
            Merging { branch: "work", head: &head, target, method: MergeMethod::Merge, message: None };
        let error = repository.compute_merge(&merging).await.unwrap_err();
        assert_eq!(matches!(error, GitError::UnknownRef { .. }), unknown, "{error}");
        assert_eq!(matches!(error, GitError::NotABranch { .. }), !unknown, "{error}");
    }
}
