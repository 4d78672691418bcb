//! What goes wrong around agents: repositories they cannot be made from, requests that make no sense, a disk without
//! room, a state that is gone. Whatever is refused leaves nothing, and whatever is lost is found again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;

where_agents_run!(
    repositories_are_used_or_refused_with_a_reason,
    what_makes_no_sense_is_refused,
    an_image_that_cannot_be_an_agents_is_refused,
    a_disk_without_room_leaves_nothing,
    agents_are_found_again_without_the_state,
    two_projects_make_agents_at_the_same_time,
);

const SOON: Duration = Duration::from_secs(30);

/// Nothing of an agent is there.
async fn nothing_of(project: &Project, agent: &str) {
    assert!(!project.workspace(agent).exists(), "a workspace is left");
    let refs = project.git_says(&["for-each-ref", "--format=%(refname)"]).await;
    assert!(!refs.contains(agent), "references are left: {refs}");
    assert!(!project.root.join(".tanuki/state/agents").join(agent).exists(), "state is left");
    let there = project.objects().await.containers;
    assert!(there.iter().all(|container| !container.name.contains(agent)), "{there:#?}");
}

async fn repositories_are_used_or_refused_with_a_reason(engine: Engine) {
    let mut project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let head = project.git_says(&["rev-parse", "HEAD"]).await;
    let refused = async |why: &str, mend: &str| {
        let _told = project.tanuki(&["spawn", "api"]).await.code(2).says(why).says(mend);
        nothing_of(&project, "api").await;
    };
    let _set = project.git(&["config", "core.bare", "true"]).await.ok();
    refused("bare repository", "working tree").await;
    let _set = project.git(&["config", "core.bare", "false"]).await.ok();
    project.write(".git/shallow", &format!("{head}\n"));
    refused("shallow", "--unshallow").await;
    std::fs::remove_file(project.root.join(".git/shallow")).unwrap();
    let _set = project.git(&["config", "remote.origin.promisor", "true"]).await.ok();
    refused("partial clone", "full clone").await;
    let _set = project.git(&["config", "--unset", "remote.origin.promisor"]).await.ok();
    let _gone = project.git(&["update-ref", "-d", "refs/heads/main"]).await.ok();
    refused("no commit", "first commit").await;
    let _back = project.git(&["update-ref", "refs/heads/main", &head]).await.ok();

    // From a commit that no branch has; there is nothing to merge into then.
    let _left = project.git(&["checkout", "--quiet", "--detach"]).await.ok();
    let _made = project.spawn("loose").await;
    let _work = project.inside("loose", "echo more >more.txt && git add . && git commit -qm more").await.ok();
    let _told = project.tanuki(&["merge", "loose"]).await.code(2).says("no branch").says("--pr");
    let _back = project.git(&["checkout", "--quiet", "main"]).await.ok();

    // What a workspace cannot have is said.
    project.write(".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = https://example.org/sub.git\n");
    project.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    let link = format!("160000,{head},sub");
    let _added = project.git(&["update-index", "--add", "--cacheinfo", &link]).await.ok();
    let _added = project.git(&["add", ".gitmodules", ".gitattributes"]).await.ok();
    let _made = project.git(&["commit", "--quiet", "--message", "modules"]).await.ok();
    let _warned = project.spawn("whole").await.says("submodules").says("Git LFS");

    // A worktree is as good as the repository it belongs to.
    let linked = project.base().join("linked");
    let linked = linked.to_str().unwrap().to_owned();
    let _made = project.git(&["worktree", "add", "--quiet", "-b", "side", &linked]).await.ok();
    let config = std::fs::read_to_string(project.root.join("tanuki.yaml")).unwrap();
    let _removed = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    let first = std::mem::replace(&mut project.root, PathBuf::from(&linked));
    project.configure(&config);
    let _made = project.spawn("guest").await;
    let _work = project.inside("guest", "echo side >side.txt && git add . && git commit -qm side").await.ok();
    let _merged = project.tanuki(&["merge", "guest"]).await.ok().says("side");
    assert_eq!(std::fs::read_to_string(project.root.join("side.txt")).unwrap(), "side\n");
    let _removed = project.tanuki(&["remove", "guest", "--yes"]).await.ok();
    let _removed = project.tanuki(&["down", "--volumes", "--yes"]).await.ok();
    project.root = first;
}

async fn what_makes_no_sense_is_refused(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let long = "a".repeat(300);
    for name in [long.as_str(), "ägent", "api\u{1f9a1}", "api\nweb", "api web", "api-", "9api", ".", ""] {
        let refused = project.tanuki(&["spawn", "--", name]).await.code(2);
        let _told = refused.says("name");
        nothing_of(&project, "api").await;
    }
    project.write(".tanuki/roles/broken.md", "---\nmax_turns: many\n---\nBe quick.\n");
    project.write(".tanuki/roles/odd.md", "---\nmodle: big\n---\nBe quick.\n");
    for (role, told) in [("broken", "broken.md:2"), ("odd", "modle")] {
        let _told = project.tanuki(&["spawn", "api", "--role", role]).await.code(2).says(told);
        nothing_of(&project, "api").await;
    }
    let _made = project.spawn("api").await;
    // One bad name spoils the whole request, and nothing is made.
    let _told = project.tanuki(&["spawn", "web", "-n", "65"]).await.code(2);
    nothing_of(&project, "web").await;
    std::fs::write(project.base().join("latin1"), b"caf\xe9\n").unwrap();
    std::fs::write(project.base().join("long"), "long\n".repeat(300_000)).unwrap();
    std::fs::write(project.base().join("empty"), "\n \n").unwrap();
    let file = |name: &str| project.base().join(name).display().to_string();
    let (latin1, long, empty, none) = (file("latin1"), file("long"), file("empty"), file("none"));
    for (args, told) in [
        (vec!["api", ""], "prompt is empty"),
        (vec!["api", " \n\t"], "prompt is empty"),
        (vec!["api", "-f", &empty], "prompt is empty"),
        (vec!["api", "-f", &none], "No such file"),
        (vec!["api", "-f", "/"], "directory"),
        (vec!["api", "-f", &latin1], "UTF-8"),
        (vec!["api", "-f", &long], "1 MiB"),
        (vec!["api", "true", "--deny", "Bash"], "shell"),
        (vec!["api", "true", "--loop"], "--verify"),
        (vec!["nobody", "true"], "nobody"),
    ] {
        let run: Vec<&str> = std::iter::once("run").chain(args).collect();
        let refused = project.tanuki(&run).await;
        assert!(matches!(refused.code, 1 | 2), "{refused}");
        let _told = refused.says(told);
    }
    assert_eq!(project.runs().await, Vec::<serde_json::Value>::new());
}

async fn an_image_that_cannot_be_an_agents_is_refused(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    // One file, and nothing that could run.
    let tar = project.base().join("image.tar").display().to_string();
    let packed = project.program("tar", &["-cf", &tar, "a.txt"]).status().await.unwrap();
    assert!(packed.success());
    let image = format!("tanuki-test/nothing-{}:1", std::process::id());
    let _made = project.engine_cli(&["import", &tar, &image]).await.ok();
    let refused = project.tanuki(&["spawn", "api", "--image", &image]).await;
    let _gone = project.engine_cli(&["rmi", "--force", &image]).await;
    assert!(matches!(refused.code, 1 | 2), "{refused}");
    let _told = refused.says("must have `sh` and `git`");
    nothing_of(&project, "api").await;
    let _made = project.spawn("api").await;
}

/// A small disk, until it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// One of so many kilobytes, whose root belongs to the owner of what is under it.
    fn mount(path: &Path, kilobytes: u32) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let owner = std::fs::metadata(path).unwrap();
        let options = format!("size={kilobytes}k,uid={},gid={},mode=0700", owner.uid(), owner.gid());
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status().unwrap();
        assert!(mounted.success(), "a test of a full disk needs to mount one");
        Self(path.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Ends whatever controller is at work on a project, also one that its lock does not tell of.
fn kill_controllers(project: &Project) {
    let root = project.root.as_os_str().as_encoded_bytes();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if command.split(|byte| *byte == 0).any(|word| word == root)
            && let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok())
        {
            tanuki_integration::project::kill(pid, rustix::process::Signal::KILL);
        }
    }
}

async fn a_disk_without_room_leaves_nothing(engine: Engine) {
    let large = "a line of a large file\n".repeat(200_000);
    let project = Project::with_agents(engine, "", &[("large.txt", &large)]).await;
    let disk = Disk::mount(&project.root.join(".tanuki"), 1500);
    for _twice in 0..2 {
        let _told = project.tanuki(&["spawn", "api"]).await.code(1).says("No space left on device");
        let _none = project.tanuki(&["list"]).await.ok().never_says("api");
        nothing_of(&project, "api").await;
    }
    // No room for anything at all, not even for what a controller needs.
    assert!(project.kill_controller());
    std::fs::remove_dir_all(project.root.join(".tanuki/state")).unwrap();
    let filled = std::fs::write(project.root.join(".tanuki/full"), "x".repeat(2 << 20));
    assert!(filled.is_err(), "the disk is not full");
    let refused = project.tanuki(&["spawn", "api"]).await.code(1);
    assert!(
        refused.stderr.contains("No space left on device") || refused.stderr.contains("disk is full"),
        "{refused}"
    );
    // One may have begun, without room to write down that it did.
    kill_controllers(&project);
    drop(disk);
    let _made = project.spawn("api").await;
    let _whole = project.inside("api", "git status --porcelain && test -s large.txt").await.ok();
}

async fn agents_are_found_again_without_the_state(engine: Engine) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    for name in ["api", "web"] {
        let _made = project.tanuki(&["spawn", name, "--role", "backend"]).await.ok();
    }
    let _ran = project.tanuki(&["run", "api", "echo one >one.txt"]).await.ok();
    let _work = project.inside("api", "echo precious >work.txt").await.ok();
    let _begun = project.tanuki(&["run", "web", "--detach", "sleep 600"]).await.ok();
    let _down = project.tanuki(&["stop", "web"]).await.ok();
    let container = project.agent("api").await["container_id"].clone();
    for lost in ["deleted", "broken"] {
        let database = project.root.join(".tanuki/state/tanuki.db");
        assert!(project.kill_controller());
        for end in ["", "-wal", "-shm"] {
            let _gone = std::fs::remove_file(format!("{}{end}", database.display()));
        }
        if lost == "broken" {
            project.write(".tanuki/state/tanuki.db", &"no database at all\n".repeat(1000));
        }
        // A look is enough: whoever asks finds them.
        let api = project.until_agent("api", "found again", SOON, |agent| agent["state"] == "idle").await;
        assert_eq!(
            (&api["container_id"], &api["branch"]),
            (&container, &"tanuki/api".into()),
            "{lost}: {api:#}"
        );
        assert_eq!(
            (&api["role"], &api["base"]),
            (&"backend".into(), &"refs/heads/main".into()),
            "{lost}: {api:#}"
        );
        let web = project.until_agent("web", "found again", SOON, |agent| agent["state"] == "stopped").await;
        assert_eq!(web["role"], "backend", "{lost}: {web:#}");
        assert_eq!(project.objects().await.containers.len(), 2, "{lost}");
        assert_eq!(project.inside("api", "cat work.txt").await.ok().stdout, "precious\n");
        let _why = project.tanuki(&["events", "-n", "50"]).await.ok().says("FoundAgain");
        // Neither the number nor the output of an earlier run is taken for a new one's.
        let ran = project.tanuki(&["run", "api", &format!("echo {lost} >{lost}.txt")]).await.ok();
        let _told = ran.never_says("echo one");
        assert!(project.workspace("api").join(format!("{lost}.txt")).exists());
    }
    let _why = project.tanuki(&["events", "-n", "50"]).await.ok().says("StateLost");
    // They are agents as before.
    let _merged = project.tanuki(&["merge", "api"]).await.ok();
    assert_eq!(project.git_says(&["show", "main:one.txt"]).await, "one");
    let _removed = project.tanuki(&["remove", "--all", "--force", "--yes"]).await.ok();
    let _back = project.tanuki(&["undo", "api"]).await.ok();
    assert_eq!(project.inside("api", "cat work.txt").await.ok().stdout, "precious\n");
}

async fn two_projects_make_agents_at_the_same_time(engine: Engine) {
    let one = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let other = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    for _round in 0..2 {
        let (first, second) =
            tokio::join!(one.tanuki(&["spawn", "-n", "6"]), other.tanuki(&["spawn", "-n", "6"]));
        for made in [first.ok(), second.ok()] {
            assert_eq!(made.stdout.matches("Created agent: ").count(), 6, "{made}");
        }
        let (first, second) = tokio::join!(
            one.tanuki(&["remove", "--all", "--force", "--yes"]),
            other.tanuki(&["remove", "--all", "--force", "--yes"])
        );
        let _gone = (first.ok(), second.ok());
    }
}
