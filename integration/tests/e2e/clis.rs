//! Real agent CLIs, against the stand-in for the models: their work, and every way in which they fail.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use futures_util::{StreamExt as _, stream};
use tanuki_integration::agents::model_service;
use tanuki_integration::command::Outcome;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;

// What is said of one engine holds on the other: the third program takes its time to start.
on_every_engine!(@ gemini_docker Docker gemini_works gemini_fails);
where_agents_run!(
    codex_works,
    codex_fails,
    claude_works,
    claude_fails,
    a_sign_in_is_copied_and_goes_with_its_agent
);

/// How an agent CLI is told where its model is: the address, and something that looks like a key.
struct Cli {
    name: &'static str,
    address: &'static str,
    key: &'static str,
    /// After the service's host and port.
    path: &'static str,
}

const CODEX: Cli = Cli { name: "codex", address: "OPENAI_BASE_URL", key: "CODEX_API_KEY", path: "/v1" };
const CLAUDE: Cli = Cli { name: "claude", address: "ANTHROPIC_BASE_URL", key: "ANTHROPIC_API_KEY", path: "" };

const GEMINI: Cli =
    Cli { name: "gemini", address: "GOOGLE_GEMINI_BASE_URL", key: "GEMINI_API_KEY", path: "" };

/// What is not a key, but must be nowhere either.
const SECRET: &str = "sk-not-a-key-but-secret";

async fn project(engine: Engine, cli: &Cli) -> Project {
    // Ten tries of claude take three minutes.
    let adapters = "  claude: { env: [ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, CLAUDE_CODE_MAX_RETRIES] }\n";
    let services = "services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
";
    let limits = "limits: { agents: 16, working: 16, free_memory: 0 }\n";
    let roles = "roles: { denied: { allowed_tools: [Read, 'Bash(git:*)'] } }\n";
    let config = format!("{adapters}{services}{}{limits}{roles}", model_service());
    let mut project = Project::with_agents(engine, &config, &[("a.txt", "a\n")]).await;
    let env = &mut project.env;
    env.insert(cli.address.to_owned(), format!("http://model:8080{}", cli.path));
    env.insert(cli.key.to_owned(), SECRET.to_owned());
    env.insert("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".to_owned());
    let _started = project.start().await;
    project
}

async fn spawn(project: &Project, cli: &Cli, name: &str) {
    let role: &[&str] = if name == "denied" { &["--role", "denied"] } else { &[] };
    let args = ["spawn", name, "--agent", cli.name];
    let _made = project.tanuki(&args.iter().chain(role).copied().collect::<Vec<_>>()).await.ok();
    project.until_named(name, "model").await;
}

async fn works(engine: Engine, cli: &Cli) {
    let project = project(engine, cli).await;
    spawn(&project, cli, "api").await;
    let prompt = "Write a file.
        STUB: write made.txt by the model
        STUB: run git add made.txt && git commit -qm 'Made by the model' && psql -Atc 'select 6 * 7'
        STUB: write left.txt not committed
        STUB: say All is done.";
    let ran = project.tanuki(&["run", "api", prompt]).await.ok();
    let _told = ran.says("All is done.").says("42").never_says("\"type\":");
    assert_eq!(project.git_says(&["show", "tanuki/api:made.txt"]).await, "by the model");
    assert_eq!(project.git_says(&["show", "tanuki/api:left.txt"]).await, "not committed");
    let agent = project.agent("api").await;
    assert_eq!(agent["state"], "idle", "{agent:#}");
    let run = &project.runs().await[0];
    assert_eq!(run["state"], "succeeded", "{run:#}");
    assert_eq!(run["usage"]["output_tokens"], 40, "{run:#}");
    assert!(run["session"].is_string(), "{run:#}");

    // It is told which variables there are, and what is in none of them.
    let asked = project.in_container("model", "curl -s localhost:8080/requests", &[]).await;
    let asked = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert!(asked.contains("POSTGRES_DSN") && !asked.contains("postgres://tanuki"), "{asked}");
    // The session goes on.
    let again = project.tanuki(&["run", "api", "--resume", "STUB: say Again."]).await.ok();
    let _told = again.says("Again.");
    let runs = project.runs().await;
    assert_eq!(runs[1]["usage"]["output_tokens"], 10, "usage is the run's alone: {:#}", runs[1]);

    // The key is where it has to be, and nowhere else.
    for file in ["controller.log", "tanuki.db", "tanuki.db-wal"] {
        let bytes = std::fs::read(project.root.join(".tanuki/state").join(file)).unwrap_or_default();
        assert!(
            !bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()),
            "the key is in {file}"
        );
    }
    let container = project.agent("api").await["container"].as_str().unwrap().to_owned();
    let _shown = project.engine_cli(&["inspect", &container]).await.ok().never_says(SECRET);
}

/// Every failure at once, each by an agent of its own.
async fn fails(engine: Engine, cli: &Cli, other: &[(&str, &[&str], &str)]) {
    let project = project(engine, cli).await;
    let process = if cli.name == "gemini" { "node" } else { cli.name };
    // Claude refuses to kill by name, and gemini to put one command into another.
    let (killed, orphan) = if cli.name == "gemini" {
        (
            "pkill -9 -x node".to_owned(),
            "xargs kill -9 </tanuki/runs/orphan-1/1/pid; pkill -9 -x node".to_owned(),
        )
    } else {
        let found = format!("$(pgrep -x {process})");
        (format!("kill -9 {found}"), format!("kill -9 $(cat /tanuki/runs/orphan-1/1/pid) {found}"))
    };
    let (killed, orphan) = (format!("STUB: run {killed}"), format!("STUB: run {orphan}"));
    let turns = "STUB: run true\n".repeat(4);
    let mut cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("auth", vec!["STUB: status 401"], "auth"),
        ("rate", vec!["STUB: status 429"], "rate_limit"),
        ("server", vec!["STUB: status 500"], "overloaded"),
        ("hung", vec!["--timeout", "5s", "STUB: hang"], "timeout"),
        ("killed", vec![&killed], "killed"),
        // Together with what waits for it.
        ("orphan", vec![&orphan], "killed"),
        ("turns", vec!["--max-turns", "2", &turns], "turn_limit"),
        ("long", vec!["STUB: say-bytes 10000000"], "no_result"),
    ];
    cases.extend(other.iter().map(|(name, args, failure)| (*name, args.to_vec(), *failure)));
    let names: Vec<&str> = cases.iter().map(|(name, ..)| *name).chain(["refused"]).collect();
    futures_util::future::join_all(names.iter().map(|name| spawn(&project, cli, name))).await;
    let mut refused = project.command(&["run", "refused", "STUB: say no"]);
    refused.env(cli.address, format!("http://model:1{}", cli.path));
    let patience = std::time::Duration::from_secs(150);
    let refused = tanuki_integration::command::run(refused, None, patience);
    let runs = cases.iter().map(|(name, args, _)| {
        let args: Vec<&str> = ["run", name].into_iter().chain(args.iter().copied()).collect();
        project.tanuki(&args)
    });
    // Each of them is a program of some size.
    let runs = stream::iter(runs.collect::<Vec<_>>()).buffered(3).collect::<Vec<Outcome>>();
    let (ended, refused) = tokio::join!(runs, refused);
    let failures: BTreeMap<String, String> = project
        .runs()
        .await
        .iter()
        .map(|run| {
            let word = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
            (word("agent"), format!("{} {}", word("state"), word("failure")))
        })
        .collect();
    for ((name, _, failure), ended) in cases.iter().zip(&ended) {
        assert_eq!(ended.code, if *failure == "timeout" { 4 } else { 1 }, "{name}: {ended}");
        assert_eq!(failures[*name], format!("failed {failure}"), "{name}: {failures:?}: {ended}");
    }
    assert_eq!((refused.code, failures["refused"].as_str()), (1, "failed unreachable"), "{refused}");
    // Nothing of them goes on.
    let left = project.inside("killed", &format!("pgrep -x {process}; true")).await.ok();
    assert_eq!(left.stdout, "");
    assert!(project.agent("turns").await["state"] == "idle");
}

async fn codex_works(engine: Engine) {
    works(engine, &CODEX).await;
}

async fn codex_fails(engine: Engine) {
    // What is not text breaks its connection.
    fails(engine, &CODEX, &[("garbled", &["STUB: garble end"], "unreachable")]).await;
}

async fn claude_works(engine: Engine) {
    works(engine, &CLAUDE).await;
}

async fn claude_fails(engine: Engine) {
    let denied: (&str, &[&str], &str) = ("denied", &["STUB: run touch made"], "denied");
    fails(engine, &CLAUDE, &[denied]).await;
}

async fn gemini_works(engine: Engine) {
    works(engine, &GEMINI).await;
}

async fn gemini_fails(engine: Engine) {
    fails(engine, &GEMINI, &[("denied", &["STUB: run touch made"], "denied")]).await;
}

async fn a_sign_in_is_copied_and_goes_with_its_agent(engine: Engine) {
    let mut project = project(engine, &CODEX).await;
    project.env.remove(CODEX.key);
    let sign_in = format!("{{\"OPENAI_API_KEY\":\"{SECRET}\"}}");
    let user = project.base().join("home/.codex");
    project.make_private(&user);
    let user = user.join("auth.json");
    std::fs::write(&user, &sign_in).unwrap();
    tanuki_integration::project::give(&user, project.owner).unwrap();
    spawn(&project, &CODEX, "api").await;
    let _made = project.spawn("other").await;
    let _told = project.tanuki(&["run", "api", "STUB: say It is me."]).await.ok().says("It is me.");

    // It is the agent's own: what becomes of it does not matter to the user's, and no other agent has one.
    let inside = "cat /tanuki/home/.codex/auth.json && echo spoiled >/tanuki/home/.codex/auth.json";
    assert_eq!(project.inside("api", inside).await.ok().stdout, sign_in);
    assert_eq!(std::fs::read_to_string(&user).unwrap(), sign_in);
    let searched = project.inside("other", &format!("grep -rsl {SECRET} / --include=auth.json; true")).await;
    assert_eq!(searched.ok().stdout, "");
    let own = project.root.join(".tanuki/state/agents/api");
    let copy = own.join("home/.codex/auth.json");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    // A tool that the CLI cannot be kept from is refused, not forgotten.
    let denied = project.tanuki(&["run", "api", "--deny", "Bash", "STUB: run touch made"]).await;
    let _told = denied.code(2).says("cannot be held to allowed or denied tools");
    let _gone = project.tanuki(&["remove", "api", "--force", "--yes"]).await.ok();
    assert!(!own.exists());
}
