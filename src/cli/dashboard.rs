//! `tanuki dashboard`: keeps the dashboard connected to a controller, and does what it cannot do itself.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::context::Project;
use super::session::Session;
use super::{CliError, Context, Exit, Output, Result, now, terminal};
use crate::controller::SystemClock;
use crate::model::Credentials;
use crate::tui::{self, Aside, Deps, End, Link, Outside, RunError, Theme};

/// First wait before another controller is looked for; doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest wait before another controller is looked for.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How long another controller has to see how things are.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// A program that failed within this time said why, and nobody has read it yet.
const HASTY: Duration = Duration::from_secs(5);

/// Arguments of `tanuki dashboard`.
#[derive(Debug, Args)]
pub struct DashboardArgs {}

pub(super) async fn run(context: &Context, _args: &DashboardArgs, out: &Output) -> Result {
    if !terminal::is_interactive() {
        return Err(CliError::usage("the dashboard needs a terminal")
            .cause("standard input or output is not one")
            .hint(
                "`tanuki list`, `tanuki task list` and `tanuki service status` tell the same without one",
            ));
    }
    let project = context.project()?;
    let session = context.controller(&project).await?;
    let (sender, links) = watch::channel(Link::Up(session.handle().clone()));
    let deps = Deps {
        links,
        outside: Arc::new(Here::new(context, project)),
        clock: Arc::new(SystemClock),
        zone: TimeZone::system(),
        theme: Theme { colour: out.is_coloured(), light: is_light(context.env.var("COLORFGBG")) },
    };
    let ended = CancellationToken::new();
    // The session is finished in any case: a controller inside this command must not be cut off.
    let keeping = keep_connected(context, session, sender, ended.clone());
    let running = async {
        let end = tui::run(deps, CancellationToken::new()).await;
        ended.cancel();
        end
    };
    let (end, ()) = tokio::join!(running, keeping);
    match end {
        Ok(End::Quit) => Ok(Exit::DONE),
        Ok(End::Signal(number)) => Ok(Exit(128 + number)),
        Err(RunError::Terminal(error)) => {
            Err(CliError::failed("the dashboard cannot use the terminal").because(&error))
        }
        Err(error) => Err(CliError::failed(error.to_string())),
    }
}

/// Whether the terminal says that its background is light: foreground and background as two of its sixteen colours,
/// the last one counts. Asking the terminal itself would mix its answer with the keys.
fn is_light(colours: Option<&str>) -> bool {
    let background = colours.and_then(|colours| colours.rsplit(';').next());
    matches!(background, Some("7" | "15"))
}

/// Tells of controllers that come and go; one that is gone is replaced.
async fn keep_connected(
    context: &Context,
    session: Session,
    links: watch::Sender<Link>,
    ended: CancellationToken,
) {
    let mut session = Some(session);
    loop {
        if let Some(current) = session.take() {
            let gone = async {
                let mut snapshots = current.snapshots();
                while snapshots.changed().await.is_ok() {}
            };
            let is_gone = ended.run_until_cancelled(gone).await.is_some();
            current.finish().await;
            if !is_gone {
                return;
            }
            links.send_replace(Link::Down("it ended; looking for another one".to_owned()));
        }
        match ended.run_until_cancelled(Box::pin(find_another(context, &links))).await {
            Some(found) => {
                links.send_replace(Link::Up(found.handle().clone()));
                session = Some(found);
            }
            None => return,
        }
    }
}

async fn find_another(context: &Context, links: &watch::Sender<Link>) -> Session {
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        let found = async {
            let project = context.project()?;
            Ok::<_, CliError>((context.controller(&project).await?, project))
        };
        match found.await {
            Ok((session, project)) => {
                // What the last one told is shown until this one has seen how things are.
                let mut snapshots = session.snapshots();
                let services = project.config.services.keys();
                let seen = snapshots.wait_for(|snapshot| {
                    snapshot.observed_at.is_some()
                        && services.clone().all(|name| snapshot.services.contains_key(name))
                });
                drop(timeout(FIRST_LOOK, seen).await);
                return session;
            }
            Err(error) => {
                let cause = error.causes.first().map_or(String::new(), |cause| format!(": {cause}"));
                links.send_replace(Link::Down(format!("{}{cause}", error.message)));
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// What the dashboard cannot do itself, done in this process and by this program.
struct Here {
    context: Context,
    project: Project,
    program: PathBuf,
}

impl Here {
    fn new(context: &Context, project: Project) -> Self {
        let program = context.env.program.clone().unwrap_or_else(|| PathBuf::from("tanuki"));
        Self { context: context.clone(), project, program }
    }

    fn arguments(&self, aside: &Aside) -> Vec<String> {
        let mut arguments = vec!["--project".to_owned(), self.project.paths.root.display().to_string()];
        if let Some(runtime) = self.context.global.runtime {
            arguments.extend(["--runtime".to_owned(), runtime.name().to_owned()]);
        }
        match aside {
            Aside::Attach { agent, agent_cli } => {
                arguments.extend(["attach".to_owned(), agent.clone()]);
                arguments.extend(agent_cli.then(|| "--agent".to_owned()));
            }
            Aside::Connect { service } => {
                arguments.extend(["service".to_owned(), "connect".to_owned(), service.clone()]);
            }
        }
        arguments
    }
}

#[async_trait]
impl Outside for Here {
    async fn aside(&self, aside: &Aside) -> Result<String, String> {
        let name = match aside {
            Aside::Attach { agent, .. } => agent,
            Aside::Connect { service } => service,
        };
        let begun = Instant::now();
        // A process of its own: whatever it does to the terminal and to standard input ends with it.
        let status = tokio::process::Command::new(&self.program)
            .args(self.arguments(aside))
            .kill_on_drop(true)
            .status()
            .await
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        match status.code() {
            Some(0) => Ok(format!("back from {name}")),
            // A shell ends with the code of its last command, which is nobody's failure.
            Some(code) if begun.elapsed() > HASTY => Ok(format!("back from {name} (exit code {code})")),
            Some(code) => {
                wait_for_enter().await;
                Err(format!("{name} cannot be entered, or was left at once (exit code {code})"))
            }
            None => Err(format!("the connection to {name} was killed")),
        }
    }

    async fn save(&self, name: &str, text: String) -> Result<String, String> {
        let directory = self.project.paths.state_dir.join("saved");
        let time = Timestamp::try_from(std::time::SystemTime::from(now())).unwrap_or_default();
        let stamp = time.to_zoned(TimeZone::system()).strftime("%Y%m%d-%H%M%S");
        let path = directory.join(format!("{name}-{stamp}.log"));
        let failed = format!("cannot write {}", path.display());
        let writing = tokio::task::spawn_blocking(move || write(&directory, &path, &text).map(|()| path));
        match writing.await {
            Ok(Ok(path)) => Ok(format!("saved to {}", path.display())),
            Ok(Err(error)) => Err(format!("{failed}: {error}")),
            Err(error) => Err(format!("{failed}: {error}")),
        }
    }

    fn credentials(&self) -> Credentials {
        self.context.credentials(&self.project)
    }
}

/// Writes a new file that only this user can read.
fn write(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// Leaves what a program said on the screen until it was read.
async fn wait_for_enter() {
    // Nobody sees it where this fails; the dashboard tells what it knows.
    drop(tokio::io::stderr().write_all(b"\npress enter to go back to the dashboard ").await);
    drop(BufReader::new(tokio::io::stdin()).read_line(&mut String::new()).await);
}
