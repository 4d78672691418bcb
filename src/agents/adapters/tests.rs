//! What each agent CLI is started with, and what its output is taken for.

use super::*;
use crate::model::{OutputKind, RunFailure, Usage};

fn adapter(kind: AdapterKind) -> Adapter {
    Adapter { kind, env: Vec::new(), args: Vec::new(), run: Vec::new() }
}

/// Feeds a stream in pieces of `size` bytes.
fn read_by(
    kind: AdapterKind,
    size: usize,
    stdout: &str,
    stderr: &str,
    exit: Option<i64>,
) -> (Vec<Item>, Outcome) {
    let (mut reader, mut items) = (Reader::new(kind), Vec::new());
    for piece in stdout.as_bytes().chunks(size) {
        reader.stdout(piece, &mut items);
    }
    reader.stderr(stderr.as_bytes(), &mut items);
    let outcome = reader.finish(exit, &mut items);
    (items, outcome)
}

fn read(kind: AdapterKind, stdout: &str, stderr: &str, exit: Option<i64>) -> (Vec<Item>, Outcome) {
    let whole = read_by(kind, usize::MAX, stdout, stderr, exit);
    assert_eq!(whole, read_by(kind, 7, stdout, stderr, exit), "it depends on how the bytes come");
    whole
}

const CLAUDE_INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1","tools":["Bash"]}
"#;
const CLAUDE_SAID: &str = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"All\ndone."}]},"session_id":"s-1"}
"#;

fn claude_result(rest: &str) -> String {
    format!(
        "{CLAUDE_INIT}{CLAUDE_SAID}{{\"type\":\"result\",\"session_id\":\"s-1\",\"num_turns\":2,{rest}}}\n"
    )
}

#[test]
fn success_is_believed_only_when_everything_agrees() {
    use AdapterKind::{Claude, Codex, Command, Gemini, Opencode};
    use RunFailure::*;
    let good = r#""subtype":"success","is_error":false,"result":"All\ndone.","permission_denials":[]"#;
    let codex_said = r#"{"type":"item.completed","item":{"type":"agent_message","text":"ok"}}"#;
    let codex_done = r#"{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let gemini_said = r#"{"type":"message","role":"assistant","content":"ok","delta":true}"#;
    let gemini_bad =
        |error: &str| format!("{{\"type\":\"result\",\"status\":\"error\",\"error\":{error}}}\n");
    let step = |reason: &str| {
        format!("{{\"type\":\"step_finish\",\"sessionID\":\"s\",\"part\":{{\"reason\":\"{reason}\"}}}}\n")
    };
    type Row = (AdapterKind, String, &'static str, Option<i64>, Option<RunFailure>);
    let table: Vec<Row> = vec![
        (Claude, claude_result(good), "", Some(0), None),
        (Claude, claude_result(good), "", Some(1), Some(Other)),
        (Claude, claude_result(good), "", None, Some(Killed)),
        (Claude, format!("{CLAUDE_INIT}{CLAUDE_SAID}"), "", Some(0), Some(NoResult)),
        (Claude, format!("{CLAUDE_INIT}{CLAUDE_SAID}"), "", Some(143), Some(Killed)),
        (Claude, String::new(), "error: unknown option '--x'", Some(1), Some(NoResult)),
        (Claude, String::new(), "claude: not found", Some(127), Some(NotStarted)),
        (
            Claude,
            claude_result(
                r#""subtype":"success","is_error":false,"result":"Done.","permission_denials":[{"tool_name":"Write"}]"#,
            ),
            "",
            Some(0),
            Some(Denied),
        ),
        (
            Claude,
            claude_result(
                r#""subtype":"success","is_error":true,"api_error_status":403,"result":"API Error: 403 no""#,
            ),
            "",
            Some(1),
            Some(Auth),
        ),
        (
            Claude,
            claude_result(
                r#""subtype":"success","is_error":true,"api_error_status":null,"result":"API Error: Connection refused""#,
            ),
            "",
            Some(1),
            Some(Unreachable),
        ),
        (
            Claude,
            claude_result(
                r#""subtype":"success","is_error":true,"result":"Not logged in · Please run /login""#,
            ),
            "",
            Some(1),
            Some(Auth),
        ),
        (
            Claude,
            claude_result(r#""subtype":"error_max_turns","is_error":true,"errors":["x"]"#),
            "",
            Some(1),
            Some(TurnLimit),
        ),
        (
            Claude,
            claude_result(r#""subtype":"success","is_error":false,"result":"[API Error: 401 no]""#),
            "",
            Some(0),
            Some(Auth),
        ),
        (
            Claude,
            claude_result(
                r#""subtype":"success","is_error":false,"result":"x","terminal_reason":"aborted_tools""#,
            ),
            "",
            Some(0),
            Some(Other),
        ),
        (
            Claude,
            r#"{"type":"result","subtype":"success","is_error":false,"result":""}"#.to_owned(),
            "",
            Some(0),
            Some(NoResult),
        ),
        (Codex, format!("{codex_said}\n{codex_done}\n"), "", Some(0), None),
        (Codex, format!("{codex_said}\n{codex_done}\n"), "", Some(1), Some(Other)),
        (Codex, format!("{codex_done}\n"), "", Some(0), Some(NoResult)),
        (Codex, format!("{codex_said}\n"), "", Some(143), Some(Killed)),
        (
            Codex,
            r#"{"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized: x"}}"#
                .to_owned(),
            "",
            Some(1),
            Some(Auth),
        ),
        (
            Codex,
            r#"{"type":"turn.failed","error":{"message":"Connection failed: error sending request"}}"#
                .to_owned(),
            "",
            Some(1),
            Some(Unreachable),
        ),
        (
            Gemini,
            format!("{gemini_said}\n{{\"type\":\"result\",\"status\":\"success\"}}\n"),
            "",
            Some(0),
            None,
        ),
        (Gemini, format!("{gemini_said}\n"), "", Some(0), Some(NoResult)),
        (
            Gemini,
            format!(
                "{}\n{gemini_said}\n{{\"type\":\"result\",\"status\":\"success\"}}\n",
                r#"{"type":"tool_result","status":"error","output":"x","error":{"type":"policy_violation","message":"Tool execution denied by policy."}}"#
            ),
            "",
            Some(0),
            Some(Denied),
        ),
        (
            Gemini,
            gemini_bad(
                r#"{"type":"unknown","message":"[API Error: it says 429]\nPlease wait. To increase your limits, request a quota increase"}"#,
            ),
            "",
            Some(173),
            Some(RateLimit),
        ),
        (
            Gemini,
            gemini_bad(r#"{"type":"unknown","message":"[API Error: {\"error\":{\"code\":429}}]"}"#),
            "",
            Some(173),
            Some(RateLimit),
        ),
        (
            Gemini,
            gemini_bad(r#"{"type":"FatalTurnLimitedError","message":"Reached max session turns"}"#),
            "",
            Some(53),
            Some(TurnLimit),
        ),
        (Gemini, String::new(), "Please set an Auth method", Some(41), Some(Auth)),
        (Opencode, step("stop"), "", Some(0), None),
        (Opencode, step("tool-calls"), "", Some(0), Some(NoResult)),
        (Opencode, String::new(), "", Some(0), Some(NoResult)),
        (
            Opencode,
            format!(
                "{}\n{}",
                r#"{"type":"tool_use","part":{"tool":"write","state":{"status":"error","error":"The user rejected permission to use this specific tool call."}}}"#,
                step("stop")
            ),
            "",
            Some(0),
            Some(Denied),
        ),
        (
            Opencode,
            r#"{"type":"error","error":{"name":"APIError","data":{"message":"no","statusCode":429}}}"#
                .to_owned(),
            "",
            Some(1),
            Some(RateLimit),
        ),
        (Command, "hello\n".to_owned(), "", Some(0), None),
        (Command, String::new(), "", Some(0), None),
        (Command, "hello\n".to_owned(), "bad", Some(3), Some(Other)),
        (Command, "hello\n".to_owned(), "", Some(137), Some(Killed)),
        (Command, String::new(), "", Some(127), Some(NotStarted)),
    ];
    for (kind, stdout, stderr, exit, failure) in table {
        let (_, outcome) = read(kind, &stdout, stderr, exit);
        assert_eq!(outcome.failure, failure, "{kind:?} {exit:?} {stdout} {stderr}: {}", outcome.message);
        assert_eq!(outcome.failure.is_some(), !outcome.message.is_empty(), "{kind:?} {stdout}");
    }
}

#[test]
fn what_a_run_used_is_its_own() {
    let costs = r#""subtype":"success","is_error":false,"result":"x","total_cost_usd":0.002416,
        "usage":{"input_tokens":200,"cache_read_input_tokens":40,"output_tokens":20}"#;
    let later = format!("{costs},\"model_usage_since_last_result\":{{\"m\":{{\"costUSD\":0.001208}}}}");
    let of = |rest: &str| read(AdapterKind::Claude, &claude_result(&rest.replace('\n', "")), "", Some(0)).1;
    let usage = Usage {
        turns: Some(2),
        input_tokens: Some(240),
        output_tokens: Some(20),
        cost_microdollars: Some(2416),
    };
    assert_eq!(of(costs).usage, usage);
    assert_eq!(of(&later).usage.cost_microdollars, Some(1208));
    assert_eq!(of(costs).session.as_deref(), Some("s-1"));
    assert_eq!(of(r#""subtype":"success","is_error":false,"result":"a\nDONE""#).final_message, "a\nDONE");
    let codex = r#"{"type":"thread.started","thread_id":"t"}
{"type":"turn.completed","usage":{"input_tokens":400,"cached_input_tokens":40,"output_tokens":40}}"#;
    let (_, outcome) = read(AdapterKind::Codex, codex, "", Some(0));
    assert!(outcome.cumulative);
    assert_eq!((outcome.session.as_deref(), outcome.usage.input_tokens), (Some("t"), Some(400)));
}

#[test]
fn output_is_readable() {
    let claude = format!(
        "not json\n{}{}{}{}",
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"Hm."},{"type":"tool_use","name":"Bash","input":{"command":"make\ntest"}}]}}
"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"1\n2\n","is_error":false}]}}
"#,
        r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"error_status":529,"error":"overloaded"}
"#,
        CLAUDE_SAID,
    );
    let codex = r#"{"type":"item.started","item":{"type":"command_execution","command":"bash -lc 'exit 3'","status":"in_progress"}}
{"type":"item.completed","item":{"type":"command_execution","command":"bash -lc 'exit 3'","aggregated_output":"oh\n","exit_code":3,"status":"failed"}}
{"type":"item.completed","item":{"type":"error","message":"Model metadata not found"}}
{"type":"error","message":"Reconnecting... 1/5"}
"#;
    let gemini = r#"{"type":"message","role":"user","content":"do it"}
{"type":"message","role":"assistant","content":"Step ","delta":true}
{"type":"message","role":"assistant","content":"one.\nStep two","delta":true}
{"type":"tool_use","tool_name":"write_file","parameters":{"file_path":"a.txt","content":"x"}}
{"type":"tool_result","status":"success"}
"#;
    let many: String = (0..30).map(|n| format!("{n}\\n")).collect();
    let opencode = format!(
        r#"{{"type":"tool_use","part":{{"tool":"bash","state":{{"status":"completed","input":{{"command":"seq 30"}},"output":"{many}"}}}}}}"#
    );
    let mut shown = String::new();
    for (kind, stream) in [
        (AdapterKind::Claude, claude.as_str()),
        (AdapterKind::Codex, codex),
        (AdapterKind::Gemini, gemini),
        (AdapterKind::Opencode, &opencode),
        (AdapterKind::Command, "a\n\nb"),
    ] {
        shown.push_str(&format!("{kind:?}\n"));
        for item in read(kind, stream, "", Some(0)).0 {
            shown.push_str(&format!("  {:?}: {}\n", item.kind, item.text));
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn hostile_output_is_bounded_and_said() {
    let huge = format!("{{\"type\":\"result\",\"result\":\"{}\"}}\nnext\n", "x".repeat(10 << 20));
    for kind in [AdapterKind::Claude, AdapterKind::Command] {
        let (items, _) = read_by(kind, 64 << 10, &huge, "", Some(0));
        assert!(
            items.iter().any(|item| item.kind == OutputKind::Note && item.text.contains("too long")),
            "{kind:?}"
        );
        assert_eq!(items.last().map(|item| item.text.as_str()), Some("next"));
        assert!(items.iter().all(|item| item.text.len() < 5000));
    }
    let (mut reader, mut items) = (Reader::new(AdapterKind::Claude), Vec::new());
    reader.stdout(
        b"\xff\x00{\"type\":\n{\"type\":7}\n{}\n[1]\n{\"type\":\"assistant\",\"message\":3}\n",
        &mut items,
    );
    assert_eq!(reader.finish(Some(0), &mut items).failure, Some(RunFailure::NoResult));
}

#[test]
fn what_was_too_long_to_read_is_no_success() {
    let said = |text: &str| {
        format!(
            "{{\"type\":\"item.completed\",\"item\":{{\"type\":\"agent_message\",\"text\":\"{text}\"}}}}\n"
        )
    };
    let (short, long) = (said("ok"), said(&"x".repeat(10 << 20)));
    let ran = r#"{"type":"item.completed","item":{"type":"command_execution","status":"completed"}}"#;
    let done = r#"{"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let of = |stream: &str| read_by(AdapterKind::Codex, 64 << 10, stream, "", Some(0)).1;
    let last = of(&format!("{ran}\n{short}{long}{done}\n"));
    assert_eq!((last.failure, last.final_message.as_str()), (Some(RunFailure::NoResult), ""));
    assert_eq!(of(&format!("{ran}\n{long}{short}{done}\n")).failure, None);
}

#[test]
fn turns_are_counted_where_there_is_no_limit_of_its_own() {
    let is_over = |kind, events: &[String], most| {
        let mut reader = Reader::new(kind);
        reader.stdout(format!("{}\n", events.join("\n")).as_bytes(), &mut Vec::new());
        reader.is_over(most)
    };
    let item = |event: &str, id: &str| {
        format!(r#"{{"type":"item.{event}","item":{{"id":"{id}","type":"command_execution"}}}}"#)
    };
    let [began, ended] = ["started", "completed"].map(|event| ["1", "2"].map(|id| item(event, id)));
    let one_by_one = [began[0].clone(), ended[0].clone(), began[1].clone(), ended[1].clone()];
    let together = [began[0].clone(), began[1].clone(), ended[0].clone(), ended[1].clone()];
    let steps = [r#"{"type":"step_start"}"#.to_owned(), r#"{"type":"step_start"}"#.to_owned()];
    let table = [
        (AdapterKind::Codex, one_by_one.as_slice(), 3),
        (AdapterKind::Codex, &together, 2),
        (AdapterKind::Codex, &[], 1),
        (AdapterKind::Opencode, &steps, 2),
    ];
    for (kind, events, turns) in table {
        assert!(!is_over(kind, events, turns), "{events:?}");
        assert!(is_over(kind, events, turns - 1), "{events:?}");
    }
    for kind in [AdapterKind::Claude, AdapterKind::Gemini, AdapterKind::Command] {
        assert!(!is_over(kind, &one_by_one, 0) && !is_over(kind, &steps, 0), "{kind:?}");
    }
}

fn order<'a>(adapter: &'a Adapter, credentials: &'a BTreeMap<String, String>) -> Order<'a> {
    Order {
        name: "it",
        adapter,
        prompt: "-do it",
        instructions: "Be good.",
        model: Some("m"),
        max_turns: 7,
        allow: &[],
        deny: &[],
        session: Some("s-1"),
        credentials,
    }
}

#[test]
fn programs_are_started_so() {
    let names = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL", "GEMINI_API_KEY", "MINE", "OTHER"];
    let credentials = names.iter().map(|name| ((*name).to_owned(), format!("value-of-{name}"))).collect();
    let mut shown = String::new();
    for kind in [
        AdapterKind::Claude,
        AdapterKind::Codex,
        AdapterKind::Gemini,
        AdapterKind::Opencode,
        AdapterKind::Command,
    ] {
        let mut adapter = adapter(kind);
        adapter.env.push("MINE".to_owned());
        adapter.args.push("--extra".to_owned());
        if kind == AdapterKind::Command {
            adapter.run = words(&["sh", "agent.sh", "{prompt}"]);
        }
        let order = order(&adapter, &credentials);
        for made in [invocation(&order).unwrap(), interactive(&order).unwrap()] {
            assert!(
                !made.command.iter().any(|word| word.contains("value-of")),
                "a secret in {:?}",
                made.command
            );
            shown.push_str(&format!("{:?}\n  stdin {:?}\n  env {:?}\n", made.command, made.stdin, made.env));
            for file in made.files {
                shown.push_str(&format!("  {}: {}\n", file.path, file.content));
            }
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_role_that_may_not_write_cannot() {
    let credentials = BTreeMap::new();
    let allow = ["Read".to_owned(), "Bash(git log:*)".to_owned()];
    let deny = ["WebFetch".to_owned()];
    let made = |kind| {
        let mut adapter = adapter(kind);
        adapter.run = words(&["agent"]);
        invocation(&Order { allow: &allow, deny: &deny, ..order(&adapter, &credentials) })
    };
    let claude = made(AdapterKind::Claude).unwrap().command.join(" ");
    assert!(claude.ends_with(
        "--allowedTools Read Bash(git log:*) --disallowedTools WebFetch Edit MultiEdit NotebookEdit Write"
    ));
    assert!(!claude.contains("bypassPermissions"));
    let gemini = made(AdapterKind::Gemini).unwrap();
    assert!(gemini.command.contains(&"--admin-policy=/tanuki/home/.gemini/tanuki.toml".to_owned()));
    let policy = &gemini.files.iter().find(|file| file.path == ".gemini/tanuki.toml").unwrap().content;
    insta::assert_snapshot!(policy);
    let opencode = &made(AdapterKind::Opencode).unwrap().env["OPENCODE_CONFIG_CONTENT"].clone();
    assert!(
        opencode.contains(r#""permission":{"*":"deny","bash":{"*":"deny","git log *":"allow"},"read":"allow","webfetch":"deny"}"#),
        "{opencode}"
    );
    for kind in [AdapterKind::Codex, AdapterKind::Command] {
        assert_eq!(made(kind), Err(AdapterError::Policy { adapter: "it".to_owned() }), "{kind:?}");
    }
}
