//! What people do in the middle of a project, and what they get wrong in files: it adapts, and says so.

use std::fs;
use std::os::unix::fs::symlink;

use tanuki::model::{ProjectPhase, TaskState};

use super::project::{Lab, told};

/// What happened, oldest first.
fn events(lab: &Lab) -> Vec<String> {
    let line =
        |event: &tanuki::model::EventRecord| format!("{} {} {}", event.object, event.reason, event.message);
    lab.snapshot().events.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn people_change_files_in_the_middle() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.verified("b", &["a"], "", &[]);
    lab.verified("e", &[], "", &[]);
    lab.verified("f", &[], "priority: low\n", &[]);
    lab.verified("g", &["a"], "", &[]);
    lab.start(false).await;
    lab.until_state("a", TaskState::InProgress).await;
    lab.until_state("e", TaskState::InProgress).await;
    // One is done by hand, one is taken away, one is added and given to somebody.
    let text = fs::read_to_string(lab.file("a")).unwrap().replace("status: in_progress", "status: complete");
    fs::write(lab.file("a"), text).unwrap();
    let text = fs::read_to_string(lab.file("b")).unwrap().replace("Do b.", "Do b well.");
    fs::write(lab.file("b"), text.replace("depends_on: [a]", "depends_on: [a, f]")).unwrap();
    fs::remove_file(lab.file("e")).unwrap();
    fs::remove_file(lab.file("g")).unwrap();
    lab.task("c", &[], "assigned_to: ann\ncompletion: { verify: c }\n", &[]);
    lab.fake.lock().depends.remove("b");
    lab.look_again();
    lab.until_phase(ProjectPhase::Finished).await;
    assert!(lab.states().values().all(|state| *state == TaskState::Complete), "{}", told(&lab.snapshot()));
    assert_eq!(lab.snapshot().tasks["c"].assigned_to.as_deref(), Some("ann"));
    assert_eq!(lab.fake.runs_of("a").len(), 1);
    assert!(
        !lab.snapshot().tasks.contains_key("e")
            && lab.fake.runs_of("e").iter().all(|run| run.state.is_over())
    );
    assert!(fs::read_to_string(lab.file("b")).unwrap().contains("status: complete # mine"));
    assert!(fs::read_to_string(lab.file("b")).unwrap().contains("Do b well."));
    // It says so.
    let told = events(&lab);
    for line in [
        "task/a Edited its file now says complete",
        "task/b Edited its file has another depends_on, prompt",
        "task/c Added its file is new: tasks/c.md",
        "task/e Deleted its file is gone: its run is ended; what was done stays on the branch",
        "task/g Deleted its file is gone: nobody works on it any more",
    ] {
        assert!(told.iter().any(|event| event == line), "{line}: {told:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_agent_gives_its_task_to_another_one() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.start(false).await;
    lab.until_state("a", TaskState::InProgress).await;
    lab.fake.lose("agent");
    lab.look_again();
    lab.until_phase(ProjectPhase::Finished).await;
    assert_eq!(lab.states()["a"], TaskState::Complete);
    assert_eq!(lab.snapshot().tasks["a"].assigned_to.as_deref(), Some("agent-2"));
    assert_eq!(lab.snapshot().tasks["a"].attempts, 0);
}

#[tokio::test(start_paused = true)]
async fn commits_of_a_person_to_the_target_are_told_and_built_on() {
    let mut lab = Lab::new(8, 4);
    lab.verified("a", &[], "", &[]);
    lab.verified("b", &["a"], "", &[]);
    lab.start(true).await;
    lab.until_state("a", TaskState::InProgress).await;
    lab.look_again();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    lab.fake.lock().target.insert("a person's".to_owned());
    lab.look_again();
    lab.until_phase(ProjectPhase::Finished).await;
    let moved: Vec<String> =
        events(&lab).into_iter().filter(|event| event.contains(" TargetMoved ")).collect();
    assert_eq!(moved.len(), 1, "{moved:#?}");
    assert!(moved[0].contains("the branch 'main' has commits"), "{moved:#?}");
    let agent = lab.snapshot().tasks["b"].assigned_to.clone().unwrap();
    assert!(lab.fake.branch(&agent).contains("a person's"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_in_files_is_told_with_its_place_and_the_rest_goes_on() {
    let mut lab = Lab::new(8, 4);
    let put = |name: &str, text: &[u8]| fs::write(lab.file(name), text).unwrap();
    let good = |id: &str, end: &str| {
        let lines = ["---", &format!("id: {id}"), "status: pending # mine", "x-own: [1,  2]"];
        let lines =
            [&lines[..], &[&format!("completion: {{ verify: {id} }}"), "---", "Do it.", "---", "All.", ""]];
        lines.concat().join(end)
    };
    let files = [
        ("fence", good("fence", "\n")),
        ("crlf", good("crlf", "\r\n")),
        ("bom", format!("\u{feff}{}", good("bom", "\n"))),
    ];
    for (name, text) in &files {
        put(name, text.as_bytes());
    }
    put("none", b"Do something.\n");
    put("open", b"---\nid: open\nDo something.\n");
    put("yaml", b"---\nid: yaml\ntitle: a: b\n---\n");
    put("no-id", b"---\ntitle: x\n---\n");
    put("twice-1", b"---\nid: twice\n---\n");
    put("twice-2", b"---\n# again\nid: twice\n---\n");
    put("status", b"---\nid: status\nstatus: done\n---\n");
    put("role", b"---\nid: role\nrole: poet\n---\n");
    put("itself", b"---\nid: itself\n\ndepends_on: [itself]\n---\n");
    put("lost", b"---\nid: lost\ndepends_on: [nothing, yaml]\n---\n");
    put("after", b"---\nid: after\ndepends_on: [itself]\n---\n");
    put("latin", b"---\nid: latin\n---\ncaf\xe9\n");
    put("big", format!("---\nid: big\n---\n{}", "x".repeat(10 << 20)).as_bytes());
    fs::create_dir(lab.file("directory")).unwrap();
    // A file that not even the superuser can read.
    symlink("/proc/self/mem", lab.file("unreadable")).unwrap();
    lab.start(false).await;
    lab.until_phase(ProjectPhase::Finished).await;
    for (name, text) in &files {
        let agent = lab.snapshot().tasks[*name].assigned_to.clone().unwrap();
        let end = if *name == "crlf" { "\r\n" } else { "\n" };
        let done = text.replace("status: pending", "status: complete");
        let done = done.replace(&format!("}}{end}---"), &format!("}}{end}assigned_to: {agent}{end}---"));
        assert_eq!(fs::read_to_string(lab.file(name)).unwrap(), done, "{name}");
    }
    let snapshot = lab.snapshot();
    let place = |problem: &tanuki::model::FileProblem| match problem.line {
        Some(line) => format!("{}:{line}: {}; {}", problem.file, problem.message, problem.help),
        None => format!("{}: {}; {}", problem.file, problem.message, problem.help),
    };
    let problems: Vec<String> = snapshot.work.problems.iter().map(place).collect();
    insta::assert_snapshot!(problems.join("\n"));
    for (id, task) in snapshot.tasks.iter().filter(|(id, _)| !files.iter().any(|(good, _)| good == id)) {
        assert_eq!(task.state, TaskState::Blocked, "{id}: {}", told(&snapshot));
        assert!(!task.message.is_empty(), "{id}");
    }
}
