//! Real agent CLIs, against the stand-in for the models: their work, and every way in which they fail.

use std::collections::BTreeMap;

use tanuki_integration::agents::model_service;
use tanuki_integration::command::Outcome;
use tanuki_integration::engines::Engine;
use tanuki_integration::project::Project;

where_agents_run!(codex_works, codex_fails, claude_works);
// How it fails is the same everywhere, and takes long.
on_every_engine!(@ failing Docker claude_fails);

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

/// What is not a key, but must be nowhere either.
const SECRET: &str = "sk-not-a-key-but-secret";

/// More turns than it may take; by the agent CLI's own limit, or by Tanuki's.
const TURNS: (&str, &[&str], &str) =
    ("turns", &["--max-turns", "1", "STUB: run true\nSTUB: run true\nSTUB: run true"], "turn_limit");

async fn project(engine: Engine, cli: &Cli) -> Project {
    // Ten tries of claude take three minutes.
    let adapters = "  claude: { env: [ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, CLAUDE_CODE_MAX_RETRIES] }\n";
    let services = "services:
  postgres:
    image: tanuki-test/postgres:15
    pull_policy: never
";
    let roles = "roles: { denied: { allowed_tools: [Read, 'Bash(git:*)'] } }\n";
    let config = format!("{adapters}{services}{}{roles}", model_service());
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

    // A single line of 10 MB is no trouble.
    let long = project.tanuki(&["run", "api", "STUB: say-bytes 10000000"]).await;
    assert!(matches!(long.code, 0 | 1), "it ends with {}", long.code);
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
    let mut cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("auth", vec!["STUB: status 401"], "auth"),
        ("rate", vec!["STUB: status 429"], "rate_limit"),
        ("server", vec!["STUB: status 500"], "overloaded"),
        ("hung", vec!["--timeout", "3s", "STUB: hang"], "timeout"),
        ("killed", vec!["STUB: run kill -9 $(cat /proc/$PPID/status | sed -n 's/^PPid:.//p') $PPID"], ""),
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
    let (ended, refused): (Vec<Outcome>, Outcome) =
        futures_util::future::join(futures_util::future::join_all(runs), refused).await;
    let failures: BTreeMap<String, String> = project
        .runs()
        .await
        .iter()
        .map(|run| {
            let word = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
            (word("agent"), word("failure"))
        })
        .collect();
    for ((name, _, failure), ended) in cases.iter().zip(&ended) {
        assert!(ended.code != 0, "{name} is told as a success: {ended}");
        assert!(failure.is_empty() || failures[*name] == *failure, "{name}: {failures:?}: {ended}");
    }
    assert!(refused.code != 0 && failures["refused"] == "unreachable", "{failures:?}: {refused}");
}

async fn codex_works(engine: Engine) {
    works(engine, &CODEX).await;
}

async fn codex_fails(engine: Engine) {
    fails(engine, &CODEX, &[TURNS]).await;
}

async fn claude_works(engine: Engine) {
    works(engine, &CLAUDE).await;
}

async fn claude_fails(engine: Engine) {
    let denied: (&str, &[&str], &str) = ("denied", &["STUB: run touch made"], "denied");
    fails(engine, &CLAUDE, &[denied, TURNS]).await;
}
