//! The few commands that run in every container of the fake engine.
//!
//! `true`, `false`, `echo`, `printf`, `cat`, `env`, `pwd`, `sleep`, `trap`, `exit`, `kill -9 1` and `sh -c` with `;`, `&&`,
//! `>&2` and `$NAME`: what the contract suite and a test of logs or execs need, and no more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::StreamKind;

/// What a command does, worked out beforehand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    /// What it prints, and how long after its start.
    pub(super) prints: Vec<(Duration, StreamKind, Vec<u8>)>,
    /// When it ends.
    pub(super) ends: Duration,
    /// How it ends.
    pub(super) exit_code: i64,
    /// It kills the container's main process when it ends.
    pub(super) kills_main: bool,
}

/// Where a command runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Place<'a> {
    pub(super) env: BTreeMap<String, String>,
    pub(super) workdir: Option<&'a str>,
    pub(super) stdin: &'a [u8],
}

/// Whether the engine itself knows this program.
pub(super) fn is_known(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    matches!(
        name,
        "true"
            | "false"
            | "echo"
            | "printf"
            | "cat"
            | "env"
            | "pwd"
            | "sleep"
            | "exit"
            | "kill"
            | "sh"
            | "test"
            | "trap"
    )
}

/// Works out what `argv` does; a program that is not there ends with 127.
pub(super) fn run(argv: &[String], place: &Place<'_>) -> Script {
    let mut script = Script::default();
    step(&mut script, argv, StreamKind::Stdout, place);
    script
}

fn step(script: &mut Script, argv: &[String], stream: StreamKind, place: &Place<'_>) {
    let Some(program) = argv.first() else { return };
    let arguments = &argv[1..];
    let print = |script: &mut Script, bytes: Vec<u8>| {
        if !bytes.is_empty() {
            script.prints.push((script.ends, stream, bytes));
        }
    };
    script.exit_code = 0;
    match program.rsplit('/').next().unwrap_or(program) {
        "true" | "test" => {}
        "false" => script.exit_code = 1,
        // A script that sets one waits for its signal.
        "trap" => script.ends = Duration::MAX,
        "echo" => print(script, format!("{}\n", arguments.join(" ")).into_bytes()),
        "printf" => print(script, arguments.join(" ").replace("\\n", "\n").into_bytes()),
        "cat" => print(script, place.stdin.to_vec()),
        "env" => {
            let lines = place.env.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>();
            print(script, lines.into_bytes());
        }
        "pwd" => print(script, format!("{}\n", place.workdir.unwrap_or("/")).into_bytes()),
        "sleep" => match arguments.first().map(String::as_str) {
            Some("infinity") => script.ends = Duration::MAX,
            Some(seconds) => match seconds.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()) {
                Some(time) => script.ends = script.ends.saturating_add(time),
                None => script.exit_code = 1,
            },
            None => script.exit_code = 1,
        },
        "exit" => script.exit_code = arguments.first().and_then(|code| code.parse().ok()).unwrap_or(0),
        "kill" => script.kills_main = arguments.last().is_some_and(|pid| pid == "1"),
        "sh" if arguments.first().is_some_and(|flag| flag == "-c") => {
            shell(script, arguments.get(1).map_or("", String::as_str), place);
        }
        name => {
            script.prints.push((
                script.ends,
                StreamKind::Stderr,
                format!("{name}: not found\n").into_bytes(),
            ));
            script.exit_code = 127;
        }
    }
}

fn shell(script: &mut Script, text: &str, place: &Place<'_>) {
    for part in text.replace('\n', ";").split(';') {
        for command in part.split("&&") {
            let mut stream = StreamKind::Stdout;
            let mut words = Vec::new();
            for word in command.split_whitespace() {
                match word {
                    "exec" if words.is_empty() => {}
                    ">&2" | "1>&2" => stream = StreamKind::Stderr,
                    word => words.push(expand(word.trim_matches(['"', '\'']), &place.env)),
                }
            }
            step(script, &words, stream, place);
            if script.exit_code != 0 || words.first().is_some_and(|word| word == "exit") {
                break;
            }
        }
        if part.split_whitespace().next() == Some("exit") || script.ends == Duration::MAX {
            return;
        }
    }
}

fn expand(word: &str, env: &BTreeMap<String, String>) -> String {
    match word.strip_prefix('$') {
        Some(name) => env.get(name.trim_matches(['{', '}'])).cloned().unwrap_or_default(),
        None => word.into(),
    }
}
