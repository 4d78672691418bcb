//! `tanuki service start`, `stop` and `restart`: ask the controller, then watch it happen.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use tanuki_runtimes::LogOptions;
use tokio::time::{Instant, timeout};

use super::settle::{self, Goal, Interrupted, Outcome, Progress, Verdict};
use crate::cli::context::Project;
use crate::cli::live::Live;
use crate::cli::output::Tone;
use crate::cli::render::trouble;
use crate::cli::session::Session;
use crate::cli::{CliError, Context, Exit, Output, Result, now, text};
use crate::model::{Request, ServiceState, ServiceStatus, Snapshot};
use crate::services::output;

/// Lines of output shown of a service that failed.
const LAST_LINES: u64 = 10;

/// How long reading them may take.
const LAST_LINES_PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `tanuki service start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Service to start; all enabled ones when left out.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Arguments of `tanuki service stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// Service to stop; all when left out.
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Arguments of `tanuki service restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Service to restart.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Clone, Copy, Args)]
struct WaitArgs {
    /// Gives up waiting after this long, with exit code 4; the controller goes on.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = humantime::parse_duration)]
    wait_timeout: Duration,
}

pub(super) async fn start(context: &Context, args: &StartArgs, out: &Output) -> Result {
    let project = project(context, args.name.as_deref())?;
    if args.name.is_none() && !project.config.services.values().any(|spec| spec.enabled) {
        return Err(no_services(&project));
    }
    let names = args.name.iter().cloned().collect();
    let watch = Watch {
        title: "Starting services...",
        goal: Goal::Ready,
        patience: args.wait.wait_timeout,
        named: args.name.is_some(),
    };
    watch.run(context, &project, Request::ServiceStart { names }, out).await
}

/// Starts all enabled services and waits until they are healthy. Nothing where there are none.
pub(in crate::cli) async fn start_enabled(
    context: &Context,
    project: &Project,
    patience: Duration,
    out: &Output,
) -> Result {
    if !project.config.services.values().any(|spec| spec.enabled) {
        return Ok(Exit::DONE);
    }
    let title = "Starting services...";
    let watch = Watch { title, goal: Goal::Ready, patience, named: false };
    watch.run(context, project, Request::ServiceStart { names: Vec::new() }, out).await
}

pub(super) async fn stop(context: &Context, args: &StopArgs, out: &Output) -> Result {
    let project = project(context, args.name.as_deref())?;
    let names = args.name.iter().cloned().collect();
    let watch = Watch {
        title: "Stopping services...",
        goal: Goal::Stopped,
        patience: args.wait.wait_timeout,
        named: args.name.is_some(),
    };
    watch.run(context, &project, Request::ServiceStop { names }, out).await
}

pub(super) async fn restart(context: &Context, args: &RestartArgs, out: &Output) -> Result {
    let project = project(context, Some(&args.name))?;
    let request = Request::ServiceRestart { name: args.name.clone() };
    let watch = Watch {
        title: "Restarting services...",
        goal: Goal::Ready,
        patience: args.wait.wait_timeout,
        named: true,
    };
    watch.run(context, &project, request, out).await
}

fn project(context: &Context, name: Option<&str>) -> Result<Project> {
    match name {
        Some(name) => context.project_with_service(name),
        None => context.project(),
    }
}

fn no_services(project: &Project) -> CliError {
    let disabled: Vec<&str> = project.config.services.keys().map(String::as_str).collect();
    let error = CliError::usage("no service is enabled in tanuki.yaml");
    if disabled.is_empty() {
        return error.hint("add one under `services:`");
    }
    error.hint(format!("set `enabled: true`, or start one by name: {}", disabled.join(", ")))
}

/// A request whose outcome is watched.
struct Watch {
    title: &'static str,
    goal: Goal,
    patience: Duration,
    /// Whether the request names its services.
    named: bool,
}

impl Watch {
    async fn run(self, context: &Context, project: &Project, request: Request, out: &Output) -> Result {
        let deadline = Instant::now() + self.patience;
        let (mut session, accepted) = context.ask(project, &request).await?;
        out.line(self.title)?;
        let mut live = Live::new(out);
        let mut wanted = accepted.services;
        let mut outcomes = Vec::new();
        let interrupted = loop {
            let (settled, interrupted) = self.settle(&session, &wanted, deadline, &mut live, out).await?;
            wanted.retain(|name, _| !settled.iter().any(|outcome| &outcome.name == name));
            outcomes.extend(settled);
            if interrupted != Some(Interrupted::ControllerGone) || Instant::now() >= deadline {
                break interrupted;
            }
            // What was asked for is written down: the next controller goes on with it.
            session.finish().await;
            session = context.controller(project).await?;
        };
        live.clear()?;
        drop(live);
        let mut exit = Exit::DONE;
        for outcome in outcomes.iter().filter(|outcome| outcome.verdict != Verdict::Done) {
            let error = self.explain(context, project, outcome).await;
            out.error(&error);
            // A failure outweighs a wait that was too short.
            exit = if exit == Exit::FAILED { exit } else { error.exit() };
        }
        session.finish().await;
        interrupted.map_or(Ok(exit), |interrupted| Err(interrupted_error(interrupted)))
    }

    /// Watches until all is settled, printing how it goes. Also tells what put an end to it.
    async fn settle(
        &self,
        session: &Session,
        wanted: &BTreeMap<String, u64>,
        deadline: Instant,
        live: &mut Live<'_>,
        out: &Output,
    ) -> Result<(Vec<Outcome>, Option<Interrupted>)> {
        let mut written = Ok(());
        let mut settled: BTreeMap<String, Outcome> = BTreeMap::new();
        let mut printed = Vec::new();
        let report = |progress: Progress<'_>| {
            if written.is_err() {
                return;
            }
            match progress {
                Progress::Settled(outcome) => drop(settled.insert(outcome.name.clone(), outcome.clone())),
                Progress::Waiting(waiting) => {
                    let mut lines: Vec<String> = waiting.into_iter().map(going_on).collect();
                    if out.is_terminal() {
                        // They wait for one that comes before them.
                        lines.extend(settled.values().map(|outcome| self.line(outcome, out)));
                    }
                    written = live.update(&lines);
                }
            }
            // By name, whoever is first: the same words each time.
            while let Some(outcome) = wanted.keys().nth(printed.len()).and_then(|name| settled.remove(name)) {
                if self.is_news(&outcome, &session.before) {
                    written = live.line(&self.line(&outcome, out));
                }
                printed.push(outcome);
            }
        };
        let ended = settle::settle(&mut session.snapshots(), wanted, self.goal, deadline, now, report).await;
        written?;
        printed.extend(settled.into_values());
        Ok((printed, ended.err()))
    }

    /// Whether a person wants to be told of it: of what was asked for by name, and of all that was there to stop.
    fn is_news(&self, outcome: &Outcome, before: &Snapshot) -> bool {
        if self.named || self.goal == Goal::Ready || outcome.verdict != Verdict::Done {
            return true;
        }
        match before.services.get(&outcome.name) {
            Some(status) => !matches!(status.state, ServiceState::Stopped | ServiceState::External),
            // The controller has just started, and had not looked yet.
            None => outcome.status.as_ref().is_some_and(|status| status.container_id.is_some()),
        }
    }

    /// The line that says where a service ended up.
    fn line(&self, outcome: &Outcome, out: &Output) -> String {
        let name = text::one_line(&outcome.name);
        let status = outcome.status.as_ref();
        match outcome.verdict {
            Verdict::Done => {
                let mark = out.paint(Tone::Good, "✓");
                match (self.goal, status) {
                    (Goal::Ready, Some(status)) => format!("  {mark} {name} ({})", address(status)),
                    (Goal::Stopped, Some(status)) if status.state == ServiceState::External => {
                        format!("  {mark} {name} (external, left alone)")
                    }
                    _ => format!("  {mark} {name} stopped"),
                }
            }
            Verdict::Failed => {
                let reason = status.map_or("gone", |status| status.reason.as_str());
                format!("  {} {name}: {}", out.paint(Tone::Bad, "✗"), text::one_line(reason))
            }
            Verdict::Waiting => {
                format!("  {} {name}: timed out after {}", out.paint(Tone::Bad, "✗"), self.patience_text())
            }
        }
    }

    fn patience_text(&self) -> String {
        humantime::format_duration(self.patience).to_string()
    }

    /// Why a service is not where it should be, with its last words.
    async fn explain(&self, context: &Context, project: &Project, outcome: &Outcome) -> CliError {
        let name = &outcome.name;
        let what = match self.goal {
            Goal::Ready => "is not healthy",
            Goal::Stopped => "is not stopped",
        };
        let mut error = match outcome.verdict {
            Verdict::Waiting => {
                CliError::timed_out(format!("service '{name}' {what} after {}", self.patience_text()))
            }
            _ => CliError::failed(format!("service '{name}' {what}")),
        };
        let Some(status) = &outcome.status else {
            return error
                .cause("the controller knows nothing of it")
                .hint("`tanuki service status` shows more");
        };
        let why = trouble(status, now());
        error = error.cause(why.strip_prefix(&format!("{name}: ")).unwrap_or(&why));
        let mut detail = String::new();
        if let Some(probe) = &status.last_probe
            && !probe.output.is_empty()
        {
            detail.push_str(&section("last probe", probe.output.lines().map(ToOwned::to_owned)));
        }
        let lines = last_lines(context, project, name).await;
        if !lines.is_empty() {
            detail.push_str(&section(&format!("last lines of {}", status.container), lines));
            error = error.hint(format!("`tanuki service logs {name}` shows all of its output"));
        }
        if !detail.is_empty() {
            error = error.with_detail(detail);
        }
        if let Some(mend) = mend(&status.reason) {
            error = error.hint(mend);
        }
        if outcome.verdict == Verdict::Waiting {
            error = error.hint("the controller goes on; `tanuki service status` shows how it is");
        }
        error
    }
}

/// What to do about a reason that waiting does not mend.
fn mend(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "NameTaken" => "rename or remove what has the name, or choose another `network: { name: … }`",
        "PortTaken" => "free the port, or leave out `host_port` to have another one chosen",
        "ImageMissing" => "check `image:`, pull or load it yourself, or change `pull_policy`",
        "PullFailed" => "check `image:` and that the registry can be reached",
        "DataVersionMismatch" => {
            "go back to an image of that version, or move the data over and use another volume"
        }
        "DiskFull" => "make room where the engine keeps its data; `tanuki doctor` tells where",
        "Denied" => "`tanuki doctor` shows what this user may do",
        "Invalid" => "change the service in tanuki.yaml",
        _ => return None,
    })
}

/// Why no answer will come.
pub(in crate::cli) fn interrupted_error(interrupted: Interrupted) -> CliError {
    match interrupted {
        Interrupted::ControllerGone => CliError::failed("the controller ended before it was done")
            .hint("its log is .tanuki/state/controller.log; run the command again to start another one"),
        Interrupted::EngineUnavailable(why) => CliError::engine("the container engine cannot be reached")
            .cause(why)
            .hint("start the engine; services come back by themselves once it answers")
            .hint("`tanuki doctor` shows what was tried"),
    }
}

fn section(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let lines: String = lines.into_iter().map(|line| format!("    {}\n", text::log_line(&line))).collect();
    format!("  {title}:\n{lines}")
}

/// The last lines a service wrote. None at all where they cannot be had: they only adorn an error.
async fn last_lines(context: &Context, project: &Project, name: &str) -> Vec<String> {
    let read = async {
        let engine = context.engine(project).await.ok()?;
        let labels = output::labels(&project.paths.id(), name);
        let container = output::find(engine.as_ref(), &labels).await.ok()??;
        let options = LogOptions { follow: false, tail: Some(LAST_LINES), since: None };
        let lines = engine.logs(&container.id, &options).await.ok()?;
        let lines: Vec<String> = lines
            .filter_map(|line| std::future::ready(line.ok()))
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .collect()
            .await;
        Some(lines)
    };
    timeout(LAST_LINES_PATIENCE, read).await.ok().flatten().unwrap_or_default()
}

/// How agents reach a service.
fn address(status: &ServiceStatus) -> String {
    let mut address = text::one_line(&status.host);
    if let Some(port) = status.port {
        address = format!("{address}:{port}");
    }
    if status.state == ServiceState::External {
        address.push_str(", external");
    }
    address
}

/// What is going on with a service that is not there yet.
fn going_on(status: &ServiceStatus) -> String {
    match (status.state, status.message.as_str()) {
        (ServiceState::Starting, "") => format!("  … {}: waiting until it is healthy", status.name),
        (ServiceState::Starting, probe) => format!("  … {}: not healthy yet: {probe}", status.name),
        (ServiceState::Backoff | ServiceState::Failed, _) => {
            format!("  … {}: {}, {}", status.name, status.state, status.message)
        }
        (state, "") => format!("  … {}: {state}", status.name),
        (_, message) => format!("  … {}: {message}", status.name),
    }
}
