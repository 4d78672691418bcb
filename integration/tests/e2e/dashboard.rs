//! The dashboard on a terminal: what happens elsewhere shows, keys do what they say, and the terminal is given back.

use std::time::Duration;

use serde_json::Value;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project, binary};
use tanuki_integration::terminal::Terminal;

/// How long a database may take to come up on a busy machine.
const LONG: Duration = Duration::from_secs(60);

on_every_engine!(services_are_watched_and_kept_from_the_dashboard);

/// The line of the screen that a service has in its list.
fn row<'a>(screen: &'a str, name: &str) -> &'a str {
    let listed = |line: &&str| line.trim_start_matches(['>', ' ']).split(' ').nth(1) == Some(name);
    screen.lines().find(listed).unwrap_or_default()
}

async fn services_are_watched_and_kept_from_the_dashboard(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let terminal = Terminal::new(project.base(), &project.root, &project.env).await;
    terminal.line("stty -a | md5sum > before").await;
    terminal.line(&format!("{} dashboard", binary().display())).await;
    let _drawn = terminal.until("the dashboard", |screen| row(screen, "postgres").contains("stopped")).await;

    // Started here, seen healthy here.
    for key in ["4", "S"] {
        terminal.key(key).await;
    }
    // A first start takes longer than anything else here.
    let healthy = |status: &Value| status["health"] == "healthy";
    let before = project.until("postgres", "healthy", LONG, healthy).await;
    let _healthy =
        terminal.until("a healthy service", |screen| row(screen, "postgres").contains("healthy")).await;
    let _output = terminal.until("its output", |screen| screen.contains("ready to accept connections")).await;

    // Killed elsewhere: it fails, and comes back.
    project.kill_main_process("postgres").await;
    let _failed =
        terminal.until("the failure", |screen| !row(screen, "postgres").contains("● postgres")).await;
    let _again = project.until_restarted("postgres", &before, LONG).await;
    let is_back = |screen: &str| {
        let row = row(screen, "postgres");
        row.contains("healthy") && row.contains("1 restart")
    };
    let _back = terminal.until("the recovery", is_back).await;

    // Any size will do.
    for (columns, rows) in [(48, 12), (10, 3), (1, 1), (200, 60), (100, 30)] {
        terminal.resize(columns, rows).await;
    }
    let _whole = terminal.until("the whole screen again", |screen| screen.contains("Agents [0]")).await;

    // The whole terminal for psql, and back.
    terminal.key("c").await;
    let _prompt = terminal.until("psql's prompt", |screen| screen.contains("tanuki_dev=#")).await;
    terminal.line("select 6 * 7 as answer;").await;
    let _answer = terminal.until("the answer", |screen| screen.contains("(1 row)")).await;
    terminal.key("C-d").await;
    let _back = terminal.until("the dashboard again", |screen| screen.contains("back from postgres")).await;

    // The shell and back.
    terminal.key("C-z").await;
    let _shell = terminal.until("the shell", |screen| screen.contains("Stopped")).await;
    terminal.line("fg").await;
    let _back =
        terminal.until("the dashboard from the shell", |screen| screen.contains("Services [1]")).await;

    // Without a controller it says so, and finds another one.
    assert!(project.kill_controller(), "a controller runs");
    let _stale = terminal.until("that it is stale", |screen| screen.contains("STALE: no controller")).await;
    let back = |screen: &str| screen.contains("the controller is back") && !screen.contains("STALE");
    let _back = terminal.until("another controller", back).await;

    // What takes something away asks.
    for key in ["s", "n", "s", "y"] {
        terminal.key(key).await;
    }
    let _stopped = terminal.until("the stop", |screen| row(screen, "postgres").contains("stopped")).await;

    terminal.key("q").await;
    let back = |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.trim() == "ready$");
    let _back = terminal.until("the shell's prompt", back).await;
    terminal.line("stty -a | md5sum | cmp - before && echo as it was").await;
    let _as_it_was = terminal
        .until("the terminal as it was", |screen| screen.lines().any(|line| line == "as it was"))
        .await;
}
