//! `attach`: on a terminal, and where there is none.

use rustix::process::Signal;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::{Project, kill};
use tanuki_integration::terminal::Terminal;

where_agents_run!(
    attach_works_on_a_terminal,
    an_attached_terminal_is_restored,
    attach_works_without_a_terminal
);

async fn project(engine: Engine) -> Project {
    let lines: String = (1..=300).map(|n| format!("line {n} of many\n")).collect();
    let project = Project::with_agents(engine, "", &[("long.txt", &lines)]).await;
    let _made = project.spawn("api").await;
    project
}

/// Whether the shell of the host has the last word on the screen.
fn is_back(screen: &str) -> bool {
    screen.trim_end().lines().last().is_some_and(|line| line.trim().ends_with("ready$"))
}

/// That keys are seen, and lines edited, as before.
async fn is_sane(terminal: &Terminal, size: &str) {
    terminal.line("echo sane: $(stty size), $(stty -a | grep -ow -e '-echo' -e '-icanon' -e '-isig')").await;
    let end = format!("sane: {size},");
    let screen = terminal.until("the size", |screen| screen.lines().any(|line| line.starts_with(&end))).await;
    assert!(screen.lines().any(|line| line.trim_end() == end), "the terminal is not restored:\n{screen}");
}

async fn attach_works_on_a_terminal(engine: Engine) {
    let project = project(engine).await;
    let terminal = Terminal::of(&project).await;
    terminal.line(&format!("{} attach api", project.binary().display())).await;
    let _inside = terminal.until("the agent's shell", |screen| screen.contains("/workspace$")).await;
    terminal.line("echo in $TANUKI_AGENT, $(git branch --show-current), $(stty size)").await;
    let _told = terminal.until("where it is", |screen| screen.contains("in api, tanuki/api, 30 100")).await;

    // Programs that have the whole screen, and are told when it changes.
    let has = |text: &'static str| move |screen: &str| screen.lines().any(|line| line.trim() == text);
    terminal.line("less long.txt").await;
    let shown = terminal.until("a page", has("line 29 of many")).await;
    assert!(!shown.contains("line 30 of many") && !shown.contains("/workspace$"), "{shown}");
    terminal.resize(120, 40).await;
    let _more = terminal.until("a larger page", has("line 39 of many")).await;
    terminal.key("G").await;
    let _end = terminal.until("the end", has("line 300 of many")).await;
    terminal.key("q").await;
    let _shell = terminal.until("the shell again", |screen| screen.contains("in api, tanuki/api")).await;
    terminal.line("top -d 0.2").await;
    let _top =
        terminal.until("processes", |screen| screen.contains("PID") && screen.contains("COMMAND")).await;
    terminal.resize(90, 20).await;
    let fits = |screen: &str| screen.contains("PID") && screen.lines().count() <= 20;
    let _fits = terminal.until("fewer processes", fits).await;
    terminal.key("q").await;
    terminal.line("clear; stty size").await;
    let _size = terminal.until("the new size", has("20 90")).await;

    // Ctrl-C is the program's inside.
    terminal.line("sleep 1000").await;
    while project.inside("api", "pgrep -fx 'sleep 1000'").await.code != 0 {}
    terminal.key("C-c").await;
    terminal.line("echo code=$?").await;
    let _ended = terminal.until("its end", has("code=130")).await;

    terminal.line("exit 7").await;
    let _back = terminal.until("the host's shell", is_back).await;
    terminal.line("echo host=$?").await;
    let _code = terminal.until("the exit code", has("host=7")).await;
    is_sane(&terminal, "20 90").await;

    // A program that is not there, which engines number differently, and one that is killed.
    for (command, codes) in
        [("no-such-program", ["code=126", "code=127"]), ("sh -c 'kill -9 $$'", ["code=137"; 2])]
    {
        terminal
            .line(&format!("clear; {} attach api -- {command}; echo code=$?", project.binary().display()))
            .await;
        let is = |screen: &str| screen.lines().any(|line| codes.contains(&line.trim()));
        let _ended = terminal.until(&format!("the end of {command}"), is).await;
        is_sane(&terminal, "20 90").await;
    }
}

async fn an_attached_terminal_is_restored(engine: Engine) {
    let project = project(engine).await;
    let terminal = Terminal::of(&project).await;
    // Asked to end from elsewhere, and when what it is connected to goes.
    for by_signal in [true, false] {
        terminal.line(&format!("clear; {} attach api", project.binary().display())).await;
        let _inside = terminal.until("the agent's shell", |screen| screen.contains("/workspace$")).await;
        terminal.line("less long.txt").await;
        let _page = terminal.until("a page", |screen| screen.contains("line 29 of many")).await;
        if by_signal {
            kill(attached(&project), Signal::TERM);
        } else {
            let _stopped = project.tanuki(&["stop", "api"]).await.ok();
        }
        let _back = terminal.until("the host's shell", is_back).await;
        terminal.line("clear").await;
        is_sane(&terminal, "30 100").await;
    }
    let told = project.tanuki(&["attach", "api", "--", "true"]).await;
    let _told = told.code(1).says("is stopped").says("tanuki start api");
}

/// The process of `attach`.
fn attached(project: &Project) -> u32 {
    let program = project.binary();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut found = processes.filter_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        let is = line.starts_with(program.as_os_str().as_encoded_bytes())
            && line.split(|byte| *byte == 0).nth(1) == Some(b"attach")
            && std::fs::read_link(process.path().join("cwd")).ok()? == project.root;
        is.then_some(pid)
    });
    found.next().expect("nobody is attached")
}

async fn attach_works_without_a_terminal(engine: Engine) {
    let project = project(engine).await;
    let refused = project.tanuki(&["attach", "api"]).await.code(2);
    let _told = refused.says("a shell needs a terminal").says("tanuki attach api -- <command>");
    let _told =
        project.tanuki(&["attach", "api", "--agent"]).await.code(2).says("the agent CLI needs a terminal");
    let _told = project.tanuki(&["attach", "nobody", "--", "true"]).await.code(2).says("nobody");

    let parted = project.inside("api", "echo out; echo err >&2; exit 9").await.code(9);
    assert_eq!((parted.stdout.as_str(), parted.stderr.as_str()), ("out\n", "err\n"));
    let lines = "0123456789abcdef\n".repeat(40_000);
    let echoed = project.tanuki_with(&["attach", "api", "--", "cat"], &lines).await.ok();
    assert!(echoed.stdout == lines, "{} bytes came back of {}", echoed.stdout.len(), lines.len());
}
