//! One run from its beginning to its end: iterations, commits, the verify command, and what comes of them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::follow::{Followed, Follower};
use super::instructions::has_signal;
use super::iteration::{Job, Place, ended, not_started};
use super::journal::Journal;
use super::{Live, Memory, Runs};
use crate::agents::adapters::{Item, Outcome, Reader};
use crate::model::{OutputKind, RunFailure, RunRecord, RunState, Time, Usage};

/// Longest a verify command may take.
const VERIFY: Duration = Duration::from_secs(30 * 60);
/// Runs of an agent whose output is kept.
const KEPT: usize = 50;
/// Tenths of a second that processes get to end by themselves: after the program has, and when a person asks.
const PATIENCE: (u32, u32) = (10, 50);

/// How a run ends.
#[derive(Debug, PartialEq, Eq)]
struct End {
    state: RunState,
    failure: Option<RunFailure>,
    message: String,
}

impl End {
    fn failed((failure, message): (RunFailure, String)) -> Self {
        Self { state: RunState::Failed, failure: Some(failure), message }
    }

    fn succeeded(message: impl Into<String>) -> Self {
        Self { state: RunState::Succeeded, failure: None, message: message.into() }
    }
}

impl Runs {
    /// Looks after a run until it is over, or until this controller goes.
    pub(super) fn drive(self: &Arc<Self>, agent: String) {
        let runs = Arc::clone(self);
        drop(self.tasks.spawn(async move {
            let whole = AssertUnwindSafe(runs.iterations(&agent)).catch_unwind();
            let end = tokio::select! {
                biased;
                () = runs.detach.cancelled() => return,
                end = whole => end,
            };
            let end = end.unwrap_or_else(|_panic| {
                Some(End::failed((RunFailure::Other, "tanuki failed; its log says more".to_owned())))
            });
            if let Some(End { state, failure, message }) = end {
                runs.prune(&agent);
                runs.over(&agent, state, failure, message);
            }
        }));
    }

    fn now(&self) -> Time {
        self.deps.clock.now()
    }

    fn run(&self, agent: &str) -> Option<Live> {
        self.lock().get(agent).cloned()
    }

    /// `None` when there is no such run any more.
    async fn iterations(&self, agent: &str) -> Option<End> {
        let run = self.run(agent)?;
        let spec = &run.memory.spec;
        let job = match self.agent(agent).and_then(|agent| self.job(&agent, spec)) {
            Ok(job) => job,
            Err(rejected) => return Some(End::failed(not_started(&rejected))),
        };
        let mut journal = match Journal::open(&self.journal_path(agent, &run.record.id)) {
            Ok(journal) => journal,
            Err(error) => {
                let message = format!("cannot keep the run's output: {error}");
                return Some(End::failed((RunFailure::Other, message)));
            }
        };
        let begun = run.record.started_at.unwrap_or(run.record.created_at);
        let deadline = spec.timeout_ms.map(|millis| begun + Duration::from_millis(millis));
        loop {
            let (end, message) = match self.once(&job, &mut journal, deadline).await {
                Ok(None) => continue,
                Ok(Some(end)) => {
                    let message = format!("the run {}{}", words(&end), colon(&end.message));
                    (end, message)
                }
                Err(gone) => {
                    tracing::debug!(agent, "{gone}");
                    return None;
                }
            };
            self.note(&mut journal, message);
            return Some(end);
        }
    }

    /// One iteration. The run's end, or `None` when there is to be another one.
    async fn once(
        &self,
        job: &Job,
        journal: &mut Journal,
        deadline: Option<Time>,
    ) -> Result<Option<End>, &'static str> {
        let agent = job.agent.name.as_str();
        let run = self.run(agent).ok_or("the run is over")?;
        let (iteration, outcome, followed) = match self.invoke(job, &run, journal, deadline).await {
            Ok(done) => done,
            Err(failure) => return Ok(Some(self.unbegun(&run, failure))),
        };
        let run = self.run(agent).ok_or("the run is over")?;
        let id = &run.record.id;
        let message = format!("{}\n\nRun {id}, iteration {iteration}", run.record.title);
        let committed = self.commit(agent, &message, journal).await;
        match followed {
            Followed::Stopped => {
                let end = End {
                    state: RunState::Stopped,
                    failure: None,
                    message: "a person asked for it".to_owned(),
                };
                return Ok(Some(end));
            }
            Followed::TimedOut => {
                return Ok(Some(End::failed((
                    RunFailure::Timeout,
                    "the time of the run is over".to_owned(),
                ))));
            }
            Followed::ContainerEnded if outcome.failure.is_some() => {
                let told = "the container ended under the run".to_owned();
                return Ok(Some(End::failed((RunFailure::ContainerEnded, told))));
            }
            Followed::ContainerEnded | Followed::OutOfTurns | Followed::Ended(_) => {}
        }
        if let Some(failure) = outcome.failure
            && (failure.is_environment() || failure == RunFailure::NotStarted)
        {
            return Ok(Some(End::failed((failure, outcome.message))));
        }
        if let Err(error) = committed {
            return Ok(Some(End::failed((
                RunFailure::Other,
                format!("the work cannot be committed: {error}"),
            ))));
        }
        let verified = self.verify(job, &run, journal, deadline).await;
        self.update(agent, |record, _| record.verified = verified.or(record.verified));
        if run.stop.is_cancelled() {
            let message = "a person asked for it".to_owned();
            return Ok(Some(End { state: RunState::Stopped, failure: None, message }));
        }
        let mut end = decide(&run.record, &run.memory, &outcome, verified);
        if end.is_none() && deadline.is_some_and(|deadline| deadline <= self.now()) {
            end = Some(End::failed((RunFailure::Timeout, "the time of the run is over".to_owned())));
        }
        if end.is_none() {
            self.note(journal, format!("iteration {iteration} is done; the next one begins"));
            self.update(agent, |record, memory| {
                memory.before = record.usage;
                memory.container = None;
                memory.failure = outcome.failure.map(|failure| (failure, outcome.message.clone()));
                record.iteration = iteration + 1;
            });
        }
        Ok(end)
    }

    /// A run whose program could not be started, or that is to end before it was.
    fn unbegun(&self, run: &Live, failure: (RunFailure, String)) -> End {
        if run.stop.is_cancelled() {
            let message = "a person asked for it".to_owned();
            return End { state: RunState::Stopped, failure: None, message };
        }
        End::failed(failure)
    }

    /// Starts the agent CLI, or finds the one that was started, and follows it to its end.
    async fn invoke(
        &self,
        job: &Job,
        run: &Live,
        journal: &mut Journal,
        deadline: Option<Time>,
    ) -> Result<(u32, Outcome, Followed), (RunFailure, String)> {
        let (agent, id) = (job.agent.name.as_str(), run.record.id.as_str());
        let iteration = run.record.iteration.max(1);
        let place = match &run.memory.container {
            Some(container) => Place {
                container: container.clone(),
                started: run.memory.container_started,
                environment: run.memory.environment,
            },
            None => {
                let (session, total) = self.resumed(job, run, iteration);
                self.update(agent, |record, memory| {
                    record.iteration = iteration;
                    memory.session_total = total;
                });
                let begin = self.begin(job, id, iteration, session.as_deref(), &run.credentials);
                let place = tokio::select! {
                    biased;
                    place = begin => place?,
                    () = run.stop.cancelled() => {
                        self.end_anyhow(agent, id, iteration).await;
                        return Err((RunFailure::Other, "ended before it began".to_owned()));
                    }
                };
                // Only now, since a beginning that a killed controller did not get to the end of is tried again.
                self.note(journal, begins(run, iteration));
                self.update(agent, |_, memory| {
                    memory.container = Some(place.container.clone());
                    memory.container_started = place.started;
                    memory.environment = place.environment;
                });
                self.deps.ground.touched(agent);
                place
            }
        };
        let runs = self.deps.ground.runs_dir(agent);
        let reader = Reader::new(job.adapter.kind).with_most_turns(job.max_turns());
        let mut follower = Follower::new(&runs, id, iteration, reader, journal.mark())
            .map_err(|error| (RunFailure::Other, format!("cannot read the run's output: {error}")))?;
        let signals = (&run.stop, run.look.as_ref());
        let followed = self.follow((agent, id), &place, &mut follower, journal, deadline, signals).await;
        if followed != Followed::ContainerEnded {
            let asked = !matches!(followed, Followed::Ended(_));
            let patience = if asked { PATIENCE.1 } else { PATIENCE.0 };
            if let Err(error) = self.end(&place, id, iteration, patience).await {
                self.note(journal, format!("processes of the run may be left: {error}"));
            }
            self.copy_rest(&mut follower, journal).await;
        }
        let exit = if let Followed::Ended(exit) = followed { exit } else { None };
        let mut items = Vec::new();
        let (mut outcome, mark) = follower.finish(exit, &mut items);
        if let Err(error) = journal.add(self.now(), items, mark) {
            tracing::warn!(%error, "cannot keep a run's output");
        }
        if let (Some(failure), false) = (outcome.failure, matches!(followed, Followed::Stopped)) {
            let said = format!("{failure}{}", colon(&outcome.message));
            self.add(journal, vec![Item { kind: OutputKind::Error, text: said }]);
        }
        outcome.message.truncate(outcome.message.floor_char_boundary(1000));
        self.update(agent, |record, memory| {
            record.exit_code = exit;
            record.usage = memory.before.plus(own_usage(&outcome, memory.session_total));
            if outcome.session.is_some() {
                record.session.clone_from(&outcome.session);
            }
            if outcome.cumulative && outcome.session.is_some() {
                memory.session_total = Some(outcome.usage);
            }
        });
        Ok((iteration, outcome, followed))
    }

    /// The session to go on with, and what it used so far.
    fn resumed(&self, job: &Job, run: &Live, iteration: u32) -> (Option<String>, Option<Usage>) {
        if !run.memory.spec.resume {
            return (None, None);
        }
        if iteration > 1 {
            return (run.record.session.clone(), run.memory.session_total);
        }
        let session = self.session(&job.agent);
        let before = self.deps.store.ended_runs(&job.agent.name, 1).unwrap_or_default();
        let memory = before.first().and_then(|run| serde_json::from_str::<Memory>(&run.memory).ok());
        let total = session.is_some().then(|| memory.and_then(|memory| memory.session_total)).flatten();
        (session, total)
    }

    /// Ends what may have been started while the answer to the start was awaited.
    async fn end_anyhow(&self, agent: &str, id: &str, iteration: u32) {
        if let Ok(ready) = self.deps.ground.enter(agent).await {
            let place = Place { container: ready.container, started: None, environment: 0 };
            if let Err(error) = self.end(&place, id, iteration, PATIENCE.0).await {
                tracing::warn!(error, run = id, "processes of a run may be left");
            }
        }
    }

    /// Brings what was changed onto the agent's branch, and the branch into the project.
    async fn commit(&self, agent: &str, message: &str, journal: &mut Journal) -> Result<(), String> {
        let committed = self.deps.ground.commit_all(agent, message).await;
        let result = match committed {
            Ok(_) => self.deps.ground.collect(agent).await.map(drop),
            Err(rejected) => Err(rejected),
        };
        self.deps.ground.touched(agent);
        result.map_err(|rejected| {
            let (_, error) = ended(&rejected);
            self.note(journal, format!("the work cannot be committed: {error}"));
            error
        })
    }

    /// Whether the verify command succeeds; `None` without one.
    async fn verify(
        &self,
        job: &Job,
        run: &Live,
        journal: &mut Journal,
        deadline: Option<Time>,
    ) -> Option<bool> {
        let verify = run.memory.spec.verify.as_deref()?;
        let (agent, id) = (job.agent.name.as_str(), &run.record.id);
        let left = deadline.map_or(VERIFY, |deadline| deadline.since(self.now()).min(VERIFY));
        self.note(journal, format!("verify: {verify}"));
        // By the variable its processes are found, should they have to end.
        let command = format!("export TANUKI_RUN={id} TANUKI_ITERATION={}\n{verify}", run.record.iteration);
        let shell = self.deps.ground.shell(agent, &command, left.max(Duration::from_secs(1)));
        let result = tokio::select! {
            biased;
            () = run.stop.cancelled() => None,
            result = shell => Some(result),
        };
        let mut items = Vec::new();
        let mut say = |kind, text: String| items.push(Item { kind, text });
        let (verified, cut_off) = match result {
            None => (false, true),
            Some(Ok(output)) => {
                let good = output.exit_code == 0;
                let kind = if good { OutputKind::ToolResult } else { OutputKind::Error };
                for bytes in [&output.stdout, &output.stderr] {
                    let text = String::from_utf8_lossy(bytes);
                    let lines: Vec<&str> = text.trim_end().lines().collect();
                    for line in &lines[lines.len().saturating_sub(20)..] {
                        say(kind, line.chars().take(1000).collect());
                    }
                }
                say(
                    OutputKind::Note,
                    match output.exit_code {
                        0 => "verify: succeeded".to_owned(),
                        code => format!("verify: failed with exit code {code}"),
                    },
                );
                (good, false)
            }
            Some(Err(rejected)) => {
                say(OutputKind::Error, format!("verify: {}", ended(&rejected).1));
                (false, true)
            }
        };
        self.add(journal, items);
        if cut_off {
            self.end_anyhow(agent, id, run.record.iteration).await;
        }
        Some(verified)
    }

    fn note(&self, journal: &mut Journal, text: String) {
        self.add(journal, vec![Item { kind: OutputKind::Note, text }]);
    }

    fn add(&self, journal: &mut Journal, items: Vec<Item>) {
        let mark = journal.mark();
        if let Err(error) = journal.add(self.now(), items, mark) {
            tracing::warn!(%error, "cannot keep a run's output");
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Removes the output of all but the last runs.
    fn prune(&self, agent: &str) {
        let runs = self.deps.ground.runs_dir(agent);
        let numbered = |name: String| {
            let number: u64 = name.strip_prefix(agent)?.strip_prefix('-')?.parse().ok()?;
            Some((number, name))
        };
        let found = super::dir::Dir::open(&runs).and_then(|dir| dir.directories()).unwrap_or_default();
        let mut found: Vec<_> = found.into_iter().filter_map(numbered).collect();
        found.sort();
        found.truncate(found.len().saturating_sub(KEPT));
        for (_, name) in found {
            let removed = std::fs::remove_dir_all(runs.join(&name));
            let removed = removed.and_then(|()| std::fs::remove_file(self.journal_path(agent, &name)));
            if let Err(error) = removed {
                tracing::debug!(%error, run = name, "cannot remove the output of an old run");
            }
        }
    }
}

/// What an iteration comes to: the run's end, or `None` for another iteration.
fn decide(record: &RunRecord, memory: &Memory, outcome: &Outcome, verified: Option<bool>) -> Option<End> {
    let spec = &memory.spec;
    let signalled = spec.signal.as_deref().map(|signal| has_signal(&outcome.final_message, signal));
    let met = verified != Some(false) && signalled != Some(false);
    // Out of turns with the work done is done; anything else that went wrong is not.
    let trusted = outcome.failure.is_none()
        || (outcome.failure == Some(RunFailure::TurnLimit) && verified == Some(true));
    if met && trusted {
        return Some(End::succeeded(match (verified, signalled) {
            (Some(_), _) => "verified",
            (None, Some(_)) => "the signal came",
            (None, None) => "",
        }));
    }
    let iteration = record.iteration.max(1);
    if iteration < record.max_iterations {
        return None;
    }
    if let Some(failure) = outcome.failure {
        return Some(End::failed((failure, outcome.message.clone())));
    }
    let why = match (verified, signalled) {
        (Some(false), _) => "the verify command fails",
        _ => "the signal did not come",
    };
    let after = if iteration == 1 { String::new() } else { format!(" after {iteration} iterations") };
    Some(End::failed((RunFailure::IterationLimit, format!("{why}{after}"))))
}

/// What this iteration used of a session that may have used more before.
fn own_usage(outcome: &Outcome, before: Option<Usage>) -> Usage {
    let Some(before) = before.filter(|_| outcome.cumulative) else { return outcome.usage };
    let less =
        |now: Option<u64>, then: Option<u64>| now.map(|now| now.saturating_sub(then.unwrap_or_default()));
    Usage {
        turns: outcome.usage.turns,
        input_tokens: less(outcome.usage.input_tokens, before.input_tokens),
        output_tokens: less(outcome.usage.output_tokens, before.output_tokens),
        cost_microdollars: less(outcome.usage.cost_microdollars, before.cost_microdollars),
    }
}

fn begins(run: &Live, iteration: u32) -> String {
    let record = &run.record;
    if record.max_iterations == 1 {
        return format!("run {} begins: {}", record.id, record.title);
    }
    format!("run {}, iteration {iteration} of at most {}: {}", record.id, record.max_iterations, record.title)
}

fn words(end: &End) -> String {
    match end.failure {
        Some(failure) => format!("failed ({failure})"),
        None => end.state.to_string(),
    }
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
