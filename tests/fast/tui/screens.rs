//! Whole screens, as people see them.

use insta::assert_snapshot;
use ratatui::style::Color;
use tanuki::controller::HandleError;
use tanuki::model::{Accepted, AgentState, OutputKind, Rejected, TaskState};
use tanuki::tui::{Aside, Effect, Event};

use super::scene::{Scene, agent, busy, condition, empty, failing, line, task, work};
use std::sync::Arc;

/// A busy project with its output on the screen.
fn at_work(size: (u16, u16)) -> Scene {
    let mut scene = Scene::new(busy(), size);
    scene.output(work());
    scene
}

/// A good answer with this text.
fn ok(text: String) -> Box<Result<Accepted, HandleError>> {
    Box::new(Ok(Accepted { text, ..Accepted::default() }))
}

#[test]
fn every_pane_has_a_tiny_screen_to_itself() {
    let mut scene = at_work((48, 12));
    scene.press("3");
    assert_snapshot!("tiny_logs", scene.screen());
    scene.press("2j");
    assert_snapshot!("tiny_tasks", scene.screen());
}

#[test]
fn what_may_not_be_so_any_more_is_marked_and_comes_back() {
    let mut scene = at_work((80, 24));
    let whole = scene.screen();
    scene.feed(Event::Down("it ended; looking for another one".into()));
    scene.press("r");
    scene.press("hello<enter>");
    assert_snapshot!("stale_controller", scene.screen());
    scene.press("<esc><esc>");
    scene.feed(Event::Up);
    scene.press("<esc>");
    assert_eq!(scene.screen(), whole);
    scene.snapshot.conditions = vec![condition("EngineAvailable", "cannot reach docker: connection refused")];
    scene.feed(Event::Changed);
    assert!(scene.screen().contains("STALE: no engine: cannot reach docker"), "{}", scene.screen());
}

#[test]
fn filters_narrow_lists_down_and_searches_are_counted() {
    let mut scene = at_work((120, 40));
    scene.press("3/api<enter>n2f/dash<enter>");
    assert_snapshot!("filtered", scene.screen());
    scene.press("3/nowhere<esc>");
    assert!(scene.screen().contains("/api 4"), "{}", scene.screen());
    scene.press("1/nobody");
    assert!(scene.screen().contains("no agent passes the filter"));
}

#[test]
fn nothing_is_removed_unasked_and_unmerged_work_asks_for_force() {
    let mut scene = at_work((80, 24));
    scene.press("x");
    assert_snapshot!("remove", scene.screen());
    scene.press("y<enter>");
    assert!(!scene.effects.iter().any(|effect| matches!(effect, Effect::Ask { .. })));
    scene.press("f");
    assert_eq!(scene.asked().1, "AgentRemove { names: [\"backend-agent\"], force: true }");
    let mut scene = at_work((80, 24));
    scene.press("jxy");
    let (ticket, asked) = scene.asked();
    assert_eq!(asked, "AgentRemove { names: [\"frontend-agent\"], force: false }");
    let message = "frontend-agent has work that is not merged".to_owned();
    let answer = Box::new(Err(HandleError::Rejected(Rejected::NotPossible { message })));
    scene.feed(Event::Answered { ticket, answer });
    assert_snapshot!("remove_by_force", scene.screen());
}

#[test]
fn a_run_begins_with_a_prompt() {
    let mut scene = at_work((80, 24));
    scene.press("r");
    assert_snapshot!("prompt_empty", scene.screen());
    scene.press("Add a health endpoint to the API, with a test that proves that it answers 200<ctrl-j>and a line in the README");
    scene.press("<ctrl-r>");
    assert_snapshot!("prompt", scene.screen());
    scene.press("<enter>");
    let (ticket, asked) = scene.asked();
    assert!(asked.contains("answers 200\\nand a line") && asked.contains("resume: true"), "{asked}");
    assert!(scene.screen().contains("starting a run of backend-agent…"));
    let text = "run backend-agent-4 begins".to_owned();
    scene.feed(Event::Answered { ticket, answer: ok(text) });
    assert!(scene.screen().contains("10:10:00 run backend-agent-4 begins"));
}

#[test]
fn a_merge_is_forecast_agreed_to_and_told() {
    let mut scene = at_work((80, 24));
    scene.press("m");
    let (ticket, _) = scene.asked();
    let text = "Merges without conflicts: 3 commits, 5 files (+120 -33).".to_owned();
    scene.feed(Event::Answered { ticket, answer: ok(text) });
    scene.press("mx");
    assert_snapshot!("merge_ready", scene.screen());
    scene.press("<enter>");
    let (ticket, asked) = scene.asked();
    assert!(asked.contains("method: Squash") && asked.contains("remove: true"), "{asked}");
    let conflicts = Rejected::Conflicts {
        message: "main has moved on, and both changed the same lines".into(),
        files: vec!["src/api/routes.ts".into(), "src/api/users.ts".into()],
    };
    scene.feed(Event::Answered { ticket, answer: Box::new(Err(HandleError::Rejected(conflicts))) });
    assert_snapshot!("merge_conflicts", scene.screen());
}

#[test]
fn a_diff_is_read_file_by_file() {
    let mut scene = at_work((80, 24));
    scene.press("d");
    let (ticket, _) = scene.asked();
    let body: String = (0..30).map(|number| format!("+line {number}\n")).collect();
    let text = format!(
        "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,31 @@ fn main()\n-old\n{body} kept\n\
         diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-# A\n+# B\t\x1b[31mred\n"
    );
    scene.feed(Event::Answered { ticket, answer: ok(text) });
    assert_snapshot!("diff", scene.screen());
    assert!(scene.screen().contains("Diff of backend-agent · 1/2 src/a.rs +30 -1"), "{}", scene.screen());
    scene.press("]");
    let screen = scene.screen();
    assert!(screen.contains("2/2 README.md +1 -1") && screen.contains("+# B    red"), "{screen}");
    for keys in ["G", "[]", "]"] {
        scene.press(keys);
        assert_eq!(scene.screen(), screen, "{keys}");
    }
}

#[test]
fn tasks_are_assigned_retried_and_approved() {
    let mut scene = at_work((80, 24));
    scene.press("2jjA");
    scene.press("jj");
    assert_snapshot!("assign", scene.screen());
    scene.press("<enter>");
    assert_eq!(scene.asked().1, "TaskAssign { task: \"TASK-003\", agent: Some(\"frontend-agent\") }");
    scene.press("R");
    assert_eq!(scene.asked().1, "TaskRetry { task: \"TASK-003\" }");
    scene.press("p");
    assert_eq!(scene.asked().1, "TaskApprove { task: \"TASK-003\" }");
}

#[test]
fn services_are_asked_about_before_agents_lose_them() {
    let mut scene = at_work((80, 24));
    scene.press("4js");
    assert_snapshot!("service_stop", scene.screen());
    scene.press("y");
    assert_eq!(scene.asked().1, "ServiceStop { names: [\"redis\"] }");
    scene.press("c");
    let aside = Effect::Aside(Aside::Connect { service: "redis".into() });
    assert_eq!(scene.effects.last(), Some(&aside));
}

#[test]
fn output_is_held_moved_through_and_unwrapped() {
    let mut scene = at_work((80, 24));
    scene.press("3 ");
    scene.output(vec![line(1, OutputKind::Text, "this comes while it is held")]);
    assert_snapshot!("logs_held", scene.screen());
    scene.press(" ftw");
    scene.press("ggl");
    assert_snapshot!("logs_unwrapped", scene.screen());
    scene.press("<ctrl-s>");
    let Some(Effect::Save { name, text }) = scene.effects.last() else { panic!() };
    assert_eq!((name.as_str(), text.lines().count()), ("backend-agent", 9));
    scene.press("c");
    assert!(scene.screen().contains("no output yet"));
}

#[test]
fn hostile_and_wide_text_stays_in_its_place() {
    let mut snapshot = empty();
    for (name, title) in [
        ("T-1", "日本語のタスク名はとても長いので切り取られます、そうですよね"),
        ("T-2", "family 👩‍👩‍👧‍👦 and flag 🇯🇵 and e\u{301}\u{302}\u{303}"),
        ("T-3", "\x1b]52;c;aGFja2Vk\x07\x1b[2Jcleared\nsecond line\ttab"),
        ("T-4", "right \u{202e}to left\u{2066} and zero\u{200b}width"),
    ] {
        snapshot.tasks.insert(name.into(), Arc::new(task(name, title, TaskState::Pending, "役割", None)));
    }
    snapshot.agents.insert("a-1".into(), agent("a-1", AgentState::Idle, None));
    let mut scene = Scene::new(snapshot, (80, 24));
    scene.output(vec![
        line(3, OutputKind::Text, "10%\r50%\rdone\r"),
        line(2, OutputKind::Text, "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 \u{202e}evil"),
        line(1, OutputKind::Text, &"長い".repeat(60)),
    ]);
    assert_snapshot!("hostile", scene.screen());
}

#[test]
fn colours_are_the_terminals_own_and_go_without_being_missed() {
    for snapshot in [busy(), failing()] {
        let mut plain = Scene::themed(snapshot.clone(), (120, 40), false);
        let mut coloured = Scene::new(snapshot, (120, 40));
        for scene in [&mut plain, &mut coloured] {
            scene.output(work());
            scene.press("3/api<enter>1x");
        }
        let colours = |scene: &Scene| {
            let terminal = scene.terminal();
            let cells = terminal.backend().buffer().content().iter();
            cells.map(|cell| (cell.fg, cell.bg)).collect::<Vec<_>>()
        };
        assert!(colours(&plain).iter().all(|colours| *colours == (Color::Reset, Color::Reset)));
        let used = colours(&coloured);
        assert!(used.iter().all(|(_, background)| *background == Color::Reset));
        assert!(used.iter().any(|(colour, _)| *colour == Color::Green));
        assert_eq!(plain.screen(), coloured.screen());
    }
}
