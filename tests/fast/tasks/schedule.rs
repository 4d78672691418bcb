//! Who works on what: tables, and what holds for every project.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tanuki::model::Priority;
use tanuki::tasks::schedule::{
    Board, Decision, Group, Item, Kept, Stand, What, Worker, is_finished, schedule,
};

fn group(role: &str, workstream: &str) -> Group {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Group { role: some(role), workstream: some(workstream) }
}

fn task(id: &str, group: Group, dependencies: &[usize]) -> Item {
    Item {
        id: id.to_owned(),
        priority: Priority::Medium,
        group,
        dependencies: dependencies.to_vec(),
        stand: Stand::Open,
        pinned: None,
        last: None,
    }
}

fn agent(name: &str, group: Group) -> Worker {
    Worker { name: name.to_owned(), group, usable: true, busy: false, ours: true, merged: false, kept: None }
}

fn board(tasks: Vec<Item>, agents: Vec<Worker>) -> Board {
    Board { tasks, agents, most_agents: 3, most_working: 3, ..Board::default() }
}

fn told(board: &Board) -> String {
    let line = |decision: &Decision| {
        let what = match &decision.what {
            What::Claim { agent, reset: false } => format!("claim {agent}"),
            What::Claim { agent, reset: true } => format!("claim {agent} anew"),
            What::Spawn { agent } => format!("spawn {agent}"),
            What::Remove { agent } => format!("remove {agent}"),
            What::Resume => "resume".to_owned(),
            What::Block => "block".to_owned(),
            What::Wait => "wait".to_owned(),
        };
        format!("{}: {what}: {}: {}\n", board.tasks[decision.task].id, decision.reason, decision.cause)
    };
    schedule(board).iter().map(line).collect()
}

#[test]
fn decisions_with_their_causes() {
    let mut tasks = vec![
        task("a-low", group("", "api"), &[]),
        task("a-high", group("", "api"), &[]),
        task("b", group("qa", "web"), &[0]),
        task("c", group("qa", ""), &[]),
        task("d", group("docs", ""), &[5]),
        task("f", group("", ""), &[]),
        task("g", group("", ""), &[4]),
        task("h", group("", ""), &[]),
        task("i", group("", ""), &[]),
        task("j", group("", ""), &[9]),
    ];
    tasks[0].priority = Priority::Low;
    tasks[1].priority = Priority::High;
    tasks[5].stand = Stand::Failed;
    tasks[7].pinned = Some("given".to_owned());
    tasks[9].stand = Stand::Review;
    tasks[9].dependencies.clear();
    tasks[8].dependencies = vec![9];
    let agents = vec![agent("api", group("", "api")), agent("old", group("x", "y"))];
    insta::assert_snapshot!(told(&board(tasks, agents)));
}

#[test]
fn the_agent_that_did_what_a_task_depends_on_goes_on() {
    let mut done = task("a", group("", "web"), &[]);
    (done.stand, done.last) = (Stand::Complete, Some("web-2".to_owned()));
    let board = Board {
        chains: BTreeMap::from([("web".to_owned(), 2)]),
        ..board(
            vec![done, task("b", group("", "web"), &[0])],
            vec![agent("web", group("", "web")), agent("web-2", group("", "web"))],
        )
    };
    insta::assert_snapshot!(told(&board), @"b: claim web-2: Ready: medium and ready; 'web-2' did what it depends on");
}

#[test]
fn an_agent_is_kept_for_a_task_that_is_not_settled() {
    let mut failed = task("a", group("", "web"), &[]);
    failed.stand = Stand::Failed;
    let mut kept = agent("web", group("", "web"));
    kept.kept = Some(Kept { task: 0, sound: false });
    let mut board = board(vec![failed, task("b", group("", "web"), &[])], vec![kept]);
    insta::assert_snapshot!(told(&board), @"b: spawn web-2: Ready: medium and ready; no agent of the workstream 'web' is free");
    board.tasks[0].stand = Stand::Open;
    insta::assert_snapshot!(told(&board), @r"
    a: claim web: Ready: medium and ready; 'web' began it
    b: wait: WorkstreamBusy: 'a' of the workstream 'web' goes first
    ");
}

#[test]
fn a_role_has_no_more_tasks_than_it_may() {
    let mut rests = task("a", group("qa", ""), &[]);
    rests.stand = Stand::Resting { agent: "qa".to_owned(), due: false };
    let tasks = vec![rests, task("b", group("qa", "web"), &[]), task("c", group("docs", ""), &[])];
    let mut board = board(tasks, vec![agent("qa", group("qa", ""))]);
    board.roles.insert("qa".to_owned(), 1);
    insta::assert_snapshot!(told(&board), @r"
    b: wait: RoleBusy: of the role 'qa' no more than 1 task at once may be worked on
    c: spawn docs: Ready: medium and ready; no agent of the role 'docs' is free
    ");
}

/// How a task ends each time it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Completes,
    Fails,
    Reviews,
    /// Rests so many times before it completes.
    Rests(u8),
    /// Is returned once: the controller or a person stopped it.
    Returns,
}

#[derive(Debug, Clone)]
struct Case {
    tasks: Vec<(Item, Fate)>,
    most_agents: usize,
    most_working: usize,
    /// What completes is merged.
    merge: bool,
    chains: BTreeMap<String, usize>,
    roles: BTreeMap<String, usize>,
    /// Which of the tasks under way ends next, again and again.
    order: Vec<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    let fate = prop_oneof![
        5 => Just(Fate::Completes),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Reviews),
        1 => (1..3u8).prop_map(Fate::Rests),
        1 => Just(Fate::Returns),
    ];
    let priority = prop_oneof![
        Just(Priority::Critical),
        Just(Priority::High),
        Just(Priority::Medium),
        Just(Priority::Low)
    ];
    let one =
        (fate, priority, 0..3usize, 0..4usize, proptest::collection::vec(0..30usize, 0..4), any::<u16>());
    let limits = (1..4usize, 1..4usize, 1..3usize, 1..3usize, any::<bool>());
    (proptest::collection::vec(one, 1..16), limits, proptest::collection::vec(0..8usize, 8)).prop_map(
        |(drawn, (most_agents, most_working, chain, role, merge), order)| {
            let tasks =
                drawn.into_iter().enumerate().map(|(index, (fate, priority, role, stream, deps, salt))| {
                    let group = group(["", "qa", "docs"][role], ["", "api", "web", "db"][stream]);
                    // Ids are in no order, and nothing depends on what comes later.
                    let deps: BTreeSet<usize> =
                        deps.into_iter().filter(|_| index > 0).map(|dep| dep % index.max(1)).collect();
                    let deps: Vec<usize> = deps.into_iter().collect();
                    let mut item = task(&format!("{salt:05}-{index}"), group, &deps);
                    item.priority = priority;
                    (item, fate)
                });
            let chains = BTreeMap::from([("api".to_owned(), chain)]);
            let roles = BTreeMap::from([("qa".to_owned(), role)]);
            Case { tasks: tasks.collect(), most_agents, most_working, merge, chains, roles, order }
        },
    )
}

/// A project over the plain decisions: agents are made at once, tasks end in the drawn order.
struct Project {
    board: Board,
    fates: Vec<Fate>,
    merge: bool,
    /// What the last round decided.
    decisions: Vec<Decision>,
}

impl Project {
    fn new(case: &Case) -> Self {
        let tasks = case.tasks.iter().map(|(item, _)| item.clone()).collect();
        let board = Board {
            tasks,
            agents: Vec::new(),
            most_agents: case.most_agents,
            most_working: case.most_working,
            taken: BTreeSet::new(),
            chains: case.chains.clone(),
            roles: case.roles.clone(),
        };
        let fates = case.tasks.iter().map(|(_, fate)| *fate).collect();
        Self { board, fates, merge: case.merge, decisions: Vec::new() }
    }

    fn under_way(&self) -> Vec<usize> {
        let tasks = self.board.tasks.iter().enumerate();
        let at_it = |stand: &Stand| matches!(stand, Stand::Working { .. } | Stand::Resting { .. });
        tasks.filter(|(_, task)| at_it(&task.stand)).map(|(index, _)| index).collect()
    }

    /// Carries out one round, checking each decision against how things are.
    fn round(&mut self) {
        self.decisions = schedule(&self.board);
        let mut begun = Vec::new();
        for Decision { task: index, what, cause, .. } in self.decisions.clone() {
            let task = self.board.tasks[index].clone();
            let ready = task.dependencies.iter().all(|dep| self.board.tasks[*dep].stand == Stand::Complete);
            match what {
                What::Claim { agent, reset } => {
                    assert!(ready, "{} was given away too early", task.id);
                    let full = self.board.agents.len() == self.board.most_agents;
                    let worker = self.board.agents.iter_mut().find(|worker| worker.name == agent).unwrap();
                    assert_eq!(worker.group.role, task.group.role);
                    assert!(worker.group == task.group || full, "{agent} was given away without need");
                    let other = worker.kept.take().filter(|kept| kept.task != index);
                    assert!(other.is_none() || full, "{agent} was kept for another one");
                    assert_eq!(other.is_some_and(|other| !other.sound), reset);
                    worker.group = task.group.clone();
                    self.begin(index, agent);
                    begun.push(index);
                }
                What::Spawn { agent } => {
                    assert!(ready, "{} was given away too early", task.id);
                    assert!(self.board.agents.iter().all(|worker| worker.name != agent));
                    self.board.agents.push(self::agent(&agent, task.group.clone()));
                    self.begin(index, agent);
                    begun.push(index);
                }
                What::Resume => {
                    let Stand::Resting { agent, due: true } = task.stand else {
                        panic!("{} does not rest", task.id)
                    };
                    self.board.tasks[index].stand = Stand::Working { agent };
                }
                What::Remove { agent } => {
                    let at = self.board.agents.iter().position(|worker| worker.name == agent).unwrap();
                    let removed = self.board.agents.remove(at);
                    assert!(removed.merged && removed.kept.is_none(), "{agent} had work");
                    assert!(!self.has_task(&agent), "{agent} was removed at work");
                }
                What::Block | What::Wait => assert!(!cause.is_empty()),
            }
        }
        self.check_caps();
        self.check_order(&begun);
    }

    fn has_task(&self, agent: &str) -> bool {
        self.board.tasks.iter().any(|task| match &task.stand {
            Stand::Working { agent: by } | Stand::Resting { agent: by, .. } => by == agent,
            _ => false,
        })
    }

    fn begin(&mut self, index: usize, agent: String) {
        assert!(!self.has_task(&agent), "{agent} has two tasks");
        self.board.tasks[index].last = Some(agent.clone());
        self.board.tasks[index].stand = Stand::Working { agent };
    }

    fn check_caps(&self) {
        let board = &self.board;
        assert!(board.agents.len() <= board.most_agents);
        let working = |task: &&Item| matches!(task.stand, Stand::Working { .. });
        assert!(board.tasks.iter().filter(working).count() <= board.most_working);
        let mut streams: BTreeMap<&str, usize> = BTreeMap::new();
        let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
        for index in self.under_way() {
            let Group { role, workstream } = &board.tasks[index].group;
            if let Some(stream) = workstream {
                *streams.entry(stream).or_default() += 1;
            }
            if let Some(role) = role {
                *roles.entry(role).or_default() += 1;
            }
        }
        for (role, count) in roles {
            assert!(board.roles.get(role).is_none_or(|most| count <= *most), "{role} has {count}");
        }
        for (stream, count) in streams {
            assert!(count <= board.chains.get(stream).copied().unwrap_or(1), "{stream} has {count}");
        }
    }

    /// No task began while one that goes before it, for the same agents, was left waiting.
    fn check_order(&self, begun: &[usize]) {
        for &index in begun {
            let task = &self.board.tasks[index];
            for other in self
                .board
                .tasks
                .iter()
                .filter(|other| other.stand == Stand::Open && other.group == task.group)
            {
                let ready =
                    other.dependencies.iter().all(|dep| self.board.tasks[*dep].stand == Stand::Complete);
                let before = (other.priority, &other.id) < (task.priority, &task.id);
                assert!(!ready || !before, "{} went before {}", task.id, other.id);
            }
        }
    }

    /// One of the tasks under way ends, or its wait is over.
    fn step(&mut self, draw: usize) {
        let mut under_way = self.under_way();
        under_way.retain(|index| !matches!(self.board.tasks[*index].stand, Stand::Resting { due: true, .. }));
        let Some(&index) = under_way.get(draw % under_way.len().max(1)) else { return };
        match self.board.tasks[index].stand.clone() {
            Stand::Resting { agent, .. } => {
                self.board.tasks[index].stand = Stand::Resting { agent, due: true }
            }
            Stand::Working { agent } => {
                let (stand, sound) = match self.fates[index] {
                    Fate::Completes | Fate::Rests(0) => (Stand::Complete, None),
                    Fate::Fails => (Stand::Failed, Some(false)),
                    Fate::Reviews => (Stand::Review, Some(true)),
                    Fate::Rests(times) => {
                        self.fates[index] = Fate::Rests(times - 1);
                        (Stand::Resting { agent: agent.clone(), due: false }, None)
                    }
                    Fate::Returns => {
                        self.fates[index] = Fate::Completes;
                        (Stand::Open, Some(false))
                    }
                };
                self.board.tasks[index].stand = stand;
                let merged = self.merge && self.board.tasks[index].stand == Stand::Complete;
                let worker = self.board.agents.iter_mut().find(|worker| worker.name == agent).unwrap();
                worker.kept = sound.map(|sound| Kept { task: index, sound });
                worker.merged = merged;
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// For every graph, limits and fates: each round keeps dependencies, caps and order; it ends; and at the end every
    /// task is complete, ended, or waits for one that did not complete.
    #[test]
    fn every_project_ends_and_keeps_the_rules(case in cases()) {
        let mut project = Project::new(&case);
        let mut steps = 0;
        loop {
            project.round();
            if is_finished(&project.board, &project.decisions) {
                break;
            }
            prop_assert!(!project.under_way().is_empty(), "stuck: {}", told(&project.board));
            project.step(case.order[steps % case.order.len()]);
            steps += 1;
            prop_assert!(steps < 200, "does not end");
        }
        for task in project.board.tasks.iter().filter(|task| task.stand == Stand::Open) {
            let waits = task.dependencies.iter().any(|dep| project.board.tasks[*dep].stand != Stand::Complete);
            // Or there are too many agents of other roles, each with work that nobody has merged.
            let full = project.board.agents.len() == case.most_agents
                && project.board.agents.iter().all(|agent| {
                    agent.group.role != task.group.role && (!agent.merged || agent.kept.is_some())
                });
            prop_assert!(waits || full, "{} was starved", task.id);
        }
        // Nothing changes any more, and deciding again says the same.
        let again = schedule(&project.board);
        prop_assert!(again.iter().all(|decision| matches!(decision.what, What::Block | What::Wait)));
    }

    /// What is said does not depend on the order in which tasks and agents are listed.
    #[test]
    fn the_order_of_the_list_does_not_matter(case in cases()) {
        let board = Project::new(&case).board;
        let count = board.tasks.len();
        let mirrored = Board {
            tasks: board.tasks.iter().rev().cloned().map(|mut task| {
                task.dependencies = task.dependencies.iter().map(|dep| count - 1 - dep).collect();
                task
            }).collect(),
            ..board.clone()
        };
        let by_id = |board: &Board| -> BTreeMap<String, What> {
            schedule(board).into_iter().map(|d| (board.tasks[d.task].id.clone(), d.what)).collect()
        };
        prop_assert_eq!(by_id(&board), by_id(&mirrored));
    }
}
