//! `service connect`: typed on a terminal, and fed by a program.

use tanuki_integration::engines::Engine;
use tanuki_integration::project::{POSTGRES, Project};
use tanuki_integration::terminal::Terminal;

on_every_engine!(connect_works_on_a_terminal, connect_works_in_a_pipe);

async fn connect_works_on_a_terminal(engine: Engine) {
    let project = Project::new(engine, POSTGRES).await;
    let _started = project.start().await;
    let terminal = Terminal::new(&project).await;
    terminal.line(&format!("{} service connect postgres", project.binary().display())).await;
    let _prompt = terminal.until("psql's prompt", |screen| screen.contains("tanuki_dev=#")).await;

    terminal.line("select 6 * 7 as answer;").await;
    let _answer =
        terminal.until("the answer", |screen| screen.contains("42") && screen.contains("(1 row)")).await;

    terminal.line(r"\! stty size").await;
    let _size = terminal.until("the size", |screen| screen.lines().any(|line| line.trim() == "30 100")).await;
    terminal.resize(120, 40).await;
    // It takes a moment to get there; asked again until it has.
    let mut sizes = 0;
    loop {
        terminal.line(r"\! stty size; echo asked").await;
        sizes += 1;
        let asked = |screen: &str| screen.lines().filter(|line| line.trim() == "asked").count() >= sizes;
        let screen = terminal.until("a size", asked).await;
        if screen.lines().any(|line| line.trim() == "40 120") {
            break;
        }
        assert!(sizes < 8, "the new size did not arrive:\n{screen}");
    }

    terminal.line(r"\! printf '\033[31mscarlet\033[0m\n'").await;
    let _text = terminal.until("colour", |screen| screen.lines().any(|line| line.trim() == "scarlet")).await;
    let coloured = terminal.screen(true).await;
    assert!(coloured.contains("\x1b[31mscarlet"), "{coloured}");

    terminal.line("select pg_sleep(600);").await;
    // Before the server has it, Ctrl-C would only drop the line.
    let running =
        "select count(*) from pg_stat_activity where query like 'select pg_sleep(600)%' and state = 'active'";
    while project.sql(running).await != "1" {}
    terminal.key("C-c").await;
    let _cancelled =
        terminal.until("the cancelled query", |screen| screen.contains("canceling statement")).await;
    terminal.line("select 'still' || 'here';").await;
    let _still = terminal.until("psql after Ctrl-C", |screen| screen.contains("stillhere")).await;

    terminal.key("C-d").await;
    let back = |screen: &str| screen.trim_end().lines().last().is_some_and(|line| line.trim() == "ready$");
    let _back = terminal.until("the shell's prompt", back).await;
    terminal.line("echo code=$?, $(stty size), $(stty -a | grep -ow -e '-echo' -e '-icanon')").await;
    let _sane = terminal.until("the end", |screen| screen.contains("code=0, 40 120,")).await;
    let screen = terminal.screen(false).await;
    assert!(
        !screen.contains(", -icanon") && !screen.contains(", -echo"),
        "the terminal is restored:\n{screen}"
    );
}

async fn connect_works_in_a_pipe(engine: Engine) {
    let config = format!(
        "{POSTGRES}  web:\n    image: tanuki-test/plain:1\n    pull_policy: never\n    port: 8080\n    command: [sleep, '1000']\n    \
         stop_grace_period: 0s\n    healthcheck: {{ command: ['true'] }}\n"
    );
    let project = Project::new(engine, &config).await;
    let refused = project.tanuki(&["service", "connect", "postgres"]).await.code(1);
    let _told = refused.says("not running").says("tanuki service start postgres");
    let _started = project.start().await;

    let script =
        "create table t (n int);\ninsert into t select generate_series(1, 1000);\nselect sum(n) from t;\n";
    let answered = project.tanuki_with(&["service", "connect", "postgres", "--", "-qAt"], script).await.ok();
    assert_eq!(answered.stdout.trim(), "500500");

    // The client's own exit codes.
    let connect = |args: &[&'static str], input: &'static str| {
        let args = [&["service", "connect", "postgres", "--"], args].concat();
        project.tanuki_with(&args, input)
    };
    let _failed = connect(&["-c", "select nonsense"], "").await.code(1).says("nonsense");
    let _failed = connect(&["-v", "ON_ERROR_STOP=1"], "select nonsense;\n").await.code(3);
    let _failed = project.tanuki(&["service", "connect", "web", "--", "-c", "exit 42"]).await.code(42);

    // More than any buffer on the way holds, in both directions.
    let lines = "0123456789abcdef\n".repeat(40_000);
    let counted = project.tanuki_with(&["service", "connect", "web", "--", "-c", "wc -c"], &lines).await.ok();
    assert_eq!(counted.stdout.trim(), lines.len().to_string());
    let echoed = project.tanuki_with(&["service", "connect", "web", "--", "-c", "cat"], &lines).await.ok();
    assert!(echoed.stdout == lines, "{} bytes came back of {}", echoed.stdout.len(), lines.len());
    let parted =
        project.tanuki(&["service", "connect", "web", "--", "-c", "echo out; echo err >&2; exit 1"]).await;
    assert_eq!((parted.code, parted.stdout.trim(), parted.stderr.trim()), (1, "out", "err"), "{parted}");
}
