//! Gemini CLI.
//!
//! That it waits for a person is told by its hook `Notification`, at once. Without a person at the terminal it never
//! waits: tools that would need a permission are not offered.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::classify::classify;
use super::read::{Dialect, Items, Outcome, cut, silent, tail, text};
use super::{HOME, HomeFile, Invocation, LONGEST_ARGUMENT, Order, option, tools, waits, words};
use crate::model::{OutputKind, RunFailure, Usage};

pub(super) const SECRETS: &[&str] = &["GEMINI_API_KEY", "GOOGLE_API_KEY"];
pub(super) const VARIABLES: &[&str] = &[
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_GENAI_USE_VERTEXAI",
];

/// Rules of its own, above those of the user and the workspace.
const POLICY: &str = ".gemini/tanuki.toml";

fn begin(order: &Order<'_>) -> Invocation {
    let mut env = order.pass(VARIABLES);
    // Its wrapper process swallows signals.
    for name in ["GEMINI_CLI_TRUST_WORKSPACE", "GEMINI_CLI_NO_RELAUNCH"] {
        env.insert(name.to_owned(), "true".to_owned());
    }
    let mut settings = json!({
        "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false, "maxAttempts": 5 },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        "model": { "maxSessionTurns": order.max_turns },
    });
    if order.credentials.contains_key("GEMINI_API_KEY") {
        settings["security"] = json!({ "auth": { "selectedType": "gemini-api-key" } });
    }
    let mut files = vec![
        HomeFile::merged(".gemini/settings.json", &settings),
        HomeFile::new(".gemini/GEMINI.md", order.instructions.to_owned()),
    ];
    if order.is_restricted() {
        files.push(HomeFile::new(POLICY, policy(order)));
    }
    Invocation { env, files, command: words(&["gemini"]), ..Invocation::default() }
}

/// What is denied is denied; with a list of what is allowed, so is everything else.
fn policy(order: &Order<'_>) -> String {
    let mut out = String::new();
    let mut rule = |tool: &str, decision: &str, priority: u32| {
        let (name, prefix) = tools::gemini(tool);
        // A JSON string is a TOML basic string.
        let prefix =
            prefix.map(|prefix| format!("commandPrefix = {}\n", Value::from(prefix))).unwrap_or_default();
        let _infallible = write!(
            out,
            "[[rule]]\ntoolName = {}\n{prefix}decision = \"{decision}\"\npriority = {priority}\n\n",
            Value::from(name)
        );
    };
    for tool in order.deny {
        rule(tool, "deny", 900);
    }
    for tool in order.allow {
        rule(tool, "allow", 500);
    }
    if !order.allow.is_empty() {
        rule("*", "deny", 100);
    }
    out
}

fn common(order: &Order<'_>, command: &mut Vec<String>) {
    // Without it tools that write are not offered; what the rules deny stays denied.
    command.extend(words(&["--approval-mode", "yolo"]));
    if order.is_restricted() {
        command.push(format!("--admin-policy={HOME}/{POLICY}"));
    }
    option(command, "--model", order.model);
    option(command, "--resume", order.session);
    command.extend(order.adapter.args.iter().cloned());
}

pub(super) fn headless(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    out.command.extend(words(&["--output-format", "stream-json"]));
    common(order, &mut out.command);
    if order.prompt.len() > LONGEST_ARGUMENT {
        out.stdin = Some(order.prompt.to_owned());
    } else {
        out.command.push(format!("--prompt={}", order.prompt));
    }
    out
}

pub(super) fn interactive(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    let goes_on = ["AfterTool", "BeforeAgent", "AfterAgent", "SessionStart", "SessionEnd"];
    let settings = json!({ "hooks": waits::hooks(&[("Notification", "")], &goes_on) });
    out.files.push(HomeFile::merged(".gemini/settings.json", &settings));
    common(order, &mut out.command);
    out
}

/// Events of `--output-format stream-json`.
#[derive(Debug, Default)]
pub(super) struct Events {
    session: Option<String>,
    /// What the agent says since it last used a tool.
    said: String,
    /// The part of it that has no end of line yet.
    partial: String,
    used_tools: bool,
    /// Why its rules did not let it use a tool, which it takes for no failure.
    denied: Option<String>,
    result: Option<Value>,
}

impl Dialect for Events {
    fn event(&mut self, event: &Value, out: &mut Items<'_>) {
        let kind = text(event, "/type");
        if kind != "message" {
            self.flush(out);
        }
        match kind {
            "init" => self.session = Some(cut(text(event, "/session_id"), 200)),
            "message" if text(event, "/role") == "assistant" => {
                let said = text(event, "/content");
                self.said.push_str(said);
                if self.said.len() > 1 << 20 {
                    self.said = tail(&self.said);
                }
                self.partial.push_str(said);
                if event.get("delta").and_then(Value::as_bool) != Some(true) {
                    self.partial.push('\n');
                }
                if let Some(end) = self.partial.rfind('\n') {
                    out.text(OutputKind::Text, &self.partial[..end]);
                    self.partial.drain(..=end);
                }
            }
            "tool_use" => {
                self.used_tools = true;
                self.said.clear();
                out.tool(text(event, "/tool_name"), event.get("parameters").unwrap_or(&Value::Null));
            }
            "tool_result" => {
                let failed = text(event, "/status") == "error";
                let kind = if failed { OutputKind::Error } else { OutputKind::ToolResult };
                if text(event, "/error/type") == "policy_violation" {
                    self.denied = Some(cut(text(event, "/error/message"), 300));
                }
                out.result(kind, text(event, "/output"));
            }
            "error" => out.text(OutputKind::Error, text(event, "/message")),
            "result" => {
                out.text(OutputKind::Error, text(event, "/error/message"));
                self.result = Some(event.clone());
            }
            _ => {}
        }
    }

    fn flush(&mut self, out: &mut Items<'_>) {
        let partial = std::mem::take(&mut self.partial);
        out.text(OutputKind::Text, &partial);
    }

    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome {
        let mut outcome =
            Outcome { session: self.session.take(), final_message: tail(&self.said), ..Outcome::default() };
        // Exit codes of its own; those of errors of the model's service are the status modulo 256.
        match exit {
            Some(41) => {
                return outcome
                    .failed(RunFailure::Auth, "no sign-in: set GEMINI_API_KEY, or sign in with gemini");
            }
            Some(53) => return outcome.failed(RunFailure::TurnLimit, "all turns are used"),
            _ => {}
        }
        let Some(result) = self.result.take() else { return silent(outcome, exit, stderr) };
        let number = |path: &str| result.pointer(path).and_then(Value::as_u64);
        outcome.usage = Usage {
            turns: None,
            input_tokens: number("/stats/input_tokens"),
            output_tokens: number("/stats/output_tokens"),
            cost_microdollars: None,
        };
        // What follows is advice, which speaks of quotas whatever happened.
        let told = text(&result, "/error/message").lines().next().unwrap_or_default();
        let (kind, told) = (text(&result, "/error/type"), cut(told, 500));
        if kind == "FatalTurnLimitedError" {
            return outcome.failed(RunFailure::TurnLimit, "all turns are used");
        }
        if text(&result, "/status") != "success" || !told.is_empty() {
            return outcome.failed(classify(&told, None), told);
        }
        match exit {
            Some(0) => {}
            Some(code) => {
                return outcome.failed(RunFailure::Other, format!("the program ended with exit code {code}"));
            }
            None => return silent(outcome, exit, stderr),
        }
        if let Some(why) = self.denied.take() {
            return outcome.failed(RunFailure::Denied, why);
        }
        if outcome.final_message.trim().is_empty() && !self.used_tools {
            return outcome.failed(RunFailure::NoResult, "the agent said and did nothing");
        }
        outcome
    }
}
