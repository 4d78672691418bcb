//! Random projects whose controller is killed at random points: the agents of plain data refuse what must not be, and
//! every project comes to the one end it can have. A failure names its seed; `TANUKI_SEED=<n>` runs that one alone, and
//! `TANUKI_SEEDS=<n>` runs so many.

use std::collections::BTreeMap;

use tanuki::model::{ProjectPhase, RunFailure, TaskState};

use super::fake::Try;
use super::project::{Lab, told};

/// Tries of a task that says nothing about them.
const TRIES: usize = 3;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(most.max(1)).unwrap()).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

struct Drawn {
    dependencies: Vec<String>,
    /// Absent where nothing can tell whether it is done.
    tries: Option<Vec<Try>>,
}

impl Drawn {
    /// How it ends once what it depends on is complete.
    fn end(&self) -> TaskState {
        let Some(tries) = &self.tries else { return TaskState::Review };
        let mut spent = 0;
        for index in 0.. {
            match tries[index.min(tries.len() - 1)] {
                Try::Good => return TaskState::Complete,
                Try::Fails(failure) if failure.is_environment() => {}
                Try::Bad | Try::Fails(_) => spent += 1,
            }
            if spent == TRIES {
                break;
            }
        }
        TaskState::Failed
    }
}

fn draw(lab: &Lab, random: &mut Random) -> BTreeMap<String, Drawn> {
    let (bad, quota, other) = (Try::Bad, Try::Fails(RunFailure::Quota), Try::Fails(RunFailure::Other));
    let fates: [&[Try]; 7] =
        [&[], &[], &[], &[bad, Try::Good], &[bad], &[quota, Try::Good], &[other, bad, quota, Try::Good]];
    let mut drawn: BTreeMap<String, Drawn> = BTreeMap::new();
    for index in 0..2 + random.below(8) {
        let earlier: Vec<String> = drawn.keys().cloned().collect();
        let mut dependencies: Vec<String> =
            (0..random.below(3)).filter(|_| !earlier.is_empty()).map(|_| random.one(&earlier)).collect();
        dependencies.sort();
        dependencies.dedup();
        let id = format!("{}{index}", random.one(&["m", "a", "z"]));
        let role = random.one(&["", "role: backend\n", "role: qa\n"]);
        let workstream = random.one(&["", "workstream: web\n", "workstream: api\n"]);
        let priority = random.one(&["", "priority: high\n", "priority: low\n"]);
        let more = format!("{role}{workstream}{priority}");
        let on: Vec<&str> = dependencies.iter().map(String::as_str).collect();
        let tries = if random.below(8) == 0 {
            lab.task(&id, &on, &more, &[]);
            None
        } else {
            let tries = random.one(&fates);
            lab.verified(&id, &on, &more, tries);
            Some(if tries.is_empty() { vec![Try::Good] } else { tries.to_vec() })
        };
        drawn.insert(id, Drawn { dependencies, tries });
    }
    drawn
}

async fn ends(seed: u64) {
    let mut random = Random(seed);
    let limits = (1 + random.below(5), 1 + random.below(3));
    let mut lab = Lab::new(u32::try_from(limits.0).unwrap(), u32::try_from(limits.1).unwrap());
    let drawn = draw(&lab, &mut random);
    lab.start(random.below(2) == 0).await;
    let crashes = random.below(8);
    for crash in 0..=crashes {
        let next = lab.fake.lock().points + 1 + u32::try_from(random.below(50)).unwrap();
        lab.fake.lock().crash_at = (crash < crashes).then_some(next);
        let crashed = tokio::select! {
            biased;
            () = lab.fake.crashed.notified() => true,
            () = lab.until_phase(ProjectPhase::Finished) => false,
        };
        if !crashed {
            break;
        }
        lab.kill().await;
        lab.boot();
    }
    let states = lab.states();
    let why = || format!("seed {seed}, {limits:?}: {}\n{:#?}", told(&lab.snapshot()), lab.fake.lock().log);
    for (id, task) in &drawn {
        let ready = task.dependencies.iter().all(|id| states[id] == TaskState::Complete);
        let starved = ready && states[id] == TaskState::Pending;
        if starved {
            // Every place is taken by agents of other roles, with work that nobody has merged.
            assert_eq!(lab.reason(id), "NoAgent", "{id}, {}", why());
        } else if ready {
            assert_eq!(states[id], task.end(), "{id}, {}", why());
        } else {
            assert!(matches!(states[id], TaskState::Blocked | TaskState::Pending), "{id}, {}", why());
            assert!(lab.fake.runs_of(id).is_empty(), "{id}, {}", why());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_projects_end_the_same_wherever_their_controllers_are_killed() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TANUKI_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("TANUKI_SEEDS").unwrap_or(24),
    };
    for seed in seeds {
        Box::pin(ends(seed)).await;
    }
}
