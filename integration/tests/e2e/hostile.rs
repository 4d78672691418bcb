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

where_agents_run!(git_of_the_host_runs_nothing_of_an_agents, files_lead_nowhere);

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
echo /etc >>.git/objects/info/alternates
head=$(git rev-parse HEAD)
{ echo '# pack-refs with: peeled fully-peeled sorted'
  awk -v head=$head 'BEGIN { for (n = 0; n < 200000; n++) printf "%s refs/heads/many/%08d\n", head, n }'; } >.git/packed-refs
mkdir -p '.git/refs/heads/$(touch x)' && echo $head >'.git/refs/heads/$(touch x)/--upload-pack=evil'
echo "ref: refs/heads/../../../../etc/passwd" >.git/refs/heads/odd
"#;

/// Links out of the workspace, and what cannot be read to its end.
const FILES: &str = r#"
ln -s /etc/passwd passwd; ln -s "$PROJECT" project; ln -s / root; mkdir -p a && ln -s ../../../.. a/up
mkfifo fifo; truncate -s 200M sparse; ln -s loop loop
git add passwd project root a loop && git commit -qm links
"#;

/// A project with one agent that did this.
async fn made_by(engine: Engine, script: &str) -> (Project, PathBuf) {
    let project = Project::with_agents(engine, "", &[("a.txt", "a\n")]).await;
    let _made = project.spawn("evil").await;
    let canary = project.base().join("canary");
    let script = format!(
        "CANARY='{}'; PROJECT='{}'; HOST='{}'\n{script}",
        canary.display(),
        project.root.display(),
        project.workspace("evil").display()
    );
    let done = project.inside("evil", &script).await;
    assert!(done.code <= 1, "{done}");
    (project, canary)
}

/// Looks at the agent in every way there is.
async fn look(project: &Project, canary: &Path) {
    let config = std::fs::read(project.root.join(".git/config")).unwrap();
    let hooks = std::fs::read_dir(project.root.join(".git/hooks")).unwrap().count();
    let commands: [&[&str]; 9] = [
        &["list"],
        &["status", "evil"],
        &["diff", "evil", "--stat"],
        &["diff", "evil"],
        &["run", "evil", "echo run; echo more >>a.txt"],
        &["merge", "evil"],
        &["remove", "evil", "--yes"],
        &["remove", "evil", "--force", "--yes"],
        &["undo", "evil"],
    ];
    for command in commands {
        let ended: Outcome = project.tanuki(command).await;
        assert!(matches!(ended.code, 0..=2), "{ended}");
        let ended = ended.never_says("root:x:0:0").never_says("panicked");
        assert!(!canary.exists(), "what the agent wrote ran on the host: {ended}");
        assert_eq!(std::fs::read(project.root.join(".git/config")).unwrap(), config, "{ended}");
        assert_eq!(std::fs::read_dir(project.root.join(".git/hooks")).unwrap().count(), hooks, "{ended}");
    }
    // The project is as good as before.
    let _whole = project.git(&["fsck", "--no-dangling"]).await.ok();
    let _made = project.spawn("good").await;
}

async fn git_of_the_host_runs_nothing_of_an_agents(engine: Engine) {
    for script in [CONFIG, GIT_FILE, GIT_LINK] {
        let (project, canary) = made_by(engine, script).await;
        if script == CONFIG {
            // The trap is armed: git on the host, in a copy of the workspace, runs it.
            let (from, to) = (project.workspace("evil").display().to_string(), project.base().join("copy"));
            let to = to.display().to_string();
            let _copied = command::run(project.program("cp", &["-a", &from, &to]), None, SOON).await.ok();
            let _sprung =
                command::run(project.program("git", &["-C", &to, "--work-tree", &to, "status"]), None, SOON)
                    .await;
            assert!(canary.exists(), "the trap does nothing");
            std::fs::remove_file(&canary).unwrap();
        }
        look(&project, &canary).await;
    }
}

async fn files_lead_nowhere(engine: Engine) {
    for script in [REFS, FILES] {
        let (project, canary) = made_by(engine, script).await;
        look(&project, &canary).await;
    }
}
