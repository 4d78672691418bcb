//! Task files in the user's checkout: what Tanuki writes into them stops no merge, and stays.

use super::Yard;
use tanuki::git::{GitError, Merged, Merging, Repository};
use tanuki::model::MergeMethod;

const TASK: &str = "---\nid: a\nstatus: pending # mine\n---\nDo it.\n";
const FILE: &str = "work/tasks/a.md";

async fn compute(repository: &Repository) -> Merged {
    let head = repository.commit("refs/heads/work").await.unwrap().unwrap();
    let (target, method) = ("refs/heads/main", MergeMethod::Merge);
    let merging = Merging { branch: "work", head: &head, target, method, message: None };
    repository.compute_merge(&merging).await.unwrap()
}

/// `main` is checked out; `work` adds a file, and changes the task's file to `task`.
async fn parted(task: &str) -> (Yard, Repository) {
    let yard = Yard::new();
    yard.write(FILE, TASK);
    yard.commit("task");
    yard.git(&["checkout", "-q", "-b", "work"]);
    yard.write("new.txt", "new\n");
    yard.write(FILE, task);
    yard.commit("work");
    yard.git(&["checkout", "-q", "main"]);
    let repository = yard.open().await.with_tasks_in(std::path::Path::new("work/tasks"));
    (yard, repository)
}

fn wrote(text: &str) -> String {
    text.replace("status: pending", "status: complete").replace("mine\n", "mine\nassigned_to: api\n")
}

#[tokio::test]
async fn what_tanuki_writes_into_task_files_stops_no_merge() {
    let (yard, repository) = parted(TASK).await;
    let before = yard.head("main");
    yard.write(FILE, &wrote(TASK));
    let merged = compute(&repository).await;
    repository.land("api", &merged).await.unwrap();
    assert_eq!((yard.read(FILE), yard.read("new.txt")), (wrote(TASK), "new\n".to_owned()));
    assert_eq!(yard.git(&["show", "main:work/tasks/a.md"]) + "\n", TASK);
    assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "");
    repository.undo_merge("api").await.unwrap();
    assert_eq!((yard.head("main"), yard.read(FILE)), (before, wrote(TASK)));
}

#[tokio::test]
async fn a_task_file_that_the_work_changes_keeps_what_tanuki_wrote() {
    let theirs = TASK.replace("Do it.", "Do it well.").replace("pending", "complete");
    let (yard, repository) = parted(&theirs).await;
    for ours in [wrote(TASK), TASK.to_owned()] {
        yard.write(FILE, &ours);
        let merged = compute(&repository).await;
        repository.land("api", &merged).await.unwrap();
        assert_eq!(yard.read(FILE), ours.replace("Do it.", "Do it well."), "an agent's word is no status");
        assert_eq!(yard.git(&["show", "main:work/tasks/a.md"]) + "\n", theirs);
        assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "");
        repository.undo_merge("api").await.unwrap();
        assert_eq!(yard.read(FILE), ours);
        assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "");
    }
}

/// Killed between any two of its steps, a move is made again to the same end.
#[tokio::test]
async fn what_was_begun_is_gone_on_with() {
    let theirs = TASK.replace("Do it.", "Do it well.");
    let done = wrote(TASK).replace("Do it.", "Do it well.");
    for steps in 1..=2 {
        let (yard, repository) = parted(&theirs).await;
        yard.write(FILE, &done);
        if steps == 2 {
            let blob = yard.git(&["rev-parse", "work:work/tasks/a.md"]);
            yard.git(&["update-index", "--cacheinfo", &format!("100644,{blob},{FILE}")]);
        }
        let merged = compute(&repository).await;
        repository.land("api", &merged).await.unwrap();
        assert_eq!(yard.read(FILE), done);
        assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "");
    }
}

#[tokio::test]
async fn what_a_person_writes_into_task_files_stands_in_the_way_and_stays() {
    let theirs = TASK.replace("Do it.", "Do it well.");
    for task in [TASK, &theirs] {
        let (yard, repository) = parted(task).await;
        let mine = wrote(TASK).replace("Do it.", "Do it soon.");
        yard.write(FILE, &mine);
        let before = yard.head("main");
        let merged = compute(&repository).await;
        let error = repository.land("api", &merged).await.unwrap_err();
        assert!(matches!(&error, GitError::Dirty { files, .. } if files == &[FILE]), "{error:?}");
        assert_eq!((yard.head("main"), yard.read(FILE)), (before, mine));
        assert_eq!(yard.git(&["diff", "--cached", "--name-only"]), "");
    }
}
