//! How agent CLIs tell that they wait for a person: hooks that keep a file while they do, and what it says.

use serde_json::{Map, Value};

use super::read::{cut, telling};

/// Longest text that is told.
const LONGEST: usize = 200;
/// What is told where nothing better is known.
const SOMETHING: &str = "an answer";

/// A hook's command that says: from now on it waits. What the hook is given on standard input says what for. Nothing
/// of it can fail the agent CLI, and where `TANUKI_WAITING` is not set it does nothing.
pub(super) const WAIT: &str = "{ [ -z \"$TANUKI_WAITING\" ] || { head -c 65000 >\"$TANUKI_WAITING.new\" && \
     mv -f \"$TANUKI_WAITING.new\" \"$TANUKI_WAITING\"; }; cat; } >/dev/null 2>&1; exit 0";

/// A hook's command that says: it goes on.
pub(super) const GO_ON: &str =
    "{ cat; [ -z \"$TANUKI_WAITING\" ] || rm -f \"$TANUKI_WAITING\"; } >/dev/null 2>&1; exit 0";

/// Settings of hooks, as claude and gemini have them: the events at which it begins to wait, each with the kinds that
/// count (all where there is nothing), and those that show that it goes on.
pub(super) fn hooks(waits: &[(&str, &str)], goes_on: &[&str]) -> Value {
    let hook = |matcher: &str, command: &str| {
        let mut hook = serde_json::json!({ "hooks": [{ "type": "command", "command": command }] });
        if !matcher.is_empty() {
            hook["matcher"] = matcher.into();
        }
        Value::Array(vec![hook])
    };
    let waits = waits.iter().map(|(event, matcher)| ((*event).to_owned(), hook(matcher, WAIT)));
    let goes_on = goes_on.iter().map(|event| ((*event).to_owned(), hook("", GO_ON)));
    Value::Object(waits.chain(goes_on).collect::<Map<String, Value>>())
}

/// What a process waits for, in one line: the file is what a hook was given, or a line of text. Written by the agent.
pub(in crate::agents) fn asked(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    let told = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(hook)) => of_hook(&hook),
        // A hook's that was too long to be kept whole.
        _ if text.trim_start().starts_with('{') => None,
        _ => text.lines().map(str::trim).find(|line| !line.is_empty()).map(ToOwned::to_owned),
    };
    let told = told.unwrap_or_default();
    let shown: String = told.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match shown.trim() {
        "" => SOMETHING.to_owned(),
        shown => cut(shown, LONGEST),
    }
}

fn of_hook(hook: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| hook.get(key)?.as_str();
    let input = hook.get("tool_input").unwrap_or(&Value::Null);
    match text("tool_name") {
        Some("AskUserQuestion") => {
            let question = input.pointer("/questions/0/question").and_then(Value::as_str);
            question.map(|question| format!("{SOMETHING}: {question}"))
        }
        Some("ExitPlanMode") => Some("approval of its plan".to_owned()),
        Some(tool) => Some(format!("permission to use {}", telling(tool, input))),
        None => text("message").map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_is_asked_is_told_in_a_line() {
        let table = [
            (
                r#"{"hook_event_name":"PermissionRequest","tool_name":"Bash","tool_input":{"command":"rm -rf x"}}"#,
                "permission to use Bash: rm -rf x",
            ),
            (
                r#"{"tool_name":"AskUserQuestion","tool_input":{"questions":[{"question":"Which\u001b[31m?"}]}}"#,
                "an answer: Which [31m?",
            ),
            (r#"{"tool_name":"ExitPlanMode","tool_input":{"plan":"x"}}"#, "approval of its plan"),
            (
                r#"{"hook_event_name":"Notification","notification_type":"ToolPermission","message":"Tool Shell requires execution"}"#,
                "Tool Shell requires execution",
            ),
            (r#"{"tool_name":7,"message":["x"]}"#, "an answer"),
            (r#"{"tool_name":"Write","tool_input":{"content":"cut o"#, "an answer"),
            ("\n  which colour?\r\nmore", "which colour?"),
            ("[1]", "[1]"),
            ("", "an answer"),
        ];
        for (file, told) in table {
            assert_eq!(asked(file.as_bytes()), told, "{file}");
        }
        assert!(asked(&[0xff; 60_000]).len() < 300);
        assert_eq!(asked("[".repeat(60_000).as_bytes()).len(), LONGEST + "… (59800 more bytes)".len());
    }

    fn hook(command: &str, variable: Option<&Path>, input: &[u8]) {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).env_remove("TANUKI_WAITING");
        if let Some(path) = variable {
            shell.env("TANUKI_WAITING", path);
        }
        let mut shell = shell.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(input).unwrap();
        let output = shell.wait_with_output().unwrap();
        // What a hook prints is taken for a decision.
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }

    #[test]
    fn hooks_keep_the_file_while_it_waits_and_disturb_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("waiting.1");
        hook(WAIT, Some(&file), br#"{"message":"why"}"#);
        assert_eq!(asked(&std::fs::read(&file).unwrap()), "why");
        hook(WAIT, Some(&file), &vec![b'x'; 1 << 20]);
        assert!(std::fs::metadata(&file).unwrap().len() <= 64 << 10);
        hook(GO_ON, Some(&file), b"{}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        for command in [WAIT, GO_ON] {
            hook(command, None, b"{}");
            hook(command, Some(Path::new("/proc/none")), b"{}");
        }
    }
}
