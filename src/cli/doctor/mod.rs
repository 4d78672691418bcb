//! `tanuki doctor`: whether everything Tanuki needs is there, and how to mend what is not.
//!
//! Nothing is changed, but for Podman's service, which is started as any other command would. Facts are gathered in
//! [`host`], [`project`] and [`agents`]; what they mean is judged by pure functions beside them.

mod agents;
mod host;
mod project;

use clap::Args;
use tanuki_runtimes::discover;

use super::args::{Format, FormatArg};
use super::context::{Project, preference};
use super::engine::{mends, tried};
use super::output::Tone;
use super::render::{Check, Level, render_doctor};
use super::{Context, Exit, Output, Result, engine_error};
use crate::config::RuntimePreference;

/// Arguments of `tanuki doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Output format.
    #[command(flatten)]
    pub format: FormatArg,
}

pub(super) async fn run(context: &Context, args: &DoctorArgs, out: &Output) -> Result {
    let mut checks = Vec::new();
    let project = project::find(context, &mut checks);
    let engine_missing = engine(context, project.as_ref(), &mut checks).await;
    checks.extend(host::git(context).await);
    if let Some(project) = &project {
        checks.push(project::repository(project));
        checks.push(project::disk(project));
        checks.extend(project::private_files(project));
        checks.extend(agents::credentials(context, project));
        checks.push(project::controller(context, project).await);
    }
    match args.format.format {
        Format::Table => out.result(&coloured(&render_doctor(&checks), out))?,
        Format::Json => out.json(&checks)?,
    }
    let failed = checks.iter().any(|check| check.level == Level::Failure);
    Ok(match (engine_missing, failed) {
        (true, _) => Exit::ENGINE,
        (false, true) => Exit::FAILED,
        (false, false) => Exit::DONE,
    })
}

/// Looks for the engine and at what it can do; true when there is none.
async fn engine(context: &Context, project: Option<&Project>, checks: &mut Vec<Check>) -> bool {
    let wanted = project.map_or_else(
        || RuntimePreference { kind: context.overrides().runtime.unwrap_or_default(), socket: None },
        |project| project.config.runtime.clone(),
    );
    let found = discover::connect_or_start(&context.discover_env(), &preference(&wanted)).await;
    let runtime = match found {
        Ok(runtime) => runtime,
        Err(error) => {
            let mend = mends(&error).join("; or ");
            checks.push(Check::failure("engine", engine_error(&error).message, mend));
            for (endpoint, problem) in &error.tried {
                checks.push(Check::note("tried", tried(endpoint, problem)));
            }
            if error.podman_installed && !rustix::process::getuid().is_root() {
                checks.extend(host::rootless(context));
            }
            return true;
        }
    };
    let info = match runtime.info().await {
        Ok(info) => info,
        Err(error) => {
            let mend = "restart the engine, and look into its log";
            checks.push(Check::failure("engine", error.to_string(), mend));
            return true;
        }
    };
    let rootless = if info.rootless { ", rootless" } else { "" };
    checks
        .push(Check::ok("engine", format!("{} {} at {}{rootless}", info.kind, info.version, info.endpoint)));
    if info.rootless {
        checks.extend(host::rootless(context));
    }
    checks.push(host::limits(&info));
    checks.push(host::dns(&info));
    if let Some(root) = info.data_root.as_deref() {
        checks.push(host::disk("engine disk", root));
    }
    if let Some(project) = project {
        checks.extend(project::images(project, runtime.as_ref()).await);
        checks.extend(agents::images(project, runtime.as_ref()).await);
    }
    false
}

/// The level in its colour, where there are colours.
fn coloured(text: &str, out: &Output) -> String {
    let paint = |line: &str| {
        let (word, tone) = match line.split_whitespace().next() {
            Some(word @ "ok") => (word, Tone::Good),
            Some(word @ "warning") => (word, Tone::Warning),
            Some(word @ "failure") => (word, Tone::Bad),
            _ => return line.to_owned(),
        };
        match line.strip_prefix(word) {
            Some(rest) => format!("{}{rest}", out.paint(tone, word)),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n').map(paint).collect()
}
