//! Lets calls and events of a runtime go wrong, by seed.
//!
//! The wrapped engine stays right: what was really done can be asked there. Every decision comes from one generator
//! in the order of the calls, so a run on one thread is the same for the same seed.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::sleep;

use crate::{
    Container, ContainerRuntime, ContainerSpec, EngineInfo, Error, ErrorKind, Event, EventFilter, ExecOutput,
    ExecSpec, Image, Interactive, ListFilter, Listing, LogLine, LogOptions, Network, NetworkSpec,
    ProbeOutput, PullProgress, Result, TtySize, Volume, VolumeSpec,
};

use plan::{EventFate, Fate, Faults};
pub use plan::{Fault, FaultPlan};

/// A runtime with faults; clones share engine, faults and connection.
pub struct Faulty<R> {
    engine: Arc<R>,
    faults: Arc<Mutex<Faults>>,
    severed: Arc<AtomicBool>,
}

impl<R> Clone for Faulty<R> {
    fn clone(&self) -> Self {
        let (engine, faults) = (Arc::clone(&self.engine), Arc::clone(&self.faults));
        Self { engine, faults, severed: Arc::clone(&self.severed) }
    }
}

impl<R> fmt::Debug for Faulty<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

impl<R: ContainerRuntime + 'static> Faulty<R> {
    /// `engine`, with the faults of `plan`.
    pub fn new(engine: R, plan: FaultPlan) -> Self {
        let (engine, faults) = (Arc::new(engine), Arc::new(Mutex::new(Faults::new(plan))));
        Self { engine, faults, severed: Arc::default() }
    }

    /// Another connection to the same engine with the same faults: for the next process.
    pub fn reconnected(&self) -> Self {
        Self { severed: Arc::default(), ..self.clone() }
    }

    /// The process at this end is dead: what it still asks for goes nowhere and is never answered. What it asked for
    /// before is done.
    pub fn sever(&self) {
        self.severed.store(true, Ordering::Relaxed);
    }

    /// The engine inside.
    pub fn engine(&self) -> &R {
        &self.engine
    }

    /// No faults from now on; late calls still land.
    pub fn heal(&self) {
        self.faults().healed = true;
    }

    /// Faults again, after [`heal`](Self::heal).
    pub fn relapse(&self) {
        self.faults().healed = false;
    }

    /// How many late calls have not landed yet.
    pub fn under_way(&self) -> usize {
        self.faults().under_way
    }

    /// What went wrong so far.
    pub fn log(&self) -> Vec<Fault> {
        self.faults().log.clone()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T, F>(
        &self,
        method: &'static str,
        subject: &str,
        effect: impl FnOnce(Arc<R>) -> F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        if self.severed.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let fate = self.faults().fate(method, subject);
        match fate {
            Fate::Pass => effect(Arc::clone(&self.engine)).await,
            Fate::Fail => {
                tokio::task::yield_now().await;
                let kinds = [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Other];
                Err(self.faults().error(&kinds, method, subject))
            }
            Fate::LoseReply => {
                // What it said is lost, be it success or failure.
                let _lost = effect(Arc::clone(&self.engine)).await;
                Err(self.faults().error(&[ErrorKind::Unavailable, ErrorKind::Timeout], method, subject))
            }
            // In a task of its own: the engine goes on with a request whose caller has given up.
            Fate::Slow(delay) => match self.later(delay, effect(Arc::clone(&self.engine))).await {
                Ok(result) => result,
                Err(error) => Err(Error::new(ErrorKind::Other, method, subject, error)),
            },
            Fate::LandLate(delay) => {
                let landing = self.later(delay, effect(Arc::clone(&self.engine)));
                // Dropping the handle leaves the task to itself.
                drop(landing);
                tokio::task::yield_now().await;
                Err(self.faults().error(&[ErrorKind::Timeout], method, subject))
            }
        }
    }

    fn later<T: Send + 'static>(
        &self,
        delay: Duration,
        effect: impl Future<Output = Result<T>> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T>> {
        self.faults().under_way += 1;
        let faults = Arc::clone(&self.faults);
        tokio::spawn(async move {
            sleep(delay).await;
            let result = effect.await;
            faults.lock().unwrap_or_else(PoisonError::into_inner).under_way -= 1;
            result
        })
    }

    /// The stream, which may break off with an error.
    fn cut_short<T: Send + 'static>(
        &self,
        method: &'static str,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let faulty = self.clone();
        stream::unfold(Some(stream), move |stream| {
            let faulty = faulty.clone();
            async move {
                let mut stream = stream?;
                let item = stream.next().await?;
                if faulty.faults().cuts(method) {
                    let error = Error::new(ErrorKind::Unavailable, method, "", "a fault of the test");
                    return Some((Err(error), None));
                }
                Some((item, Some(stream)))
            }
        })
        .boxed()
    }

    fn garble(&self, stream: BoxStream<'static, Result<Event>>) -> BoxStream<'static, Result<Event>> {
        struct Garbled {
            stream: BoxStream<'static, Result<Event>>,
            ready: VecDeque<Result<Event>>,
            held: Option<Event>,
        }
        let faulty = self.clone();
        let state = Garbled { stream, ready: VecDeque::new(), held: None };
        stream::unfold(state, move |mut state| {
            let faulty = faulty.clone();
            async move {
                loop {
                    if let Some(event) = state.ready.pop_front() {
                        return Some((event, state));
                    }
                    let event = match state.stream.next().await? {
                        Ok(event) => event,
                        Err(error) => return Some((Err(error), state)),
                    };
                    let fate = faulty.faults().event_fate();
                    let late = state.held.take().map(Ok);
                    match fate {
                        EventFate::Pass => state.ready.push_back(Ok(event)),
                        EventFate::Drop => {}
                        EventFate::Double => state.ready.extend([Ok(event.clone()), Ok(event)]),
                        EventFate::HoldBack => state.held = Some(event),
                        EventFate::Cut => return None,
                    }
                    state.ready.extend(late);
                }
            }
        })
        .boxed()
    }
}

#[async_trait]
impl<R: ContainerRuntime + 'static> ContainerRuntime for Faulty<R> {
    fn kind(&self) -> crate::EngineKind {
        self.engine.kind()
    }

    fn endpoint(&self) -> &str {
        self.engine.endpoint()
    }

    async fn info(&self) -> Result<EngineInfo> {
        self.call("info", "", |engine| async move { engine.info().await }).await
    }

    async fn ping(&self) -> Result<()> {
        self.call("ping", "", |engine| async move { engine.ping().await }).await
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>> {
        let of = reference.to_owned();
        self.call("image", reference, |engine| async move { engine.image(&of).await }).await
    }

    async fn pull(&self, reference: &str) -> Result<BoxStream<'static, Result<PullProgress>>> {
        let of = reference.to_owned();
        let stream = self.call("pull", reference, |engine| async move { engine.pull(&of).await }).await?;
        Ok(self.cut_short("pull", stream))
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network> {
        let of = spec.clone();
        self.call("ensure_network", &spec.name, |engine| async move { engine.ensure_network(&of).await })
            .await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        let of = name.to_owned();
        self.call("remove_network", name, |engine| async move { engine.remove_network(&of).await }).await
    }

    async fn connect_network(&self, name: &str, id: &str) -> Result<()> {
        let (network, container) = (name.to_owned(), id.to_owned());
        let call = |engine: Arc<R>| async move { engine.connect_network(&network, &container).await };
        self.call("connect_network", id, call).await
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<Volume> {
        let of = spec.clone();
        self.call("ensure_volume", &spec.name, |engine| async move { engine.ensure_volume(&of).await }).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let of = name.to_owned();
        self.call("remove_volume", name, |engine| async move { engine.remove_volume(&of).await }).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String> {
        let of = spec.clone();
        self.call("create", &spec.name, |engine| async move { engine.create(&of).await }).await
    }

    async fn start(&self, id: &str) -> Result<()> {
        let of = id.to_owned();
        self.call("start", id, |engine| async move { engine.start(&of).await }).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        let of = id.to_owned();
        self.call("stop", id, |engine| async move { engine.stop(&of, grace).await }).await
    }

    async fn kill(&self, id: &str, signal: &str) -> Result<()> {
        let (of, signal) = (id.to_owned(), signal.to_owned());
        self.call("kill", id, |engine| async move { engine.kill(&of, &signal).await }).await
    }

    async fn remove(&self, id: &str) -> Result<()> {
        let of = id.to_owned();
        self.call("remove", id, |engine| async move { engine.remove(&of).await }).await
    }

    async fn list(&self, filter: &ListFilter) -> Result<Listing> {
        let of = filter.clone();
        let fresh = self.call("list", "", |engine| async move { engine.list(&of).await }).await?;
        Ok(self.faults().listing(format!("{filter:?}"), fresh))
    }

    async fn inspect(&self, id: &str) -> Result<Container> {
        let of = id.to_owned();
        self.call("inspect", id, |engine| async move { engine.inspect(&of).await }).await
    }

    async fn logs(&self, id: &str, options: &LogOptions) -> Result<BoxStream<'static, Result<LogLine>>> {
        let (of, options) = (id.to_owned(), options.clone());
        let stream = self.call("logs", id, |engine| async move { engine.logs(&of, &options).await }).await?;
        Ok(self.cut_short("logs", stream))
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecOutput> {
        let (of, spec) = (id.to_owned(), spec.clone());
        self.call("exec", id, |engine| async move { engine.exec(&of, &spec).await }).await
    }

    async fn exec_interactive(&self, id: &str, spec: &ExecSpec, tty: Option<TtySize>) -> Result<Interactive> {
        let (of, spec) = (id.to_owned(), spec.clone());
        let effect = |engine: Arc<R>| async move { engine.exec_interactive(&of, &spec, tty).await };
        self.call("exec_interactive", id, effect).await
    }

    async fn probe(&self, id: &str, command: &[String], timeout: Duration) -> Result<ProbeOutput> {
        let (of, command) = (id.to_owned(), command.to_vec());
        self.call("probe", id, |engine| async move { engine.probe(&of, &command, timeout).await }).await
    }

    async fn events(&self, filter: &EventFilter) -> Result<BoxStream<'static, Result<Event>>> {
        let of = filter.clone();
        let stream = self.call("events", "", |engine| async move { engine.events(&of).await }).await?;
        Ok(self.garble(stream))
    }
}
