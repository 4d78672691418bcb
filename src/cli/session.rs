//! A command's connection to its project's controller: one that runs, one it starts, or one inside the command.

use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::context::Project;
use super::daemon::{Controller, StartError};
use super::{CliError, Context, Result, Runtime};
use crate::api::{self, Client, ClientError, Launch, LaunchError};
use crate::controller::{Handle, HandleError};
use crate::model::{Accepted, Rejected, Request, Snapshot};
use crate::services::names::NamesError;

/// This program's version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where the variable says that no background process is wanted.
const INLINE: &str = "TANUKI_CONTROLLER";

/// A log that has grown over this is put aside when a controller starts.
const LOG_LIMIT: u64 = 4 << 20;

/// How often a controller that goes away is replaced.
const TRIES: u32 = 5;

/// A controller to speak to.
#[derive(Debug)]
pub struct Session {
    handle: Handle,
    inline: Option<Controller>,
    /// How things were when the session began.
    pub before: Arc<Snapshot>,
}

impl Session {
    fn new(handle: Handle, inline: Option<Controller>) -> Self {
        let before = Arc::clone(&handle.snapshots().borrow());
        Self { handle, inline, before }
    }

    /// The newest snapshot, and every later one.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.handle.snapshots()
    }

    /// Asks this controller, and no other one, for something.
    pub async fn request(&self, request: Request) -> Result<Accepted> {
        Ok(self.handle.request(request).await?)
    }

    /// What speaks to the controller.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for the answer to a request, and hands each snapshot to `watch` meanwhile. The inner error is `watch`'s.
    async fn answer(
        &self,
        request: &Request,
        watch: &mut impl FnMut(&Snapshot) -> Result<()>,
    ) -> Result<Result<Accepted>, HandleError> {
        let mut snapshots = self.snapshots();
        let mut answer = std::pin::pin!(self.handle.request(request.clone()));
        let mut open = true;
        loop {
            tokio::select! {
                biased;
                accepted = &mut answer => return accepted.map(Ok),
                changed = snapshots.changed(), if open => match changed {
                    Ok(()) => {
                        let snapshot = Arc::clone(&snapshots.borrow_and_update());
                        if let Err(error) = watch(&snapshot) {
                            return Ok(Err(error));
                        }
                    }
                    // Whether the answer still comes is told by the answer.
                    Err(_gone) => open = false,
                },
            }
        }
    }

    /// Ends the connection, and the controller where it runs inside the command.
    pub async fn finish(self) {
        if let Some(controller) = self.inline {
            controller.stop().await;
        }
    }
}

impl Context {
    /// The project's controller. Where none runs, one is started: in the background, or inside this command where
    /// `TANUKI_CONTROLLER=inline`.
    pub async fn controller(&self, project: &Project) -> Result<Session> {
        let inline = self.env.var(INLINE) == Some("inline");
        for _ in 0..TRIES {
            if inline {
                if let Some(controller) = self.start_controller(self.load(project.paths.clone())?).await? {
                    return Ok(Session::new(controller.handle.clone(), Some(controller)));
                }
                // Another process has the lock; it can be spoken to as soon as it listens.
                match Client::new(&self.socket(&project.paths)).connect().await {
                    Ok(handle) => return self.same_engine(Session::new(handle, None)),
                    Err(ClientError::NotRunning) => sleep(Duration::from_millis(100)).await,
                    Err(error) => return Err(LaunchError::from(error).into()),
                }
            } else {
                let handle = api::connect_or_start(&self.launch(project)?).await?;
                return self.same_engine(Session::new(handle, None));
            }
        }
        Err(CliError::failed("the project's controller cannot be reached")
            .cause("another process holds the project's lock, and does not listen")
            .hint("its pid is in .tanuki/state/controller.lock"))
    }

    /// Asks the controller for something; one that goes away meanwhile is replaced and asked again.
    pub async fn ask(&self, project: &Project, request: &Request) -> Result<(Session, Accepted)> {
        self.ask_watching(project, request, |_snapshot| Ok(())).await
    }

    /// Like [`Context::ask`], for what takes its time: `watch` is handed every snapshot until there is an answer.
    pub async fn ask_watching(
        &self,
        project: &Project,
        request: &Request,
        mut watch: impl FnMut(&Snapshot) -> Result<()>,
    ) -> Result<(Session, Accepted)> {
        let mut tries = TRIES;
        loop {
            let session = self.controller(project).await?;
            match session.answer(request, &mut watch).await {
                Ok(answer) => return Ok((session, answer?)),
                Err(HandleError::Gone | HandleError::Rejected(Rejected::ShuttingDown)) if tries > 0 => {
                    tries -= 1;
                    session.finish().await;
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    session.finish().await;
                    return Err(error.into());
                }
            }
        }
    }

    fn launch(&self, project: &Project) -> Result<Launch> {
        let program = self.env.program.clone().ok_or_else(|| {
            CliError::failed("cannot start the controller").cause("this program's own file cannot be found")
        })?;
        let state_dir = &project.paths.state_dir;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(|error| {
            CliError::failed(format!("cannot make {}", state_dir.display())).because(&error)
        })?;
        let log = state_dir.join("controller.log");
        if std::fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
            // Only the log of an old controller is lost if this fails.
            drop(std::fs::rename(&log, state_dir.join("controller.log.1")));
        }
        let mut arguments: Vec<OsString> =
            vec!["controller".into(), "--project".into(), project.paths.root.clone().into()];
        if let Some(runtime) = self.global.runtime {
            arguments.extend(["--runtime".into(), runtime.name().into()]);
        }
        let socket = self.socket(&project.paths);
        Ok(Launch { program, arguments, socket, log, version: VERSION })
    }

    /// Refuses a controller that works on another engine than the one this command names.
    fn same_engine(&self, session: Session) -> Result<Session> {
        let asked = match self.global.runtime {
            Some(Runtime::Auto) | None => return Ok(session),
            Some(runtime) => runtime.name(),
        };
        let used = session.snapshots().borrow().engine.kind.clone();
        if used == asked {
            return Ok(session);
        }
        Err(CliError::usage(format!("this project runs on {used}, not on {asked}"))
            .cause("its controller was started with that engine, and its services and data are there")
            .hint(format!("run `tanuki down` first, then use --runtime {asked}")))
    }
}

impl From<HandleError> for CliError {
    fn from(error: HandleError) -> Self {
        match &error {
            HandleError::Rejected(rejected) => Self::rejected(rejected),
            HandleError::Gone => Self::failed("the controller ended before it answered")
                .hint("its log is .tanuki/state/controller.log; run the command again"),
        }
    }
}

impl From<LaunchError> for CliError {
    fn from(error: LaunchError) -> Self {
        match error {
            // A controller says why in full, as the command would itself.
            LaunchError::Failed { message } => serde_json::from_str(&message).unwrap_or_else(|_not_ours| {
                Self::failed("the controller could not start")
                    .cause(message)
                    .hint("its log is .tanuki/state/controller.log")
            }),
            error => Self::failed("the project's controller cannot be reached").because(&error),
        }
    }
}

impl From<NamesError> for CliError {
    fn from(error: NamesError) -> Self {
        match error {
            NamesError::Engine(error) => error.into(),
            error => Self::failed("cannot choose names for the project's objects").because(&error),
        }
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Names(error) => error.into(),
            error => Self::failed("cannot start the controller").because(&error),
        }
    }
}
