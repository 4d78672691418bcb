//! The wall: workspaces made by an agent that means harm, and every command that looks at them.
//!
//! Nothing of the agent's may run on the host, nothing outside its workspace may be read or written, and each command
//! has to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tanuki_integration::command::{self, Outcome};
use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;

const SOON: Duration = Duration::from_secs(30);

where_agents_run!(
    configuration_and_hooks_run_nothing,
    a_git_directory_of_the_projects_is_not_entered,
    references_are_only_names,
    files_lead_nowhere,
    pipes_and_devices_are_not_waited_for,
    what_is_huge_is_not_read,
    what_grows_when_unpacked_is_not_taken,
);

/// Every program that git's configuration, attributes and hooks can name runs this.
const CONFIG: &str = r#"
cat >/workspace/evil.sh <<SH
#!/bin/sh
touch "$CANARY"
cat
exit 0
SH
chmod 755 evil.sh
evil="$HOST/evil.sh"
for hook in pre-commit post-checkout post-merge pre-merge-commit reference-transaction post-index-change pre-auto-gc \
    fsmonitor-watchman update pre-receive post-receive proc-receive post-update applypatch-msg post-rewrite; do
    cp evil.sh .git/hooks/$hook
done
for key in core.fsmonitor core.editor core.pager core.sshCommand core.askPass core.gitProxy core.alternateRefsCommand \
    diff.external diff.evil.textconv diff.evil.command filter.evil.clean filter.evil.smudge filter.evil.process \
    merge.evil.driver gpg.program credential.helper uploadpack.packObjectsHook sequence.editor pager.diff \
    remote.origin.uploadpack remote.origin.receivepack alias.status alias.upload-pack; do
    git config "$key" "$evil"
done
git config core.hooksPath "$HOST/.git/hooks"
git config core.worktree "$PROJECT"
git config core.worktree /workspace
git config include.path "$PROJECT/.git/config"
git config url."ext::sh -c $evil".insteadOf https://
git config submodule.evil.url "ext::sh -c $evil"
git config submodule.evil.update "!$evil"
echo '* filter=evil diff=evil merge=evil' >.gitattributes
printf '[submodule "evil"]\n\tpath = evil\n\turl = ext::sh -c %s\n\tupdate = !%s\n' "$evil" "$evil" >.gitmodules
cp .gitattributes .git/info/attributes
echo work >work.txt
env -i PATH="$PATH" GIT_CONFIG_GLOBAL=/dev/null git -c core.fsmonitor=false -c filter.evil.clean=cat -c filter.evil.process= \
    -c core.hooksPath=/dev/null -c user.name=e -c user.email=e@e add -A >/dev/null 2>&1
git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c filter.evil.clean=cat -c filter.evil.process= commit -qm evil
true
"#;

/// A `.git` that is somebody else's, once as a file and once as a link.
const GIT_FILE: &str = r#"mv .git /tmp/mine; echo "gitdir: $PROJECT/.git" >.git; echo x >new.txt"#;
const GIT_LINK: &str = r#"mv .git /tmp/mine; ln -s "$PROJECT/.git" .git; echo x >new.txt"#;

/// Borrowed objects, and more refs than anybody looks at.
const REFS: &str = r#"
echo /etc >>.git/objects/info/alternates; echo "$OUTSIDE" >>.git/objects/info/alternates
head=$(git rev-parse HEAD)
{ echo '# pack-refs with: peeled fully-peeled sorted'
  awk -v head=$head 'BEGIN { for (n = 0; n < 1000000; n++) printf "%s refs/heads/many/%08d\n", head, n }'; } >.git/packed-refs
echo "ref: refs/heads/../../../../etc/passwd" >.git/refs/heads/odd
echo x >>a.txt
"#;

/// Names that a shell, an option parser or a terminal would take for something else, and being on such a branch.
const NAMES: &str = r#"
head=$(git rev-parse HEAD)
for name in "\$(touch $CANARY)" "--upload-pack=touch $CANARY" '-x' 'a;b' "$(printf 'bell\007red\033[31m')" '../../up' 'ünï'; do
    mkdir -p ".git/refs/heads/$(dirname -- "./$name")" && echo $head >".git/refs/heads/$name"
done
printf 'ref: refs/heads/here;touch$IFS"%s"\n' "$CANARY" >.git/HEAD
echo named >'--output=named.txt'; echo named >"$(printf 'new\nline\033[31m')"; echo named >':(exclude)x'; echo x >>a.txt
git add -A && git commit -qm "$(printf 'odd \033]0;title\007 names')"
"#;

/// The agent's own branch made something that it is not.
const SYMREF: &str = r#"
git checkout -q --detach && echo x >new.txt && git add -A && git commit -qm elsewhere
rm -f .git/refs/heads/tanuki/evil && mkdir .git/refs/heads/tanuki/evil && git rev-parse HEAD >.git/refs/heads/tanuki/evil/x
"#;

/// Links out of the workspace, and in circles.
const FILES: &str = r#"
ln -s /etc/passwd passwd; ln -s "$PROJECT" project; ln -s / root; mkdir -p a && ln -s ../../../.. a/up; ln -s loop loop
ln -s "$OUTSIDE/secret" secret; ln -s "$OUTSIDE" outside; ln -s "$OUTSIDE/made" made; mkdir dir; echo x >dir/secret
git add passwd project root a loop secret outside made dir && git commit -qm links
rm -r conf && ln -s "$OUTSIDE" conf && git add -f conf && git commit -qm conf
rm -r dir && ln -s "$OUTSIDE" dir; ln -sf "$OUTSIDE/secret" .gitattributes; ln -sf "$OUTSIDE/secret" .worktreeinclude
"#;

/// What is read for ever: as files of the workspace, of git, and of a repository in the workspace.
const PIPES: &str = r#"
mkfifo fifo .gitattributes deep.fifo; mkdir inner && git -C inner init -q && rm inner/.git/HEAD && mkfifo inner/.git/HEAD
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
mv .git/index .git/index.old; mkfifo .git/index; echo x >>a.txt; mkfifo .git/info/exclude.lock
! mknod null c 1 3
"#;

const SPARSE: &str = "truncate -s 10G sparse; mkdir deep; truncate -s 10G deep/sparse; echo x >>a.txt";

/// Some megabytes on the way, and nothing that fits on a disk afterwards.
const BOMB: &str = "truncate -s 1100M bomb && git add bomb && git commit -qm bomb";

/// A project with one agent that did this.
struct Wall {
    project: Project,
    /// What the agent's programs would make.
    canary: PathBuf,
    /// What nobody is to touch.
    outside: PathBuf,
}

const RUN: &str = "echo run; echo more >>a.txt";
const UNTOUCHED: &str = "nothing of the agent's business";

async fn made_by(engine: Engine, script: &str) -> Wall {
    let files = [
        ("a.txt", "a\n"),
        (".gitignore", ".tanuki/state/\n.tanuki/workspaces/\nconf/\n"),
        (".worktreeinclude", "conf/\n"),
        ("conf/local.env", "local\n"),
        (".tanuki/tasks/T-1.md", "---\nid: T-1\ntitle: Look\n---\nLook.\n"),
    ];
    let project = Project::with_agents(engine, "", &files).await;
    let _made = project.spawn("evil").await;
    let (canary, outside) = (project.base().join("canary"), project.base().join("outside"));
    project.make_private(&outside);
    std::fs::write(outside.join("secret"), UNTOUCHED).unwrap();
    tanuki_integration::project::give(&outside.join("secret"), project.owner).unwrap();
    let script = format!(
        "CANARY='{}'; PROJECT='{}'; HOST='{}'; OUTSIDE='{}'\n{script}",
        canary.display(),
        project.root.display(),
        project.workspace("evil").display(),
        outside.display(),
    );
    let done = project.inside("evil", &script).await;
    assert!(done.code <= 1, "{done}");
    Wall { project, canary, outside }
}

impl Wall {
    /// Everything that nobody but the user writes.
    fn surroundings(&self) -> (Vec<u8>, usize, Vec<PathBuf>, String) {
        let root = &self.project.root;
        let names = |directory: &Path| {
            let mut names: Vec<_> =
                std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
            names.sort();
            names
        };
        let around =
            [names(self.project.base()), names(&self.outside), names(&self.project.base().join("home"))];
        (
            std::fs::read(root.join(".git/config")).unwrap(),
            names(&root.join(".git/hooks")).len(),
            around.concat(),
            std::fs::read_to_string(self.outside.join("secret")).unwrap(),
        )
    }

    /// Looks at the agent in every way there is. How each ended, by command.
    async fn look(&self) -> Vec<Outcome> {
        let before = self.surroundings();
        let commands: [&[&str]; 22] = [
            &["list"],
            &["list", "-o", "json"],
            &["status"],
            &["status", "evil"],
            &["project", "status"],
            &["plan"],
            &["diff", "evil", "--stat"],
            &["diff", "evil", "--name-only"],
            &["diff", "evil"],
            &["run", "evil", RUN],
            &["runs", "evil"],
            &["logs", "evil"],
            &["logs", "evil", "--raw"],
            &["merge", "evil"],
            &["undo", "evil"],
            &["merge", "evil", "--squash"],
            &["undo", "evil"],
            &["remove", "evil", "--yes"],
            &["remove", "evil", "--force", "--yes"],
            &["undo", "evil"],
            &["diff", "evil", "--stat"],
            &["remove", "evil", "--force", "--yes"],
        ];
        let mut all = Vec::new();
        for command in commands {
            let ended = self.project.tanuki(command).await;
            assert!(matches!(ended.code, 0..=2), "{ended}");
            let ended = ended.never_says("root:x:0:0").never_says(UNTOUCHED).never_says("panicked");
            // What a terminal would obey.
            let ended = if command.contains(&"--raw") {
                ended
            } else {
                ended.never_says("\u{1b}").never_says("\u{7}")
            };
            assert!(ended.code == 0 || !ended.stderr.trim().is_empty(), "nothing is said: {ended}");
            assert!(!self.canary.exists(), "what the agent wrote ran on the host: {ended}");
            assert_eq!(self.surroundings(), before, "{ended}");
            all.push(ended);
        }
        let gone = self.project.agent("evil").await;
        assert!(
            gone.is_null(),
            "it cannot be removed: {}",
            all.iter().map(|ended| format!("{ended}\n")).collect::<String>()
        );
        // The project is as good as before.
        let lists = ["-c", "fsck.gitmodulesUpdate=ignore", "-c", "fsck.gitmodulesUrl=ignore"];
        // What was saved of it may be anything.
        let _whole = self.project.git(&[&lists[..], &["fsck", "--no-dangling"]].concat()).await.ok();
        let _made = self.project.spawn("good").await;
        let _done = self.project.tanuki(&["run", "good", "echo good >good.txt"]).await.ok();
        assert_eq!(self.project.git_says(&["show", "tanuki/good:good.txt"]).await, "good");
        all
    }
}

/// How the first command with exactly these words ended.
fn of<'a>(all: &'a [Outcome], words: &str) -> &'a Outcome {
    all.iter().find(|ended| ended.line.split_once(' ').is_some_and(|(_, line)| line == words)).unwrap()
}

async fn configuration_and_hooks_run_nothing(engine: Engine) {
    let wall = made_by(engine, CONFIG).await;
    // The trap is armed: git on the host, in a copy of the workspace, runs it.
    let (from, to) = (wall.project.workspace("evil").display().to_string(), wall.project.base().join("copy"));
    let copy = to.display().to_string();
    let _copied = command::run(wall.project.program("cp", &["-a", &from, &copy]), None, SOON).await.ok();
    let status = ["-C", &copy, "--work-tree", &copy, "status"];
    let _sprung = command::run(wall.project.program("git", &status), None, SOON).await;
    assert!(wall.canary.exists(), "the trap does nothing");
    std::fs::remove_file(&wall.canary).unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    let all = wall.look().await;
    assert!(of(&all, "diff evil").stdout.contains("work.txt"), "{}", of(&all, "diff evil"));
}

async fn a_git_directory_of_the_projects_is_not_entered(engine: Engine) {
    for script in [GIT_FILE, GIT_LINK] {
        let all = made_by(engine, script).await.look().await;
        assert_ne!(of(&all, "merge evil").code, 0, "{}", of(&all, "merge evil"));
    }
}

async fn references_are_only_names(engine: Engine) {
    for script in [REFS, NAMES, SYMREF] {
        let _all = made_by(engine, script).await.look().await;
    }
}

async fn files_lead_nowhere(engine: Engine) {
    let _all = made_by(engine, FILES).await.look().await;
}

async fn pipes_and_devices_are_not_waited_for(engine: Engine) {
    let wall = made_by(engine, PIPES).await;
    // No agent can make one; it may come in another way.
    let workspace = wall.project.workspace("evil");
    for (name, kind, minor) in [("zero", "c", "5"), ("disk", "b", "0")] {
        let path = workspace.join(name).display().to_string();
        let mut mknod = tokio::process::Command::new("mknod");
        mknod.args([&path, kind, "1", minor]);
        let _made = command::run(mknod, None, SOON).await.ok();
    }
    let _all = wall.look().await;
}

async fn what_is_huge_is_not_read(engine: Engine) {
    let wall = made_by(engine, SPARSE).await;
    let all = wall.look().await;
    let _shown = of(&all, "diff evil").clone().ok().says("+x").says("deep/sparse");
    let _told = of(&all, &format!("run evil {RUN}")).clone().code(1).says("more than 1 GiB").says("sparse");
    let _told = of(&all, "remove evil --yes").clone().code(1).says("--force");
    let _told = of(&all, "remove evil --force --yes").clone().ok().says("not saved").says("sparse");
    // The rest of it was committed, and is merged.
    let _merged = of(&all, "merge evil").clone().ok();
}

async fn what_grows_when_unpacked_is_not_taken(engine: Engine) {
    let wall = made_by(engine, BOMB).await;
    let all = wall.look().await;
    let _told = of(&all, "merge evil").clone().code(1).says("1100 MiB");
    let _told = of(&all, "remove evil --force --yes").clone().ok().says("not saved");
    assert!(!wall.project.root.join("bomb").exists());
}
