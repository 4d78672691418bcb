//! What becomes of an agent's work: looked at, merged, saved before it is removed, and brought back.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tanuki_integration::command;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, repeat};

where_agents_run!(
    work_is_shown_and_merged,
    a_merge_that_cannot_be_leaves_everything_as_it_was,
    a_target_that_is_elsewhere_or_moves_is_kept_whole,
    a_killed_merge_is_whole_or_not_at_all,
    what_is_removed_comes_back_byte_for_byte,
    what_cannot_be_looked_at_is_not_removed,
);

const FILES: [(&str, &str); 4] = [
    (".gitignore", ".tanuki/\nignored\n"),
    (".worktreeinclude", "ignored\n"),
    ("shared.txt", "one\ntwo\nthree\n"),
    ("kept.txt", "kept\n"),
];

async fn project(engine: Engine) -> Project {
    let project = Project::with_agents(engine, "", &FILES).await;
    let _made = project.spawn("api").await;
    project
}

/// Where the user's checkout is, and that it is clean.
async fn head(project: &Project) -> String {
    assert_eq!(project.git_says(&["status", "--porcelain"]).await, "");
    project.git_says(&["rev-parse", "HEAD"]).await
}

async fn work_is_shown_and_merged(engine: Engine) {
    let project = project(engine).await;
    let _none = project.tanuki(&["diff", "api", "--exit-code"]).await.ok();
    let work =
        "echo four >>shared.txt && git commit -qam 'Add four' && echo five >>shared.txt && echo new >new.txt";
    let _done = project.inside("api", work).await.ok();
    let diff = project.tanuki(&["diff", "api", "--exit-code"]).await.code(1);
    // Committed, not committed, not even known to git.
    let _shown = diff.says("+four").says("+five").says("+new");
    let names = project.tanuki(&["diff", "api", "--name-only"]).await.ok();
    assert_eq!(names.stdout, "new.txt\nshared.txt\n");

    let before = head(&project).await;
    // Only what is committed is merged, and that it is not all is said.
    let _told = project.tanuki(&["merge", "api"]).await.ok().says("not committed").says("new.txt");
    let shared = || std::fs::read_to_string(project.root.join("shared.txt")).unwrap();
    assert_eq!(shared(), "one\ntwo\nthree\nfour\n");
    let _undone = project.tanuki(&["undo", "api"]).await.ok();
    assert_eq!((head(&project).await, shared()), (before.clone(), "one\ntwo\nthree\n".to_owned()));
    let _done = project.inside("api", "git add -A && git commit -qm 'Add the rest'").await.ok();
    let refused = project.tanuki(&["merge", "api", "--verify", "grep -q six shared.txt"]).await.code(1);
    let _told = refused.says("grep -q six");
    assert_eq!(head(&project).await, before);
    let _merged = project.tanuki(&["merge", "api", "--verify", "grep -q five shared.txt"]).await.ok();
    assert_ne!(head(&project).await, before);
    assert_eq!(shared(), "one\ntwo\nthree\nfour\nfive\n");
    let _undone = project.tanuki(&["undo", "api"]).await.ok();
    assert_eq!(head(&project).await, before);

    let _squashed = project.tanuki(&["merge", "api", "--squash", "-m", "All of it"]).await.ok();
    assert_eq!(project.git_says(&["log", "--format=%s", &format!("{before}..")]).await, "All of it");
}

async fn a_merge_that_cannot_be_leaves_everything_as_it_was(engine: Engine) {
    let project = project(engine).await;
    let _done = project.inside("api", "sed -i s/two/agent/ shared.txt && git commit -qam agent").await.ok();

    // What is not committed would be lost.
    project.write("shared.txt", "one\nunsaved\nthree\n");
    let _told = project.tanuki(&["merge", "api"]).await.code(1).says("shared.txt");
    assert_eq!(std::fs::read_to_string(project.root.join("shared.txt")).unwrap(), "one\nunsaved\nthree\n");

    // The same lines on both sides.
    project.commit("person").await;
    let before = head(&project).await;
    let _told = project.tanuki(&["merge", "api"]).await.code(1).says("shared.txt").says("conflict");
    let _told = project.tanuki(&["merge", "api", "--rebase"]).await.code(1).says("shared.txt");
    assert_eq!(head(&project).await, before);

    // The target moved meanwhile, elsewhere in the file's directory: both are kept.
    let _made = project.tanuki(&["spawn", "web"]).await.ok();
    let _done = project.inside("web", "echo web >web.txt && git add -A && git commit -qm web").await.ok();
    project.write("person.txt", "person\n");
    project.commit("meanwhile").await;
    // While another branch is checked out, and the target nowhere.
    let _away = project.git(&["switch", "--quiet", "--create", "away"]).await.ok();
    let _merged = project.tanuki(&["merge", "web"]).await.ok();
    assert!(!project.root.join("web.txt").exists(), "the checkout is another branch's");
    let _back = project.git(&["switch", "--quiet", "main"]).await.ok();
    assert!(project.root.join("web.txt").exists() && project.root.join("person.txt").exists());
}

async fn a_target_that_is_elsewhere_or_moves_is_kept_whole(engine: Engine) {
    let project = project(engine).await;
    let work = "echo agent >agent.txt && git add -A && git commit -qm agent";
    let _done = project.inside("api", work).await.ok();
    // Checked out in a worktree of the user's.
    let other = project.base().join("other");
    let at = other.display().to_string();
    let _away = project.git(&["switch", "--quiet", "--create", "away"]).await.ok();
    let _made = project.git(&["worktree", "add", "--quiet", &at, "main"]).await.ok();
    let before = project.git_says(&["rev-parse", "main"]).await;
    let unsaved = other.join("shared.txt");
    std::fs::write(&unsaved, "unsaved\n").unwrap();
    let _told = project.tanuki(&["merge", "api"]).await.code(1).says(&at).says("shared.txt");
    assert_eq!(std::fs::read_to_string(&unsaved).unwrap(), "unsaved\n");
    let _clean = project.git(&["-C", &at, "checkout", "--quiet", "--", "shared.txt"]).await.ok();
    std::fs::write(other.join("agent.txt"), "mine\n").unwrap();
    let _told = project.tanuki(&["merge", "api"]).await.code(1).says(&at).says("agent.txt");
    assert_eq!(std::fs::read_to_string(other.join("agent.txt")).unwrap(), "mine\n");
    std::fs::remove_file(other.join("agent.txt")).unwrap();
    assert_eq!(project.git_says(&["rev-parse", "main"]).await, before);
    let _merged = project.tanuki(&["merge", "api"]).await.ok();
    assert_eq!(std::fs::read_to_string(other.join("agent.txt")).unwrap(), "agent\n");
    assert_eq!(project.git_says(&["-C", &at, "status", "--porcelain"]).await, "");
    assert!(!project.root.join("agent.txt").exists(), "the checkout of another branch was changed");
    assert_eq!(project.git_says(&["status", "--porcelain"]).await, "");
    let _undone = project.tanuki(&["undo", "api"]).await.ok();
    assert!(!other.join("agent.txt").exists());
    assert_eq!(project.git_says(&["rev-parse", "main"]).await, before);

    // In two places: neither is left behind.
    let twice = project.base().join("twice").display().to_string();
    let _made = project.git(&["worktree", "add", "--quiet", "--force", &twice, "main"]).await.ok();
    let _told = project.tanuki(&["merge", "api"]).await.code(1).says("checked out in");
    assert_eq!(project.git_says(&["rev-parse", "main"]).await, before);
    let _gone = project.git(&["worktree", "remove", &twice]).await.ok();
    let _gone = project.git(&["worktree", "remove", &at]).await.ok();
    let _back = project.git(&["switch", "--quiet", "main"]).await.ok();

    // It moves while the result is verified.
    let merge = project.tanuki(&["merge", "api", "--verify", "touch /tmp/verifies; sleep 3"]);
    let meanwhile = async {
        while project.inside("api", "test -e /tmp/verifies").await.code != 0 {}
        project.write("meanwhile.txt", "meanwhile\n");
        project.commit("meanwhile").await;
        project.git_says(&["rev-parse", "HEAD"]).await
    };
    let (refused, moved) = tokio::join!(merge, meanwhile);
    let _told = refused.code(1).says("has moved meanwhile").says("try again");
    assert_eq!(head(&project).await, moved);
    let _merged = project.tanuki(&["merge", "api"]).await.ok();
    for path in ["agent.txt", "meanwhile.txt"] {
        assert!(project.root.join(path).exists(), "{path} is not there");
    }
}

async fn a_killed_merge_is_whole_or_not_at_all(engine: Engine) {
    let project = project(engine).await;
    let before = head(&project).await;
    let many = "for n in $(seq 300); do echo $n >file-$n; done; echo x >>shared.txt; git add -A; git commit -qm many";
    let _done = project.inside("api", many).await.ok();
    for nth in 0..repeat("TANUKI_E2E_KILLS", 4) {
        let merge = command::run(project.command(&["merge", "api"]), None, Duration::from_secs(60));
        let killer = async {
            tokio::time::sleep(Duration::from_millis(u64::from(60 * nth + 30))).await;
            project.kill_controller()
        };
        let (_ended, _killed) = tokio::join!(merge, killer);
        // The next controller, which finishes or takes back.
        let _looked = project.inside("api", "true").await.ok();
        let after = head(&project).await;
        let there = (1..=300).filter(|n| project.root.join(format!("file-{n}")).exists()).count();
        assert!(there == if after == before { 0 } else { 300 }, "{there} files after kill {nth}, at {after}");
        if after != before {
            let _undone = project.tanuki(&["undo", "api"]).await.ok();
            assert_eq!(head(&project).await, before);
        }
    }
    let _merged = project.tanuki(&["merge", "api"]).await.ok();
    assert_ne!(head(&project).await, before);
}

/// Everything in a directory but git's own: kind and mode, and content or target, by path.
fn tree(directory: &Path) -> BTreeMap<Vec<u8>, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let inner = path.strip_prefix(directory).unwrap();
            let meta = path.symlink_metadata().unwrap();
            if inner == Path::new(".git") {
                continue;
            }
            if meta.is_dir() {
                left.push(path);
                continue;
            }
            let content = if meta.is_symlink() {
                std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(inner.as_os_str().as_bytes().to_vec(), (meta.permissions().mode(), content));
        }
    }
    found
}

async fn what_is_removed_comes_back_byte_for_byte(engine: Engine) {
    let project = project(engine).await;
    let work = r"
        echo committed >committed && git add -A && git commit -qm work
        echo staged >staged && git add staged && echo more >>staged
        echo changed >>kept.txt; rm shared.txt
        mkdir -p deep/er && printf '\000\001\377' >deep/er/binary
        printf '#!/bin/sh\n' >run.sh && chmod 755 run.sh
        ln -s /nowhere/at/all link; echo secret >ignored
        touch 'a name with blanks' 'ünïcode' \'quoted\' && printf 'no newline' >end
    ";
    let _done = project.inside("api", work).await.ok();
    let before = tree(&project.workspace("api"));
    let log = project.inside("api", "git log --format=%H").await.ok().stdout;
    let _refused = project.tanuki(&["remove", "api", "--yes"]).await.code(1).says("--force");
    assert_eq!(tree(&project.workspace("api")), before);

    let removed = project.tanuki(&["remove", "api", "--force", "--yes"]).await.ok();
    let _told = removed.says("refs/tanuki/rescue/").says("tanuki undo api");
    assert!(!project.workspace("api").exists());
    assert_eq!(project.git_says(&["branch", "--list", "tanuki/api"]).await, "");
    assert!(project.objects().await.containers.is_empty());

    let _undone = project.tanuki(&["undo", "api"]).await.ok();
    let after = tree(&project.workspace("api"));
    for (path, is) in &before {
        assert_eq!(after.get(path), Some(is), "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(after.len(), before.len());
    assert_eq!(project.inside("api", "git log --format=%H").await.ok().stdout, log);
    let status = project.inside("api", "git status --porcelain").await.ok().stdout;
    assert!(status.contains("?? run.sh") && status.contains(" D shared.txt"), "{status}");
}

async fn what_cannot_be_looked_at_is_not_removed(engine: Engine) {
    let mut project = Project::with_agents(engine, "", &FILES).await;
    // The way to the engine can be cut.
    let socket = project.base().join("engine.sock");
    let connect = || std::os::unix::fs::symlink(engine.socket().unwrap(), &socket).unwrap();
    connect();
    for host in ["DOCKER_HOST", "CONTAINER_HOST"] {
        if let Some(value) = project.env.get_mut(host) {
            *value = format!("unix://{}", socket.display());
        }
    }
    let _killed = project.kill_controller();
    let _made = project.spawn("api").await;
    let _done = project.inside("api", "echo work >work.txt").await.ok();
    let before = tree(&project.workspace("api"));
    std::fs::remove_file(&socket).unwrap();
    for args in [
        &["remove", "api", "--yes"][..],
        &["remove", "api", "--force", "--yes"],
        &["remove", "--all", "--yes"],
    ] {
        let refused = project.tanuki(args).await;
        assert!(matches!(refused.code, 1 | 3), "{refused}");
        assert_eq!(tree(&project.workspace("api")), before, "{refused}");
    }
    connect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while project.tanuki(&["attach", "api", "--", "true"]).await.code != 0 {
        assert!(tokio::time::Instant::now() < deadline, "the engine is not found again");
    }

    // Git inside that fails: what there is cannot be told, so it is not taken for nothing.
    let _broken = project.inside("api", "git add -A && git commit -qm work && rm .git/HEAD").await.ok();
    let refused = project.tanuki(&["remove", "api", "--yes"]).await.code(1);
    let _told = refused.says("--force");
    assert_eq!(tree(&project.workspace("api")), before);
    assert_eq!(project.agent("api").await["state"], "idle");
    let _saved =
        project.tanuki(&["remove", "api", "--force", "--yes"]).await.ok().says("refs/tanuki/rescue/");
    let _undone = project.tanuki(&["undo", "api"]).await.ok();
    assert_eq!(tree(&project.workspace("api")), before);
}
