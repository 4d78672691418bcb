//! Every state that matters, as people see it at every size.

use insta::assert_snapshot;
use tanuki::controller::HandleError;
use tanuki::model::{Accepted, Rejected};
use tanuki::tui::Event;

use super::scene::{Scene, busy, empty, failing, work};

const SIZES: [(u16, u16); 6] = [(200, 60), (120, 40), (80, 24), (48, 12), (10, 3), (1, 1)];

const DIFF: &str = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,3 @@ fn main()\n-old\n\
                    +new, and rather long so that it does not fit on a small screen\n+日本語\n kept\n";

/// One snapshot of a state at all sizes.
fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> Scene) {
    let mut screens = String::new();
    for (width, height) in SIZES {
        screens.push_str(&format!("=== {width}x{height}\n{}", scene((width, height)).screen()));
    }
    assert_snapshot!(name, screens);
}

/// A busy project with its output on the screen, after these keys.
fn pressed(keys: &'static str) -> impl Fn((u16, u16)) -> Scene {
    move |size| {
        let mut scene = Scene::new(busy(), size);
        scene.output(work());
        scene.press(keys);
        scene
    }
}

/// The same after the newest request was answered.
fn answered(
    keys: &'static str,
    answer: impl Fn() -> Result<Accepted, HandleError>,
) -> impl Fn((u16, u16)) -> Scene {
    move |size| {
        let mut scene = pressed(keys)(size);
        let (ticket, _) = scene.asked();
        scene.feed(Event::Answered { ticket, answer: Box::new(answer()) });
        scene
    }
}

fn told(text: &str) -> Result<Accepted, HandleError> {
    Ok(Accepted { text: text.to_owned(), ..Accepted::default() })
}

#[test]
fn panes() {
    at_every_size("empty", |size| Scene::new(empty(), size));
    at_every_size("busy", pressed(""));
    at_every_size("failing", |size| Scene::new(failing(), size));
    at_every_size("stale", |size| {
        let mut scene = pressed("")(size);
        scene.feed(Event::Down("it ended; looking for another one".into()));
        scene
    });
    at_every_size("filtered", pressed("3/api<enter>n2/TASK-00<enter>f1/backend<enter>2"));
    at_every_size("typing", pressed("1/front"));
    at_every_size("zoomed", pressed("3z"));
}

#[test]
fn popups_that_are_read() {
    at_every_size("help", pressed("?"));
    at_every_size("history", pressed("H"));
    at_every_size("agent_details", pressed("<enter>"));
    at_every_size("task_details", pressed("2j<enter>"));
    at_every_size("service_details", |size| {
        let mut scene = Scene::new(failing(), size);
        scene.press("4<enter>");
        scene
    });
    at_every_size("diff", answered("d", || told(DIFF)));
}

#[test]
fn popups_that_ask() {
    at_every_size("palette", pressed(":stop"));
    at_every_size("assign", pressed("2jjAj"));
    at_every_size("confirm", pressed("s"));
    at_every_size("confirm_by_force", pressed("x"));
    at_every_size("prompt", pressed("rAdd a health endpoint to the API, and a test<ctrl-j>that proves it"));
    at_every_size("merge_forecast", pressed("m"));
    at_every_size("merge_ready", answered("m", || told("Merges without conflicts: 3 commits, 5 files.")));
    at_every_size("merge_conflicts", {
        let conflicts = || Rejected::Conflicts {
            message: "main has moved on, and both changed the same lines".into(),
            files: vec!["src/api/routes.ts".into(), "src/api/users.ts".into()],
        };
        answered("m", move || Err(HandleError::Rejected(conflicts())))
    });
}
