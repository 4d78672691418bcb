//! Whole projects over agents that are plain data, on a paused clock: real files, the real store, the real loop.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tanuki::controller::{self, Clock, Options, Publisher, TokioClock, Wake, Waker};
use tanuki::model::{
    AgentSettings, Credentials, Limits, ProjectPhase, Rejected, Request, RunFailure, Snapshot, TaskState,
    Time, Workstream,
};
use tanuki::store::Store;
use tanuki::tasks::{Deps, Key, Tasks};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, Try};

pub(super) struct Lab {
    pub(super) dir: tempfile::TempDir,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    pub(super) fake: Arc<Fake>,
    controller: Option<Running>,
}

pub(super) struct Running {
    tasks: Arc<Tasks>,
    publisher: Publisher<Snapshot>,
    waker: Waker<Key>,
    ended: JoinHandle<()>,
}

impl Lab {
    pub(super) fn new(agents: u32, working: u32) -> Self {
        // In memory where that can be had: files are synchronized often, and a busy disk makes that slow.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        fs::create_dir_all(dir.path().join("tasks")).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(Time(1_769_860_800_000)));
        let settings = AgentSettings {
            limits: Limits { agents, working, free_memory: 0 },
            workstreams: BTreeMap::from([("web".to_owned(), Workstream { concurrency: 2, role: None })]),
            tasks_dir: "tasks".into(),
            ..AgentSettings::default()
        };
        let fake = Fake::new(Arc::clone(&clock), settings);
        fake.lock().most_working = usize::try_from(working).unwrap();
        Self { dir, store: Arc::new(Store::in_memory().unwrap()), clock, fake, controller: None }
    }

    pub(super) fn file(&self, id: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("tasks/{id}.md"))
    }

    /// A task; `more` is further front matter.
    pub(super) fn task(&self, id: &str, depends_on: &[&str], more: &str, tries: &[Try]) {
        let on = depends_on.join(", ");
        let text =
            format!("---\nid: {id}\nstatus: pending # mine\ndepends_on: [{on}]\n{more}---\nDo {id}.\n");
        fs::write(self.file(id), text).unwrap();
        let mut inner = self.fake.lock();
        inner.depends.insert(id.to_owned(), depends_on.iter().map(|id| (*id).to_owned()).collect());
        if !tries.is_empty() {
            inner.tries.insert(id.to_owned(), tries.to_vec());
        }
    }

    pub(super) fn verified(&self, id: &str, depends_on: &[&str], more: &str, tries: &[Try]) {
        self.task(id, depends_on, &format!("{more}completion: {{ verify: {id} }}\n"), tries);
    }

    /// A controller begins, with what an earlier one left.
    pub(super) fn boot(&mut self) -> &Running {
        let publisher = Publisher::new(crate::cli::snapshot([]));
        let waker = Waker::default();
        let tasks = Tasks::new(Deps {
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock),
            publisher: publisher.clone(),
            waker: waker.clone(),
            workers: Arc::<Fake>::clone(&self.fake),
            root: self.dir.path().to_owned(),
        })
        .unwrap();
        let kind = Arc::new(Arc::clone(&tasks));
        let options = Options { passes: 64, ..Options::default() };
        let ended = tokio::spawn(controller::run(kind, waker.clone(), options, CancellationToken::new()));
        self.controller.insert(Running { tasks, publisher, waker, ended })
    }

    /// Nothing of the controller goes on.
    pub(super) async fn kill(&mut self) {
        if let Some(running) = self.controller.take() {
            running.ended.abort();
            drop(running.ended.await);
        }
    }

    async fn ask(&self, request: Request) -> Result<String, Rejected> {
        let running = self.controller.as_ref().unwrap();
        running.tasks.handle(request).await.map(|accepted| accepted.text)
    }

    pub(super) async fn start(&mut self, merge: bool) {
        self.boot();
        self.ask(start(merge)).await.unwrap();
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.controller.as_ref().unwrap().publisher.current()
    }

    pub(super) fn look_again(&self) {
        self.controller.as_ref().unwrap().waker.wake(Wake::All);
    }

    pub(super) async fn until(&self, what: &str, mut is_so: impl FnMut(&Snapshot) -> bool) {
        let mut snapshots = self.controller.as_ref().unwrap().publisher.subscribe();
        let waited = timeout(Duration::from_secs(24 * 3600), async {
            while !is_so(&snapshots.borrow_and_update().clone()) {
                snapshots.changed().await.unwrap();
            }
        })
        .await;
        assert!(waited.is_ok(), "not {what}: {}\n{:#?}", told(&self.snapshot()), self.fake.lock().log);
    }

    pub(super) async fn until_phase(&self, phase: ProjectPhase) {
        self.until(&phase.to_string(), |snapshot| snapshot.work.phase == phase).await;
    }

    pub(super) async fn until_state(&self, id: &str, state: TaskState) {
        self.until(&format!("{id} {state}"), |snapshot| {
            snapshot.tasks.get(id).is_some_and(|t| t.state == state)
        })
        .await;
    }

    pub(super) fn states(&self) -> BTreeMap<String, TaskState> {
        self.snapshot().tasks.iter().map(|(id, task)| (id.clone(), task.state)).collect()
    }

    pub(super) fn reason(&self, id: &str) -> String {
        self.snapshot().tasks[id].reason.clone()
    }
}

fn start(merge: bool) -> Request {
    Request::ProjectStart { projects: Vec::new(), merge, dry_run: false, credentials: Credentials::default() }
}

pub(super) fn told(snapshot: &Snapshot) -> String {
    let line = |task: &Arc<tanuki::model::TaskStatus>| {
        let agent = task.assigned_to.as_deref().unwrap_or("-");
        format!("{} {} {agent} {}: {}\n", task.id, task.state, task.reason, task.message)
    };
    format!("{}\n{}", snapshot.work.phase, snapshot.tasks.values().map(line).collect::<String>())
}

/// Twelve tasks in three workstreams, two roles; one passes at the third try, one never, one waits for quota.
fn twelve(lab: &Lab) {
    let quota = Try::Fails(RunFailure::Quota);
    lab.verified("a1", &[], "workstream: api\nrole: backend\n", &[]);
    lab.verified("a2", &["a1"], "workstream: api\nrole: backend\n", &[Try::Bad, Try::Bad, Try::Good]);
    lab.verified("a3", &["w1"], "workstream: api\nrole: backend\npriority: high\n", &[]);
    lab.verified("w1", &[], "workstream: web\n", &[]);
    lab.verified("w2", &[], "workstream: web\n", &[quota, quota, Try::Good]);
    lab.verified("w3", &["a1", "w2"], "workstream: web\npriority: low\n", &[]);
    lab.verified("q1", &["w3", "a2"], "workstream: test\nrole: qa\n", &[]);
    lab.verified("q2", &[], "workstream: test\nrole: qa\n", &[Try::Bad]);
    lab.verified("q3", &["q2"], "workstream: test\nrole: qa\n", &[]);
    lab.verified("q4", &["q3", "a1"], "role: qa\n", &[]);
    lab.task("r1", &["a1"], "role: backend\n", &[]);
    lab.verified("s1", &[], "", &[Try::Fails(RunFailure::Other), Try::Good]);
}

fn twelve_ended(lab: &Lab) {
    let blocked = ["q3", "q4"];
    for (id, state) in lab.states() {
        let expected = match id.as_str() {
            "q2" => TaskState::Failed,
            "r1" => TaskState::Review,
            id if blocked.contains(&id) => TaskState::Blocked,
            _ => TaskState::Complete,
        };
        assert_eq!(state, expected, "{id}: {}\n{:#?}", told(&lab.snapshot()), lab.fake.lock().log);
        let text = fs::read_to_string(lab.file(&id)).unwrap();
        assert!(text.contains(&format!("\nstatus: {expected} # mine\n")), "{text}");
    }
    for (id, runs) in [("a1", 1), ("a2", 3), ("w2", 3), ("q2", 3), ("q3", 0), ("s1", 2), ("r1", 1)] {
        assert_eq!(lab.fake.runs_of(id).len(), runs, "runs of {id}: {:#?}", lab.fake.lock().log);
    }
}

#[tokio::test(start_paused = true)]
async fn a_project_ends_as_it_should() {
    let mut lab = Lab::new(8, 3);
    twelve(&lab);
    lab.start(false).await;
    lab.until_phase(ProjectPhase::Finished).await;
    twelve_ended(&lab);
    insta::assert_snapshot!(told(&lab.snapshot()));
    let q1 = &lab.snapshot().tasks["q1"];
    let done = lab.fake.branch(q1.assigned_to.as_deref().unwrap());
    assert!(["q1", "w3", "a2", "a1", "w2"].iter().all(|id| done.contains(*id)), "{done:?}");
    assert_eq!(lab.snapshot().tasks["a2"].usage.turns, Some(6));
}

/// Few tasks, for tests that need them often.
fn four(lab: &Lab) {
    lab.verified("a", &[], "workstream: one\n", &[Try::Bad, Try::Good]);
    lab.verified("b", &[], "workstream: two\n", &[Try::Fails(RunFailure::Quota), Try::Good]);
    lab.verified("c", &["a", "b"], "workstream: one\n", &[]);
    lab.task("d", &["a"], "", &[]);
}

fn four_ended(lab: &Lab) {
    let ended = lab.states().into_iter().map(|(id, state)| (id, state.word())).collect::<Vec<_>>();
    let expected = [("a", "complete"), ("b", "complete"), ("c", "complete"), ("d", "review")];
    assert_eq!(ended, expected.map(|(id, state)| (id.to_owned(), state)), "{}", told(&lab.snapshot()));
    for (id, runs) in [("a", 2), ("b", 2), ("c", 1), ("d", 1)] {
        assert_eq!(lab.fake.runs_of(id).len(), runs, "runs of {id}: {:#?}", lab.fake.lock().log);
    }
    assert_eq!(lab.fake.lock().target.iter().collect::<Vec<_>>(), ["a", "a?", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_is_the_same_wherever_the_controller_is_killed() {
    let mut lab = Lab::new(5, 3);
    four(&lab);
    lab.start(true).await;
    lab.until_phase(ProjectPhase::Finished).await;
    four_ended(&lab);
    let points = lab.fake.lock().points;
    assert!(points > 40, "{points}");
    for crash_at in 1..points {
        let mut lab = Lab::new(5, 3);
        four(&lab);
        lab.fake.lock().crash_at = Some(crash_at);
        lab.start(true).await;
        lab.fake.crashed.notified().await;
        lab.kill().await;
        lab.boot();
        lab.until_phase(ProjectPhase::Finished).await;
        four_ended(&lab);
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_killed_again_and_again_gets_there() {
    let mut lab = Lab::new(8, 4);
    twelve(&lab);
    lab.start(true).await;
    let mut crashes = 0;
    loop {
        let next = lab.fake.lock().points + 9 + crashes / 4;
        lab.fake.lock().crash_at = Some(next);
        let finished = tokio::select! {
            biased;
            () = lab.fake.crashed.notified() => false,
            () = lab.until_phase(ProjectPhase::Finished) => true,
        };
        if finished {
            break;
        }
        crashes += 1;
        lab.kill().await;
        lab.boot();
    }
    assert!(crashes > 15, "{crashes}");
    twelve_ended(&lab);
}

#[tokio::test(start_paused = true)]
async fn merged_work_is_in_the_target_and_what_does_not_fit_waits_for_a_person() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "workstream: one\n", &[]);
    lab.verified("b", &[], "workstream: two\n", &[]);
    lab.verified("c", &[], "workstream: three\n", &[]);
    lab.verified("d", &["c"], "workstream: one\n", &[]);
    lab.fake.lock().enemies.push(("a".to_owned(), "b".to_owned()));
    lab.fake.lock().dirty = 2;
    lab.start(true).await;
    lab.until_phase(ProjectPhase::Finished).await;
    let states = lab.states();
    let review: Vec<&String> =
        states.iter().filter(|(_, s)| **s == TaskState::Review).map(|(id, _)| id).collect();
    assert_eq!(review.len(), 1, "{}", told(&lab.snapshot()));
    assert_eq!(lab.reason(review[0]), "Conflict");
    assert!(lab.snapshot().tasks[review[0]].message.contains("b.txt"));
    assert!(lab.snapshot().tasks["c"].merged && lab.fake.lock().target.contains("c"));
    assert_eq!(states["d"], TaskState::Complete);
    assert_eq!(lab.snapshot().work.conflicts.len(), 1);
    let id = review[0].clone();
    lab.ask(Request::TaskApprove { task: id.clone() }).await.unwrap();
    lab.until_state(&id, TaskState::Complete).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_stays_dirty_ends_in_review() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.fake.lock().dirty = 1000;
    lab.start(true).await;
    lab.until_phase(ProjectPhase::Finished).await;
    assert_eq!((lab.states()["a"], lab.reason("a")), (TaskState::Review, "NotMerged".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn work_that_cannot_be_brought_together_blocks_and_names_the_files() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "workstream: one\n", &[]);
    lab.verified("b", &[], "workstream: two\n", &[]);
    lab.verified("c", &["a", "b"], "", &[]);
    lab.verified("d", &["c"], "", &[]);
    lab.fake.lock().enemies.push(("a".to_owned(), "b".to_owned()));
    lab.start(false).await;
    lab.until_phase(ProjectPhase::Finished).await;
    insta::assert_snapshot!(told(&lab.snapshot()));
    // A person brings them together.
    lab.fake.lock().enemies.clear();
    lab.ask(Request::TaskRetry { task: "c".to_owned() }).await.unwrap();
    lab.until_state("d", TaskState::Complete).await;
}

#[tokio::test(start_paused = true)]
async fn stop_returns_what_runs_and_resume_goes_on() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.verified("b", &["a"], "", &[]);
    lab.start(false).await;
    lab.until_state("a", TaskState::InProgress).await;
    assert_eq!(lab.ask(start(false)).await.unwrap(), "the project is under way already");
    lab.ask(Request::ProjectStop {}).await.unwrap();
    lab.until_phase(ProjectPhase::Stopped).await;
    assert_eq!(lab.states()["a"], TaskState::Pending);
    let text = fs::read_to_string(lab.file("a")).unwrap();
    assert!(text.contains("status: pending # mine") && text.contains("assigned_to:\n"), "{text}");
    assert!(lab.fake.runs_of("a").iter().all(|run| run.state.is_over()));
    // Nothing happens by itself, also not after another start of the controller.
    lab.kill().await;
    lab.boot();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(lab.snapshot().work.phase, ProjectPhase::Stopped);
    lab.ask(Request::ProjectResume { credentials: Credentials::default() }).await.unwrap();
    lab.until_phase(ProjectPhase::Finished).await;
    assert!(lab.states().values().all(|state| *state == TaskState::Complete));
    assert_eq!(lab.fake.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_finished_begins_again_only_when_a_person_says_so() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.start(false).await;
    lab.until_phase(ProjectPhase::Finished).await;
    lab.verified("b", &[], "", &[]);
    lab.kill().await;
    lab.boot();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((lab.snapshot().work.phase, lab.states()["b"]), (ProjectPhase::Finished, TaskState::Pending));
    lab.ask(start(false)).await.unwrap();
    lab.until_state("b", TaskState::Complete).await;
    lab.until_phase(ProjectPhase::Finished).await;
    lab.ask(Request::TaskRetry { task: "a".to_owned() }).await.unwrap();
    lab.until("again", |snapshot| snapshot.work.phase == ProjectPhase::Running).await;
    lab.controller.as_ref().unwrap().tasks.halt().await;
    assert_eq!(lab.states()["a"], TaskState::Pending);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_person_stops_is_not_begun_again_before_they_say_so() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.start(false).await;
    lab.until_state("a", TaskState::InProgress).await;
    lab.fake.stop("agent");
    lab.look_again();
    lab.until_phase(ProjectPhase::Finished).await;
    assert_eq!((lab.states()["a"], lab.reason("a")), (TaskState::Blocked, "RunStopped".to_owned()));
    lab.ask(Request::TaskRetry { task: "a".to_owned() }).await.unwrap();
    lab.until_state("a", TaskState::Complete).await;
    assert_eq!(lab.fake.names(), ["agent"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_tasks_fault_spends_no_try() {
    let mut lab = Lab::new(8, 4);
    let limited = Try::Fails(RunFailure::RateLimit);
    lab.verified("a", &[], "", [limited; 6].into_iter().chain([Try::Good]).collect::<Vec<_>>().as_slice());
    // Another one of the same agent CLI waits with it.
    lab.verified("b", &[], "workstream: web\n", &[limited, Try::Good]);
    lab.fake.lock().no_spawn = 5;
    lab.start(false).await;
    lab.until("paused", |snapshot| snapshot.work.message.contains("scripted waits")).await;
    lab.until_phase(ProjectPhase::Finished).await;
    assert_eq!((lab.states()["a"], lab.snapshot().tasks["a"].attempts), (TaskState::Complete, 0));
}

#[tokio::test(start_paused = true)]
async fn trouble_before_a_run_does_not_lengthen_a_wait_for_quota() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[Try::Fails(RunFailure::Quota), Try::Good]);
    lab.fake.lock().no_spawn = 7;
    lab.start(false).await;
    lab.until_phase(ProjectPhase::Finished).await;
    let runs = lab.fake.runs_of("a");
    let waited = runs[1].created_at.since(runs[0].ended_at.unwrap());
    // The end of a run is noticed late here, but not by minutes.
    assert!(waited < Duration::from_secs(60), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_who_start_at_once_the_second_joins() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.boot();
    let (one, other) = tokio::join!(lab.ask(start(false)), lab.ask(start(false)));
    let mut said = [one.unwrap(), other.unwrap()];
    said.sort();
    assert_eq!(said, ["the project is started", "the project is under way already"]);
    lab.until_phase(ProjectPhase::Finished).await;
    assert_eq!(lab.fake.runs_of("a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_controller_has_what_agents_sign_in_with_until_the_end() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.verified("b", &["a"], "", &[]);
    lab.boot();
    let key = Credentials([("KEY".to_owned(), "secret".to_owned())].into());
    let Request::ProjectStart { projects, merge, dry_run, .. } = start(false) else { unreachable!() };
    lab.ask(Request::ProjectStart { projects, merge, dry_run, credentials: key.clone() }).await.unwrap();
    lab.until_state("a", TaskState::InProgress).await;
    lab.kill().await;
    lab.boot();
    lab.until_phase(ProjectPhase::Finished).await;
    let signed_in = lab.fake.lock().signed_in.clone();
    assert_eq!(signed_in, [("a".to_owned(), key.clone()), ("b".to_owned(), key)]);
    assert_eq!(lab.fake.lock().kept, Credentials::default());
}

#[tokio::test(start_paused = true)]
async fn requests_that_make_no_sense_are_refused() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.verified("b", &["a"], "", &[]);
    lab.boot();
    let ask = async |request| lab.ask(request).await.unwrap_err();
    let retry = |task: &str| Request::TaskRetry { task: task.to_owned() };
    let mut refused = vec![
        ask(retry("x")).await,
        ask(retry("b")).await,
        ask(Request::TaskApprove { task: "a".to_owned() }).await,
        ask(Request::TaskAssign { task: "a".to_owned(), agent: Some("Bob".to_owned()) }).await,
        ask(Request::ProjectStop {}).await,
        ask(Request::ProjectResume { credentials: Credentials::default() }).await,
    ];
    let Request::ProjectStart { merge, dry_run, credentials, .. } = start(false) else { unreachable!() };
    let projects = vec!["shop".to_owned()];
    refused.push(ask(Request::ProjectStart { projects, merge, dry_run, credentials }).await);
    insta::assert_debug_snapshot!(refused);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_everything_and_changes_nothing() {
    let mut lab = Lab::new(3, 3);
    twelve(&lab);
    lab.verified("z1", &["q2", "nowhere"], "", &[]);
    lab.boot();
    let before = files(lab.dir.path());
    let Request::ProjectStart { projects, merge, credentials, .. } = start(false) else { unreachable!() };
    let text = lab.ask(Request::ProjectStart { projects, merge, dry_run: true, credentials }).await.unwrap();
    insta::assert_snapshot!(text);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(files(lab.dir.path()), before);
    assert!(lab.fake.lock().log.is_empty());
}

fn files(root: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut files: Vec<_> =
        fs::read_dir(root.join("tasks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}
