//! What the project has: its configuration, images, repository, private files, controller.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tanuki_runtimes::ContainerRuntime;

use super::host;
use crate::api::{Client, ClientError};
use crate::cli::context::Project;
use crate::cli::render::Check;
use crate::cli::{Context, now, text};
use crate::model::PullPolicy;

/// The project and its configuration.
pub(super) fn find(context: &Context, checks: &mut Vec<Check>) -> Option<Project> {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(error) => {
            checks.push(Check::warning("project", error.message, "run `tanuki init` in the git repository"));
            return None;
        }
    };
    match context.load(paths) {
        Ok(project) => {
            let count = project.config.services.len();
            let services = if count == 1 { "service" } else { "services" };
            let message = format!("{} with {count} {services}", project.paths.config_file.display());
            checks.push(Check::ok("configuration", message));
            for warning in &project.config.warnings {
                let mend = warning.help.clone().unwrap_or_else(|| "see `tanuki config check`".to_owned());
                checks.push(Check::warning("configuration", warning.to_string(), mend));
            }
            Some(project)
        }
        Err(error) => {
            let mend = "`tanuki config check` shows the lines";
            checks.push(Check::failure("configuration", error.message, mend));
            None
        }
    }
}

/// Whether the images of all enabled services are there.
pub(super) async fn images(project: &Project, runtime: &dyn ContainerRuntime) -> Vec<Check> {
    let mut checks = Vec::new();
    let specs = project.config.services.values().filter(|spec| spec.enabled && spec.external.is_none());
    for spec in specs {
        let name = format!("image of {}", spec.name);
        checks.push(match (runtime.image(&spec.image).await, spec.pull) {
            (Ok(Some(_)), _) => Check::ok(name, spec.image.clone()),
            (Ok(None), PullPolicy::Never) => Check::failure(
                name,
                format!("{} is not there, and `pull_policy: never` is set", spec.image),
                "load the image, or change pull_policy",
            ),
            (Ok(None), _) => Check::warning(
                name,
                format!("{} is not there; it is pulled when the service starts", spec.image),
                "check that the registry can be reached, or pull it now",
            ),
            (Err(error), _) => Check::failure(name, error.to_string(), "see the engine's log"),
        });
    }
    checks
}

/// Whether the project is in a git repository.
pub(super) fn repository(project: &Project) -> Check {
    let found = project.paths.root.ancestors().find(|directory| directory.join(".git").exists());
    match found {
        Some(root) => Check::ok("repository", root.display().to_string()),
        None => Check::warning(
            "repository",
            format!("{} is in no git repository", project.paths.root.display()),
            "`git init`; agents work on branches of it",
        ),
    }
}

/// Free space where the project is.
pub(super) fn disk(project: &Project) -> Check {
    host::disk("project disk", &project.paths.root)
}

/// Whether what may hold a secret is closed to others.
pub(super) fn private_files(project: &Project) -> Option<Check> {
    let state_dir = &project.paths.state_dir;
    if !state_dir.exists() {
        return None;
    }
    let mut open = Vec::new();
    if is_open(state_dir) {
        open.push(state_dir.clone());
    }
    let entries = std::fs::read_dir(state_dir).into_iter().flatten().flatten();
    open.extend(entries.map(|entry| entry.path()).filter(|path| is_open(path)));
    Some(match open.first() {
        None => Check::ok("private files", format!("{} is closed to other users", state_dir.display())),
        Some(first) => Check::warning(
            "private files",
            format!("other users can read {}", first.display()),
            format!("chmod -R go-rwx {}", state_dir.display()),
        ),
    })
}

fn is_open(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// Whether the project's controller runs and answers.
pub(super) async fn controller(context: &Context, project: &Project) -> Check {
    let socket = context.socket(&project.paths);
    match Client::new(&socket).snapshot().await {
        Ok(snapshot) => {
            let info = snapshot.controller;
            let up = text::duration(now().since(info.started_at));
            let message = format!("version {} runs for {up} (pid {})", info.version, info.pid);
            if info.version == env!("CARGO_PKG_VERSION") {
                Check::ok("controller", message)
            } else {
                Check::warning(
                    "controller",
                    format!("{message}; this is {}", env!("CARGO_PKG_VERSION")),
                    "the next command of the newer version replaces it",
                )
            }
        }
        Err(ClientError::NotRunning) => {
            Check::ok("controller", "does not run; commands start it when they need it")
        }
        Err(error) => Check::failure(
            "controller",
            error.to_string(),
            "end the process in .tanuki/state/controller.lock; services are not touched by that",
        ),
    }
}
