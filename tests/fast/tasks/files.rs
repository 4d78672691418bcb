//! Task files on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use tanuki::model::TaskState;
use tanuki::tasks::file::{Folder, Found, WriteError, write};

fn put(root: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = root.join("tasks").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn told(found: &Found) -> Vec<String> {
    let problems = found.problems.iter();
    problems.map(|p| format!("{}:{}: {}", p.file, p.line.unwrap_or(0), p.message)).collect()
}

#[test]
fn one_bad_file_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, "a.md", "---\nid: a\n---\nDo it.\n");
    put(root, "shop/cart/b.md", "---\nid: b\n---\n");
    put(root, "notes.txt", "no task");
    put(root, ".hidden.md", "no task");
    put(root, "bad/yaml.md", "---\nid: c\ntitle: \"open\n---\n");
    put(root, "bad/none.md", "hello\n");
    put(root, "bad/latin.md", b"---\nid: d\n---\ncaf\xe9\n");
    put(root, "bad/big.md", format!("---\nid: e\n---\n{}", "x".repeat(10 << 20)));
    fs::create_dir(root.join("tasks/dir.md")).unwrap();
    symlink(root.join("tasks"), root.join("tasks/loop")).unwrap();
    symlink("nowhere", root.join("tasks/dangling.md")).unwrap();
    let found = Folder::new(root.to_owned()).scan(Path::new("tasks"));
    let ids: Vec<_> =
        found.tasks.iter().map(|t| (t.front.id.as_str(), t.project.as_str(), t.flawed.is_some())).collect();
    assert_eq!(ids, [("a", "", false), ("e", "bad", true), ("d", "bad", true), ("b", "shop", false)]);
    insta::assert_debug_snapshot!(told(&found));
    assert!(found.tasks.iter().all(|task| task.body.len() <= 1 << 20));
}

#[test]
fn an_unreadable_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.md", "---\nid: a\n---\n");
    // Not even the superuser can read its beginning.
    symlink("/proc/self/mem", dir.path().join("tasks/b.md")).unwrap();
    let found = Folder::new(dir.path().to_owned()).scan(Path::new("tasks"));
    assert_eq!(found.tasks.len(), 1);
    assert_eq!(told(&found), ["tasks/b.md:0: cannot read it: Input/output error (os error 5)"]);
}

#[test]
fn a_task_in_the_middle_of_an_edit_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(dir.path().to_owned());
    put(dir.path(), "a.md", "---\nid: a\ntitle: T\n---\n");
    let first = folder.scan(Path::new("tasks"));
    put(dir.path(), "a.md", "---\nid: a\ntitle: \"T\n");
    let second = folder.scan(Path::new("tasks"));
    assert_eq!((second.tasks[0].front.title.as_str(), second.tasks[0].flawed.is_some()), ("T", true));
    put(dir.path(), "a.md", "---\nid: a\ntitle: U\n---\n");
    let third = folder.scan(Path::new("tasks"));
    assert_eq!((third.tasks[0].front.title.as_str(), third.problems.len()), ("U", 0));
    assert!(Arc::ptr_eq(&third.tasks[0], &folder.scan(Path::new("tasks")).tasks[0]));
    assert_ne!(first, third);
    fs::remove_file(dir.path().join("tasks/a.md")).unwrap();
    assert_eq!(folder.scan(Path::new("tasks")), Found::default());
}

#[test]
fn a_file_is_replaced_whole_and_only_if_nobody_else_changed_it() {
    let dir = tempfile::tempdir().unwrap();
    let (root, path) = (dir.path(), dir.path().join("tasks/a.md"));
    put(root, "a.md", "---\nid: a\nstatus: pending\n---\nx\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut folder = Folder::new(root.to_owned());
    let seen = Arc::clone(&folder.scan(Path::new("tasks")).tasks[0]);
    write(root, &seen, TaskState::InProgress, Some("api")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "---\nid: a\nstatus: in_progress\nassigned_to: api\n---\nx\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(root.join("tasks")).unwrap().count(), 1);
    let changed = write(root, &seen, TaskState::Failed, Some("api"));
    assert!(matches!(changed, Err(WriteError::Changed { .. })), "{changed:?}");
    // An edit of anything else is kept.
    put(root, "a.md", "---\nid: a\nstatus: pending\ntags: [new]\n---\ny\n");
    write(root, &seen, TaskState::Complete, None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "---\nid: a\nstatus: complete\ntags: [new]\n---\ny\n");
}
