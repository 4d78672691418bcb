//! Claude Code.
//!
//! That it waits for a person is told by its hooks: `PermissionRequest` at once, also for a question or a plan, and
//! `Notification` when a prompt is waited for. Without a person at the terminal (`-p`) it never waits: what would be asked
//! is denied, and the run fails as denied.

use serde_json::Value;

use super::classify::classify;
use super::read::{Dialect, Items, Outcome, cut, silent, tail, text};
use super::tools::{WRITING, bare};
use super::{HOME, HomeFile, Invocation, Order, option, waits, words};
use crate::model::{OutputKind, RunFailure, Usage};

pub(super) const SECRETS: &[&str] = &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
pub(super) const VARIABLES: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
];

fn begin(order: &Order<'_>) -> Invocation {
    let mut env = order.pass(VARIABLES);
    for quiet in ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"] {
        env.insert(quiet.to_owned(), "1".to_owned());
    }
    Invocation { env, ..Invocation::default() }
}

fn common(order: &Order<'_>, command: &mut Vec<String>) {
    option(command, "--model", order.model);
    option(command, "--append-system-prompt", Some(order.instructions).filter(|text| !text.is_empty()));
    option(command, "--resume", order.session);
    command.extend(order.adapter.args.iter().cloned());
    // Last, because these take any number of words. Without an allow list everything is allowed that is not denied;
    // with one, tools that write are also denied by name, whatever a settings file in the workspace says.
    let mut denied = order.deny.to_vec();
    if order.allow.is_empty() {
        command.extend(words(&["--permission-mode", "bypassPermissions"]));
    } else {
        // At a terminal it would decide by itself otherwise; so a person does.
        command.extend(words(&["--permission-mode", "default"]));
        let allowed =
            |tool: &&str| order.allow.iter().any(|allowed| bare(allowed).eq_ignore_ascii_case(tool));
        denied.extend(WRITING.iter().filter(|tool| !allowed(tool)).map(|tool| (*tool).to_owned()));
        command.push("--allowedTools".to_owned());
        command.extend(order.allow.iter().cloned());
    }
    if !denied.is_empty() {
        command.push("--disallowedTools".to_owned());
        command.extend(denied);
    }
}

pub(super) fn headless(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    out.command = words(&["claude", "-p", "--output-format", "stream-json", "--verbose"]);
    out.command.extend(["--max-turns".to_owned(), order.max_turns.to_string()]);
    common(order, &mut out.command);
    out.stdin = Some(order.prompt.to_owned());
    out
}

/// The first run of the terminal program asks what nobody needs to answer here: it is answered beforehand.
pub(super) fn interactive(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    out.command = words(&["claude"]);
    common(order, &mut out.command);
    let key = order.credentials.get("ANTHROPIC_API_KEY").map(String::as_str).unwrap_or_default();
    let last = key.char_indices().rev().nth(19).map_or(0, |(at, _)| at);
    let state = serde_json::json!({
        "hasCompletedOnboarding": true,
        "bypassPermissionsModeAccepted": true,
        "customApiKeyResponses": { "approved": [&key[last..]] },
        "projects": { "/workspace": { "hasTrustDialogAccepted": true } },
    });
    // None of these tells that a permission was given or refused: until the tool has ended, or the person types the next
    // prompt, it counts as waiting. The other kinds of notifications tell what the first hook has told better.
    let goes_on = ["PostToolUse", "UserPromptSubmit", "Stop", "SessionStart", "SessionEnd"];
    let settings = serde_json::json!({
        "skipDangerousModePermissionPrompt": true,
        "hooks": waits::hooks(
            &[("PermissionRequest", ""), ("Notification", "idle_prompt|elicitation_dialog")],
            &goes_on,
        ),
    });
    out.files =
        vec![HomeFile::merged(".claude.json", &state), HomeFile::merged(".claude/settings.json", &settings)];
    out.env.insert("HOME".to_owned(), HOME.to_owned());
    out
}

/// Events of `--output-format stream-json`.
#[derive(Debug, Default)]
pub(super) struct Events {
    session: Option<String>,
    last: String,
    used_tools: bool,
    denied: Vec<String>,
    result: Option<Value>,
}

impl Events {
    fn assistant(&mut self, event: &Value, out: &mut Items<'_>) {
        let kind = if event.get("error").is_some_and(|error| !error.is_null()) {
            OutputKind::Error
        } else {
            OutputKind::Text
        };
        for block in event.pointer("/message/content").and_then(Value::as_array).into_iter().flatten() {
            match text(block, "/type") {
                "text" => {
                    let said = text(block, "/text");
                    self.last = tail(said);
                    out.text(kind, said);
                }
                "thinking" => out.text(OutputKind::Thinking, text(block, "/thinking")),
                "tool_use" => {
                    self.used_tools = true;
                    out.tool(text(block, "/name"), block.get("input").unwrap_or(&Value::Null));
                }
                _ => {}
            }
        }
    }

    fn user(event: &Value, out: &mut Items<'_>) {
        for block in event.pointer("/message/content").and_then(Value::as_array).into_iter().flatten() {
            if text(block, "/type") != "tool_result" {
                continue;
            }
            let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or_default();
            let kind = if failed { OutputKind::Error } else { OutputKind::ToolResult };
            match block.get("content") {
                Some(Value::String(content)) => out.result(kind, content),
                Some(Value::Array(parts)) => {
                    for part in parts {
                        out.result(kind, text(part, "/text"));
                    }
                }
                _ => {}
            }
        }
    }

    fn system(&mut self, event: &Value, out: &mut Items<'_>) {
        match text(event, "/subtype") {
            "api_retry" => {
                let number = |key: &str| event.get(key).and_then(Value::as_u64);
                let status =
                    number("error_status").map(|status| format!(", status {status}")).unwrap_or_default();
                out.line(
                    OutputKind::Error,
                    &format!(
                        "the model's service failed ({}{status}); retry {} of {}",
                        text(event, "/error"),
                        number("attempt").unwrap_or_default(),
                        number("max_retries").unwrap_or_default(),
                    ),
                );
            }
            "permission_denied" => {
                self.denied.push(text(event, "/tool_name").to_owned());
                out.line(OutputKind::Error, &format!("denied: {}", text(event, "/message")));
            }
            _ => {}
        }
    }
}

impl Dialect for Events {
    fn event(&mut self, event: &Value, out: &mut Items<'_>) {
        if let Some(session) = event.get("session_id").and_then(Value::as_str) {
            self.session = Some(cut(session, 200));
        }
        match text(event, "/type") {
            "assistant" => self.assistant(event, out),
            "user" => Self::user(event, out),
            "system" => self.system(event, out),
            "result" => {
                let shown = text(event, "/result");
                if event.get("is_error").and_then(Value::as_bool) == Some(true)
                    && shown.trim() != self.last.trim()
                {
                    out.text(OutputKind::Error, shown);
                }
                self.result = Some(event.clone());
            }
            _ => {}
        }
    }

    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome {
        let mut outcome = Outcome {
            session: self.session.take(),
            final_message: std::mem::take(&mut self.last),
            ..Outcome::default()
        };
        let Some(result) = self.result.take() else { return silent(outcome, exit, stderr) };
        outcome.usage = usage(&result);
        let said = text(&result, "/result");
        if !said.is_empty() {
            outcome.final_message = tail(said);
        }
        let errors = result.get("errors").and_then(Value::as_array).into_iter().flatten();
        let errors = errors.filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
        let told = cut(if errors.is_empty() { said } else { &errors }, 500);
        let (subtype, reason) = (text(&result, "/subtype"), text(&result, "/terminal_reason"));
        let status = result.get("api_error_status").and_then(Value::as_u64);
        let is_error = result.get("is_error").and_then(Value::as_bool).unwrap_or_default();
        match subtype {
            "error_max_turns" => return outcome.failed(RunFailure::TurnLimit, "all turns are used"),
            "error_max_budget_usd" => {
                return outcome.failed(RunFailure::Quota, "the budget of the run is used up");
            }
            _ if is_error || subtype != "success" => {
                return outcome.failed(classify(&told, status), told);
            }
            _ => {}
        }
        // Forks of it report an error of the model's service as a success.
        if ["[API Error", "API Error"].iter().any(|start| said.trim_start().starts_with(start)) {
            return outcome.failed(classify(&told, status), told);
        }
        if let Some(Value::Array(denials)) = result.get("permission_denials") {
            self.denied.extend(denials.iter().map(|denial| text(denial, "/tool_name").to_owned()));
        }
        if !self.denied.is_empty() {
            self.denied.sort();
            self.denied.dedup();
            return outcome
                .failed(RunFailure::Denied, format!("denied: {}", cut(&self.denied.join(", "), 300)));
        }
        if !matches!(reason, "" | "completed") {
            return outcome.failed(RunFailure::Other, format!("it ended early: {reason}"));
        }
        match exit {
            Some(0) => {}
            Some(code) => {
                return outcome.failed(RunFailure::Other, format!("the program ended with exit code {code}"));
            }
            None => return silent(outcome, exit, stderr),
        }
        if outcome.final_message.trim().is_empty() && !self.used_tools {
            return outcome.failed(RunFailure::NoResult, "the agent said and did nothing");
        }
        outcome
    }
}

/// Of this run alone. The total cost grows over a resumed session in versions that also tell the difference.
fn usage(result: &Value) -> Usage {
    let number = |path: &str| result.pointer(path).and_then(Value::as_u64);
    let input =
        ["/usage/input_tokens", "/usage/cache_creation_input_tokens", "/usage/cache_read_input_tokens"]
            .iter()
            .filter_map(|path| number(path))
            .reduce(u64::saturating_add);
    let since = result.get("model_usage_since_last_result").and_then(Value::as_object);
    let cost = match since {
        Some(models) => Some(models.values().filter_map(|model| model.get("costUSD")?.as_f64()).sum()),
        None => result.get("total_cost_usd").and_then(Value::as_f64),
    };
    Usage {
        turns: number("/num_turns").and_then(|turns| u32::try_from(turns).ok()),
        input_tokens: input,
        output_tokens: number("/usage/output_tokens"),
        cost_microdollars: cost.map(|cost: f64| (cost * 1e6).round().max(0.0) as u64),
    }
}
