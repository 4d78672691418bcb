//! Saved trees and their way back.

use super::{Yard, commit_in, git_in, transport};
use tanuki::model::Time;

#[tokio::test]
async fn a_saved_tree_comes_back_byte_by_byte() {
    let yard = Yard::new();
    yard.write(".gitattributes", "*.txt text eol=crlf\n*.id ident\n");
    yard.write(".gitignore", "*.log\n");
    yard.write("gone.md", "will be deleted\n");
    yard.commit("attributes");
    let repository = yard.open().await;
    let (dest, base) = yard.workspace(&repository).await;
    std::fs::write(dest.join("committed.md"), "committed\n").unwrap();
    let work = commit_in(&dest, "work");
    repository.fetch(&transport(&dest), "api", "tanuki/api").await.unwrap();
    // As the workspace's side makes it: verbatim, with what is ignored but listed.
    let files: &[(&str, &[u8])] = &[
        ("mixed.txt", b"one\r\ntwo\nthree\r\n"),
        ("stamp.id", b"$Id$ \xff\x00\n"),
        ("kept.log", b"ignored but listed\n"),
        ("deep/new.md", b"untracked\n"),
    ];
    let info = dest.join(".git/info");
    std::fs::create_dir_all(&info).unwrap();
    std::fs::write(info.join("attributes"), "* -text -filter -ident\n").unwrap();
    std::fs::create_dir(dest.join("deep")).unwrap();
    for (name, bytes) in files {
        std::fs::write(dest.join(name), bytes).unwrap();
    }
    std::fs::remove_file(dest.join("gone.md")).unwrap();
    std::os::unix::fs::symlink("nowhere", dest.join("link")).unwrap();
    git_in(&dest, &["add", "-A", "-f"]);
    let tree = git_in(&dest, &["write-tree"]);
    let commit = git_in(&dest, &["commit-tree", "-p", "HEAD", "-m", "rescue", &tree]);
    git_in(&dest, &["update-ref", tanuki::git::RESCUE_REFERENCE, &commit]);

    let rescue = repository.fetch_rescue(&transport(&dest), "api", Time(1_764_111_845_006)).await.unwrap();
    assert_eq!(rescue.reference, "refs/tanuki/rescue/api/20251125T230405.006Z");
    std::fs::remove_dir_all(&dest).unwrap();
    repository.drop_refs("api", "tanuki/api", &work).await.unwrap();
    yard.git(&["gc", "-q", "--prune=now"]);

    let listed = repository.rescues(Some("api")).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&rescue));
    assert!(repository.rescues(Some("ap")).await.unwrap().is_empty());
    repository.restore_rescue(&rescue, &dest, "tanuki/api", &base).await.unwrap();
    for (name, bytes) in files {
        assert_eq!(std::fs::read(dest.join(name)).unwrap(), *bytes, "{name}");
    }
    assert_eq!(std::fs::read_link(dest.join("link")).unwrap(), std::path::Path::new("nowhere"));
    assert!(!dest.join("gone.md").exists());
    assert_eq!(git_in(&dest, &["rev-parse", "HEAD"]), work);
    let status = git_in(&dest, &["status", "--porcelain"]);
    assert_eq!(
        status.lines().collect::<Vec<_>>(),
        [" D gone.md", "?? deep/", "?? link", "?? mixed.txt", "?? stamp.id"]
    );
    assert_eq!(yard.head("tanuki/api"), work);
    assert_eq!(yard.head("refs/tanuki/base/api"), base.commit);
}
