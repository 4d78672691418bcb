//! The loop: takes in what happens, one thing after another. What was typed is drawn at once, everything else at most
//! sixty times a second.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crossterm::event::{Event as Input, EventStream};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use rustix::process::{Signal as Number, kill_current_process_group};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::draw::draw;
use super::event::{Aside, Effect, Event};
use super::logs::Change;
use super::state::State;
use super::terminal::{PanicGuard, Screen};
use super::theme::Theme;
use super::ticks;
use super::update::update;
use crate::controller::{Clock, Handle};
use crate::model::{Credentials, OutputLine, Request, Snapshot};

/// Between two drawings of what nobody typed.
const FRAME: Duration = Duration::from_millis(16);

/// Lines that are taken in at once.
const LINES: usize = 512;

/// Pieces of output that may wait while keys are handled.
const PIECES: usize = 16;

/// Answers that may wait.
const ANSWERS: usize = 64;

/// How long the shell may take to stop the process that asked for it.
const STOP: Duration = Duration::from_millis(200);

/// The way to the controller.
#[derive(Debug, Clone)]
pub enum Link {
    /// It is there.
    Up(Handle),
    /// It is gone, for this reason.
    Down(String),
}

/// What the dashboard cannot do itself.
#[async_trait]
pub trait Outside: Send + Sync {
    /// Runs a program that has the terminal until it ends; tells how that went.
    async fn aside(&self, aside: &Aside) -> Result<String, String>;

    /// Saves output to a file; tells which.
    async fn save(&self, name: &str, text: String) -> Result<String, String>;

    /// Values of variables the adapters pass through, as the user has them now.
    fn credentials(&self) -> Credentials;
}

/// What the dashboard needs from outside.
pub struct Deps {
    /// The way to the controller, as it comes and goes.
    pub links: watch::Receiver<Link>,
    /// What it cannot do itself.
    pub outside: Arc<dyn Outside>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The user's time zone.
    pub zone: TimeZone,
    /// How things look.
    pub theme: Theme,
}

/// How the dashboard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The user quit.
    Quit,
    /// A signal of this number ended it.
    Signal(u8),
}

/// Why the dashboard ended otherwise.
#[derive(Debug, Error)]
pub enum RunError {
    /// The terminal failed.
    #[error("the terminal failed: {0}")]
    Terminal(#[from] io::Error),
    /// A part of it panicked; that was reported already.
    #[error("the dashboard failed")]
    Panicked,
    /// There was never a controller.
    #[error("{0}")]
    NoController(String),
}

/// Runs the dashboard on the process's terminal until the user quits, a signal ends it or `shutdown` does.
///
/// # Errors
///
/// The terminal failed, or something panicked. The terminal is restored in any case.
pub async fn run(mut deps: Deps, shutdown: CancellationToken) -> Result<End, RunError> {
    let panicked = CancellationToken::new();
    let link = deps.links.borrow_and_update().clone();
    let handle = match link {
        Link::Up(handle) => handle,
        Link::Down(reason) => return Err(RunError::NoController(reason)),
    };
    let mut signals = Signals::new()?;
    let _guard = PanicGuard::new(panicked.clone());
    let mut dashboard = Dashboard::new(deps, handle)?;
    dashboard.feed(Event::Up).await?;
    let result = tokio::select! {
        biased;
        () = panicked.cancelled() => Err(RunError::Panicked),
        () = shutdown.cancelled() => Ok(End::Quit),
        end = dashboard.go(&mut signals) => end,
    };
    drop(dashboard);
    result
}

struct Dashboard {
    screen: Screen,
    keys: Option<EventStream>,
    state: State,
    snapshot: Arc<Snapshot>,
    snapshots: Option<watch::Receiver<Arc<Snapshot>>>,
    handle: Handle,
    deps: Deps,
    streams: BTreeMap<u64, AbortHandle>,
    output: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    answers: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    drawn: Instant,
    /// Something was typed since.
    typed: bool,
    /// What is left to do that needs the loop.
    then: Vec<Then>,
}

/// What only the loop can do.
enum Then {
    Aside(Aside),
    Suspend,
    Quit,
}

impl Dashboard {
    fn new(deps: Deps, handle: Handle) -> io::Result<Self> {
        let screen = Screen::take()?;
        let mut state = State::new(deps.clock.now(), deps.zone.clone(), deps.theme);
        state.size = screen.size()?;
        let mut snapshots = handle.snapshots();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        Ok(Self {
            screen,
            keys: Some(EventStream::new()),
            state,
            snapshot,
            snapshots: Some(snapshots),
            handle,
            deps,
            streams: BTreeMap::new(),
            output: mpsc::channel(PIECES),
            answers: mpsc::channel(ANSWERS),
            drawn: Instant::now() - FRAME,
            typed: false,
            then: Vec::new(),
        })
    }

    async fn go(&mut self, signals: &mut Signals) -> Result<End, RunError> {
        loop {
            for then in std::mem::take(&mut self.then) {
                match then {
                    Then::Quit => return Ok(End::Quit),
                    Then::Suspend => self.suspend(signals).await?,
                    Then::Aside(aside) => {
                        if let Some(number) = self.step_aside(&aside, signals).await? {
                            return Ok(End::Signal(number));
                        }
                    }
                }
            }
            let due = self.drawn + FRAME;
            if self.state.redraw && Instant::now() >= due {
                self.draw()?;
                continue;
            }
            let typed = self.typed;
            let its_turn = async move {
                // Keys that are there already come first: they end up in the same drawing.
                if !typed {
                    sleep_until(due).await;
                }
            };
            let tick = ticks::next(&self.snapshot, self.deps.clock.now());
            let event = tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Caught::End(number) => return Ok(End::Signal(number)),
                    Caught::Continued => {
                        // The shell had the terminal; nothing of its state is as it was.
                        self.screen.leave();
                        self.screen.back()?;
                        self.state.redraw = true;
                        let (columns, rows) = self.screen.size()?;
                        Event::Resized(columns, rows)
                    }
                },
                input = next_key(&mut self.keys) => match input {
                    Some(Ok(Input::Key(key))) => {
                        self.typed = true;
                        Event::Key(key)
                    }
                    Some(Ok(Input::Paste(text))) => {
                        self.typed = true;
                        Event::Paste(text)
                    }
                    Some(Ok(Input::Resize(columns, rows))) => Event::Resized(columns, rows),
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Err(error.into()),
                    // The terminal is gone, as after a hang-up.
                    None => return Ok(End::Signal(1)),
                },
                () = its_turn, if self.state.redraw => {
                    self.draw()?;
                    continue;
                }
                changed = self.deps.links.changed() => match changed {
                    Ok(()) => match self.next_link() {
                        Some(event) => event,
                        None => continue,
                    },
                    Err(_no_more_links) => return Ok(End::Quit),
                },
                event = next_snapshot(&mut self.snapshots) => match event {
                    Some(snapshot) => {
                        self.snapshot = snapshot;
                        Event::Changed
                    }
                    None => {
                        self.snapshots = None;
                        Event::Down("it ended".into())
                    }
                },
                Some(event) = self.answers.1.recv() => event,
                Some(event) = self.output.1.recv() => event,
                () = sleep(tick) => Event::Tick,
            };
            self.feed(event).await?;
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.state.redraw = false;
        self.typed = false;
        let (state, snapshot) = (&self.state, &self.snapshot);
        self.screen.draw(|frame| draw(state, snapshot, frame))?;
        self.drawn = Instant::now();
        Ok(())
    }

    /// The controller came or went.
    fn next_link(&mut self) -> Option<Event> {
        let link = self.deps.links.borrow_and_update().clone();
        match link {
            Link::Up(handle) => {
                let mut snapshots = handle.snapshots();
                self.snapshot = Arc::clone(&snapshots.borrow_and_update());
                self.snapshots = Some(snapshots);
                self.handle = handle;
                Some(Event::Up)
            }
            Link::Down(reason) => Some(Event::Down(reason)),
        }
    }

    /// Takes an event in and carries out what comes of it.
    async fn feed(&mut self, event: Event) -> io::Result<()> {
        if let Event::Ended { stream } = &event {
            self.streams.remove(stream);
        }
        let now = self.deps.clock.now();
        for effect in update(&mut self.state, &self.snapshot, event, now) {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Ask { ticket, mut request } => {
                self.fill_in(&mut request);
                let (handle, answers) = (self.handle.clone(), self.answers.0.clone());
                drop(tokio::spawn(async move {
                    let answer = Box::new(handle.request(request).await);
                    drop(answers.send(Event::Answered { ticket, answer }).await);
                }));
            }
            Effect::Stream(Change::Open { stream, query }) => {
                let lines = self.handle.logs(query);
                let task = tokio::spawn(pump(stream, lines, self.output.0.clone()));
                self.streams.insert(stream, task.abort_handle());
            }
            Effect::Stream(Change::Close { stream }) => {
                if let Some(task) = self.streams.remove(&stream) {
                    task.abort();
                }
            }
            Effect::Save { name, text } => {
                let (outside, answers) = (Arc::clone(&self.deps.outside), self.answers.0.clone());
                drop(tokio::spawn(async move {
                    let saved = outside.save(&name, text).await;
                    drop(answers.send(Event::Saved(saved)).await);
                }));
            }
            Effect::Copy(text) => self.screen.copy(&text)?,
            Effect::Repaint => self.screen.repaint()?,
            Effect::Aside(aside) => self.then.push(Then::Aside(aside)),
            Effect::Suspend => self.then.push(Then::Suspend),
            Effect::Quit => self.then.push(Then::Quit),
        }
        Ok(())
    }

    fn fill_in(&self, request: &mut Request) {
        if let Request::RunStart { credentials, .. }
        | Request::ProjectStart { credentials, .. }
        | Request::ProjectResume { credentials } = request
        {
            *credentials = self.deps.outside.credentials();
        }
    }

    /// Gives the terminal to another program until it ends; a signal that ends both is returned.
    async fn step_aside(&mut self, aside: &Aside, signals: &mut Signals) -> io::Result<Option<u8>> {
        // Keys are the other program's; a reader that waits for one would take it away.
        self.keys = None;
        self.screen.leave();
        let outside = Arc::clone(&self.deps.outside);
        let mut program = std::pin::pin!(outside.aside(aside));
        let result = loop {
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    // Typed at the other program, which has to know what it means by it.
                    Caught::End(2 | 3) | Caught::Continued => {}
                    Caught::End(number) => return Ok(Some(number)),
                },
                result = &mut program => break result,
            }
        };
        self.come_back()?;
        self.feed(Event::Returned(result)).await?;
        Ok(None)
    }

    async fn suspend(&mut self, signals: &mut Signals) -> io::Result<()> {
        self.keys = None;
        self.screen.leave();
        kill_current_process_group(Number::TSTP)?;
        // The signal may reach another thread first. Where nobody could let the process go on, it is not stopped.
        tokio::select! {
            biased;
            _ = signals.continued.recv() => {}
            () = sleep(STOP) => {}
        }
        self.come_back()?;
        self.feed(Event::Tick).await
    }

    fn come_back(&mut self) -> io::Result<()> {
        self.screen.back()?;
        self.keys = Some(EventStream::new());
        self.state.size = self.screen.size()?;
        self.state.redraw = true;
        Ok(())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        for task in self.streams.values() {
            task.abort();
        }
    }
}

/// Hands lines on in pieces, as many as are there.
async fn pump(stream: u64, mut lines: mpsc::Receiver<OutputLine>, output: mpsc::Sender<Event>) {
    loop {
        let mut taken = Vec::new();
        if lines.recv_many(&mut taken, LINES).await == 0 {
            break;
        }
        if output.send(Event::Lines { stream, lines: taken }).await.is_err() {
            return;
        }
    }
    drop(output.send(Event::Ended { stream }).await);
}

async fn next_key(keys: &mut Option<EventStream>) -> Option<io::Result<Input>> {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}

/// The next snapshot; none when there will be no more.
async fn next_snapshot(snapshots: &mut Option<watch::Receiver<Arc<Snapshot>>>) -> Option<Arc<Snapshot>> {
    let Some(snapshots) = snapshots else { return std::future::pending().await };
    snapshots.changed().await.ok()?;
    Some(Arc::clone(&snapshots.borrow_and_update()))
}

enum Caught {
    End(u8),
    Continued,
}

/// Signals that would leave the terminal as it is.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    continued: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            continued: signal(SignalKind::from_raw(Number::CONT.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Caught::End(15),
            _ = self.hangup.recv() => Caught::End(1),
            _ = self.interrupt.recv() => Caught::End(2),
            _ = self.quit.recv() => Caught::End(3),
            _ = self.continued.recv() => Caught::Continued,
        }
    }
}
