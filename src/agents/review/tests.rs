//! The scripts, by a shell on a workspace that an agent has made a mess of.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::scripts::{CLEAN, CLEAR, COMMIT_ALL, DIFF, SAVE, VERIFY};
use crate::git::{Base, Repository, Transport};
use crate::model::Time;

struct Yard {
    dir: tempfile::TempDir,
    repository: Repository,
    base: Base,
}

impl Yard {
    /// A project, and a workspace of agent `api`.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("project");
        std::fs::create_dir(&root).unwrap();
        git(&root, &["init", "-q", "-b", "main"]);
        git(&root, &["config", "user.name", "Ada"]);
        git(&root, &["config", "user.email", "ada@example.org"]);
        write(&root, "a.txt", "a\n");
        write(&root, "gone.md", "gone\n");
        write(&root, ".gitignore", "*.log\n*.key\n");
        write(&root, ".worktreeinclude", "*.log\n");
        write(&root, ".gitattributes", "*.txt text eol=crlf\n");
        commit(&root, "first");
        let repository = Repository::open(&root, &dir.path().join("state")).await.unwrap();
        let base = repository.resolve_base(None).await.unwrap();
        let yard = Self { dir, repository, base };
        yard.repository.make_workspace("api", &yard.workspace(), "tanuki/api", &yard.base).await.unwrap();
        yard
    }

    fn workspace(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("workspace")
    }

    fn run(&self, script: &str, args: &[&str]) -> Output {
        Command::new("sh")
            .args(["-c", script, "tanuki"])
            .args(args)
            .current_dir(self.workspace())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.dir.path().join("global"))
            .output()
            .unwrap()
    }

    fn diff(&self, options: &[&str]) -> String {
        let mut args = vec![self.base.commit.as_str(), "1000000"];
        args.extend(options);
        let output = self.run(DIFF, &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn save(&self, mode: &str, force: &str) -> Output {
        let objects = self.repository.objects()[0].display().to_string();
        self.run(SAVE, &["tanuki/api", &self.base.commit, "sha1", mode, force, &objects])
    }

    /// Everything in the workspace but git's own.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        fn walk(root: &Path, at: &Path, found: &mut Vec<(String, Vec<u8>)>) {
            for entry in std::fs::read_dir(at).unwrap().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                let name = path.strip_prefix(root).unwrap().display().to_string();
                if kind.is_symlink() {
                    let target = std::fs::read_link(&path).unwrap();
                    found.push((name, target.display().to_string().into_bytes()));
                } else if kind.is_dir() && entry.file_name() != ".git" {
                    walk(root, &path, found);
                } else if kind.is_file() {
                    found.push((name, std::fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.workspace(), &self.workspace(), &mut found);
        found.sort();
        found
    }
}

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn commit(directory: &Path, message: &str) {
    git(directory, &["add", "-A"]);
    git(directory, &["commit", "-q", "-m", message]);
}

/// Committed, staged, changed, removed and new.
fn work(workspace: &Path) {
    write(workspace, "committed.md", "committed\n");
    commit(workspace, "work");
    write(workspace, "staged.md", "staged\n");
    git(workspace, &["add", "staged.md"]);
    write(workspace, "committed.md", "committed\nand more\n");
    write(workspace, "new ä.md", "new\n");
    std::fs::remove_file(workspace.join("gone.md")).unwrap();
}

#[tokio::test]
async fn a_difference_has_what_is_committed_and_what_is_not() {
    let yard = Yard::new().await;
    let workspace = yard.workspace();
    assert_eq!(yard.diff(&["--patch"]), "");
    assert!(yard.run(CLEAN, &[]).status.success());
    work(&workspace);
    assert_eq!(yard.diff(&["--name-only"]), "committed.md\ngone.md\nnew ä.md\nstaged.md\n");
    assert!(yard.diff(&["--patch"]).contains("+and more"));
    let (index, objects) = (workspace.join(".git/index"), git(&workspace, &["count-objects"]));
    let before = std::fs::read(&index).unwrap();
    // Programs that the agent has set for itself change nothing.
    for key in ["diff.external", "core.fsmonitor", "core.pager", "diff.x.textconv"] {
        git(&workspace, &["config", key, "echo evil; :"]);
    }
    git(&workspace, &["config", "color.ui", "always"]);
    std::fs::write(workspace.join(".gitattributes"), "*.md diff=x\n").unwrap();
    assert!(yard.diff(&["--patch", "--no-ext-diff", "--no-textconv", "--no-color"]).contains("+and more"));
    assert_eq!(std::fs::read(&index).unwrap(), before);
    assert_eq!(git(&workspace, &["count-objects"]), objects);
    assert_eq!(yard.run(CLEAN, &[]).status.code(), Some(1));
    let cut = yard.run(DIFF, &[&yard.base.commit, "10", "--name-only"]);
    assert_eq!((cut.status.code(), cut.stdout.len()), (Some(0), 10));
    std::fs::remove_file(workspace.join(".git/HEAD")).unwrap();
    assert!(!yard.run(DIFF, &[&yard.base.commit, "10", "--name-only"]).status.success());
}

#[tokio::test]
async fn a_command_verifies_a_result_beside_the_workspace() {
    let yard = Yard::new().await;
    let workspace = yard.workspace();
    work(&workspace);
    let head = git(&workspace, &["rev-parse", "HEAD"]);
    for (command, code) in [
        ("[ -f gone.md ] && [ ! -f staged.md ] && git status --short && touch made", 0),
        ("exit 7", 7),
        ("exit 125", 1),
    ] {
        let output = yard.run(VERIFY, &[&head, command]);
        assert_eq!(output.status.code(), Some(code), "{command}: {output:?}");
    }
    assert_eq!(yard.run(VERIFY, &[&"1".repeat(40), "true"]).status.code(), Some(125));
    assert!(!workspace.join("made").exists());
    assert_eq!(git(&workspace, &["worktree", "list"]).lines().count(), 1);
}

#[tokio::test]
async fn a_rescue_has_every_file_and_every_commit() {
    let yard = Yard::new().await;
    let workspace = yard.workspace();
    git(&workspace, &["checkout", "-q", "-b", "aside"]);
    write(&workspace, "aside.md", "aside\n");
    commit(&workspace, "aside");
    let aside = git(&workspace, &["rev-parse", "HEAD"]);
    git(&workspace, &["checkout", "-q", "tanuki/api"]);
    work(&workspace);
    let head = git(&workspace, &["rev-parse", "HEAD"]);
    write(&workspace, "listed.log", "ignored, listed\n");
    write(&workspace, "mixed.txt", "one\r\ntwo\n");
    std::os::unix::fs::symlink("/nowhere", workspace.join("link")).unwrap();
    // Repositories in the workspace, one in the other.
    for inner in ["inner", "inner/most"] {
        let inner = workspace.join(inner);
        std::fs::create_dir_all(&inner).unwrap();
        git(&inner, &["init", "-q"]);
        write(&inner, "file.md", "inner\n");
        git(
            &inner,
            &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x"],
        );
    }
    // Configuration of the agent's that would change what is saved.
    git(&workspace, &["config", "core.autocrlf", "true"]);
    git(&workspace, &["config", "filter.x.clean", "echo cleaned"]);
    git(&workspace, &["config", "core.excludesFile", "/dev/null"]);
    write(&workspace, ".gitattributes", "* filter=x\n");
    let before = yard.files();

    let output = yard.save("all", "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "left out: most/.git\nleft out: inner/.git\n");
    let place = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let transport = Transport {
        program: "git".into(),
        args: vec!["upload-pack".into(), "--strict".into(), format!("{place}/git")],
        env: Vec::new(),
    };
    let rescue = yard.repository.fetch_rescue(&transport, "api", Time(0)).await.unwrap();
    assert!(yard.run(CLEAR, &[&place]).status.success() && !Path::new(&place).exists());
    write(&workspace, "not/for/you", "");
    assert!(yard.run(CLEAR, &[workspace.to_str().unwrap()]).status.success() && workspace.exists());

    assert_eq!(yard.repository.rescued_head(&rescue).await.unwrap(), head);
    std::fs::remove_dir_all(&workspace).unwrap();
    yard.repository.drop_refs("api", "tanuki/api", &yard.base.commit).await.unwrap();
    let root = yard.repository.root();
    git(root, &["gc", "-q", "--prune=now"]);
    git(root, &["cat-file", "-e", &aside]);
    yard.repository.restore_rescue(&rescue, &workspace, "tanuki/api", &yard.base).await.unwrap();
    assert_eq!(yard.files(), before);
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), head);
}

#[tokio::test]
async fn what_cannot_be_saved_is_named_and_left_out_only_when_told_to() {
    let yard = Yard::new().await;
    let workspace = yard.workspace();
    write(&workspace, "small.md", "small\n");
    let large = std::fs::File::create(workspace.join("huge [1].bin")).unwrap();
    large.set_len(20 << 30).unwrap();
    let output = yard.save("all", "");
    assert_eq!(output.status.code(), Some(6));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "./huge [1].bin\n");
    let output = yard.save("all", "force");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let place = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let listed = git(&Path::new(&place).join("git"), &["ls-tree", "--name-only", "refs/tanuki/rescue"]);
    std::fs::remove_dir_all(&place).unwrap();
    assert!(listed.contains("small.md") && !listed.contains("huge"), "{listed}");
}

#[tokio::test]
async fn what_is_too_large_is_neither_hashed_nor_forgotten() {
    let yard = Yard::new().await;
    let workspace = yard.workspace();
    git(&workspace, &["config", "user.name", "a"]);
    git(&workspace, &["config", "user.email", "a@example.org"]);
    std::fs::create_dir(workspace.join("deep")).unwrap();
    for path in ["deep/huge [1].bin", "a.txt"] {
        write(&workspace, &format!("{path}.md"), "small\n");
        std::fs::File::create(workspace.join(path)).unwrap().set_len(20 << 30).unwrap();
    }
    let output = yard.run(DIFF, &[&yard.base.commit, "1000000", "--name-only"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.txt.md\ndeep/huge [1].bin.md\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("left out: a.txt\n") && said.contains("left out: deep/huge [1].bin\n"), "{said}");
    let script = format!("exec <<EOF\nwork\nEOF\n{COMMIT_ALL}");
    let output = yard.run(&script, &["tanuki/api"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert_eq!(git(&workspace, &["show", "--format=", "--name-only"]), "a.txt.md\ndeep/huge [1].bin.md");
}

#[tokio::test]
async fn nobody_waits_for_a_pipe() {
    for name in [".gitignore", "deep/.gitattributes", ".git/info/exclude", "deep/.git/HEAD"] {
        let yard = Yard::new().await;
        let workspace = yard.workspace();
        write(&workspace, "work.md", "work\n");
        std::fs::create_dir_all(workspace.join("deep")).unwrap();
        std::fs::create_dir_all(workspace.join(".git/info")).unwrap();
        if name.starts_with("deep/.git/") {
            git(&workspace.join("deep"), &["init", "-q"]);
        }
        drop(std::fs::remove_file(workspace.join(name)));
        assert!(Command::new("mkfifo").arg(workspace.join(name)).status().unwrap().success());
        for (script, args) in
            [(DIFF, &[yard.base.commit.as_str(), "10"][..]), (CLEAN, &[]), (COMMIT_ALL, &["tanuki/api"])]
        {
            let output = yard.run(script, args);
            assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(name), "{output:?}");
        }
        let output = yard.save("all", "force");
        assert!(output.status.success(), "{name}: {output:?}");
        std::fs::remove_dir_all(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    }
}

#[tokio::test]
async fn a_workspace_whose_git_is_broken_is_saved_all_the_same() {
    type Break = fn(&Path);
    let ways: &[Break] = &[
        |workspace| std::fs::remove_dir_all(workspace.join(".git")).unwrap(),
        |workspace| {
            std::fs::remove_dir_all(workspace.join(".git")).unwrap();
            std::fs::write(workspace.join(".git"), "gitdir: /nowhere\n").unwrap();
        },
        |workspace| std::fs::write(workspace.join(".git/HEAD"), "nonsense").unwrap(),
        |workspace| {
            std::fs::remove_file(workspace.join(".git/HEAD")).unwrap();
            assert!(Command::new("mkfifo").arg(workspace.join(".git/HEAD")).status().unwrap().success());
        },
        |workspace| std::fs::write(workspace.join(".git/config"), "[broken").unwrap(),
        |workspace| {
            std::fs::write(workspace.join(".git/refs/heads/tanuki/api"), format!("{}\n", "1".repeat(40)))
                .unwrap();
        },
    ];
    for (number, break_it) in ways.iter().enumerate() {
        let yard = Yard::new().await;
        write(&yard.workspace(), "work.md", "work\n");
        break_it(&yard.workspace());
        // Three that no git can look at; the others are still a repository with something new.
        // Never taken for a workspace without work.
        assert_eq!(yard.run(CLEAN, &[]).status.code(), Some(2), "{number}");
        let output = yard.save("all", "");
        assert!(output.status.success(), "{number}: {}", String::from_utf8_lossy(&output.stderr));
        let place = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let listed = git(&Path::new(&place).join("git"), &["ls-tree", "--name-only", "refs/tanuki/rescue"]);
        std::fs::remove_dir_all(&place).unwrap();
        assert!(listed.contains("work.md") && listed.contains("a.txt"), "{number}: {listed}");
    }
}
