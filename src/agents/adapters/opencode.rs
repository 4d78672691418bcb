//! `OpenCode`.

use serde_json::{Map, Value, json};

use super::classify::classify;
use super::read::{Dialect, Items, Outcome, cut, silent, tail, text};
use super::{HOME, HomeFile, Invocation, LONGEST_ARGUMENT, Order, option, tools, words};
use crate::model::{OutputKind, RunFailure, Usage};

pub(super) const SECRETS: &[&str] =
    &["OPENCODE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"];
pub(super) const VARIABLES: &[&str] = &[
    "OPENCODE_API_KEY",
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "OPENROUTER_API_KEY",
    "OPENCODE_CONFIG_CONTENT",
];

/// Its configuration: the user's own where it is passed through, with what has to hold on top.
fn begin(order: &Order<'_>) -> Invocation {
    let mut env = order.pass(VARIABLES);
    let users = env.get("OPENCODE_CONFIG_CONTENT").and_then(|text| serde_json::from_str(text).ok());
    let mut config: Map<String, Value> = users.unwrap_or_default();
    config.insert("autoupdate".to_owned(), Value::from(false));
    config.insert("share".to_owned(), Value::from("disabled"));
    config.insert("permission".to_owned(), permission(order));
    if !order.instructions.is_empty() {
        config.insert("instructions".to_owned(), json!([format!("{HOME}/.config/opencode/tanuki.md")]));
    }
    env.insert("OPENCODE_CONFIG_CONTENT".to_owned(), Value::Object(config).to_string());
    for quiet in
        ["OPENCODE_DISABLE_AUTOUPDATE", "OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD"]
    {
        env.insert(quiet.to_owned(), "1".to_owned());
    }
    let files = vec![HomeFile::new(".config/opencode/tanuki.md", order.instructions.to_owned())];
    Invocation { env, files, command: words(&["opencode"]), ..Invocation::default() }
}

/// What is not allowed is denied: a question would be answered with no, and end the turn as if all were well.
fn permission(order: &Order<'_>) -> Value {
    let mut out = Map::new();
    let usual = if order.allow.is_empty() { "allow" } else { "deny" };
    out.insert("*".to_owned(), usual.into());
    let mut put = |tool: &String, verdict: &str, otherwise: &str| {
        let (name, pattern) = tools::opencode(tool);
        match pattern {
            None => drop(out.insert(name, verdict.into())),
            Some(pattern) => {
                let patterns = out.entry(name).or_insert_with(|| json!({ "*": otherwise }));
                if let Value::Object(patterns) = patterns {
                    patterns.insert(pattern, verdict.into());
                }
            }
        }
    };
    for tool in order.allow {
        put(tool, "allow", "deny");
    }
    for tool in order.deny {
        put(tool, "deny", "allow");
    }
    Value::Object(out)
}

pub(super) fn headless(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    out.command.extend(words(&["run", "--format", "json"]));
    option(&mut out.command, "--model", order.model);
    option(&mut out.command, "--session", order.session);
    out.command.extend(order.adapter.args.iter().cloned());
    if order.prompt.len() > LONGEST_ARGUMENT {
        out.stdin = Some(order.prompt.to_owned());
    } else {
        out.command.extend(["--".to_owned(), order.prompt.to_owned()]);
    }
    out
}

pub(super) fn interactive(order: &Order<'_>) -> Invocation {
    let mut out = begin(order);
    option(&mut out.command, "--model", order.model);
    option(&mut out.command, "--session", order.session);
    out.command.extend(order.adapter.args.iter().cloned());
    out
}

/// Events of `run --format json`. There is no last one: the end is the end of the stream and the exit code.
#[derive(Debug, Default)]
pub(super) struct Events {
    session: Option<String>,
    last: String,
    rejected: Option<String>,
    error: Option<(RunFailure, String)>,
    finished: Option<String>,
    /// Answers that only used tools.
    steps: u32,
    usage: Usage,
}

impl Events {
    fn tool(&mut self, part: &Value, out: &mut Items<'_>) {
        out.tool(text(part, "/tool"), part.pointer("/state/input").unwrap_or(&Value::Null));
        let error = text(part, "/state/error");
        if error.is_empty() {
            out.result(OutputKind::ToolResult, text(part, "/state/output"));
        } else {
            out.result(OutputKind::Error, error);
            if error.contains("rejected permission") {
                self.rejected = Some(cut(text(part, "/tool"), 100));
            }
        }
    }

    fn step(&mut self, part: &Value) {
        self.finished = Some(text(part, "/reason").to_owned());
        self.steps += u32::from(text(part, "/reason") == "tool-calls");
        let number = |path: &str| part.pointer(path).and_then(Value::as_u64);
        let sum = |paths: &[&str]| paths.iter().filter_map(|path| number(path)).reduce(u64::saturating_add);
        let cost = part.get("cost").and_then(Value::as_f64).map(|cost| (cost * 1e6).round().max(0.0) as u64);
        self.usage = self.usage.plus(Usage {
            turns: Some(1),
            input_tokens: sum(&["/tokens/input", "/tokens/cache/read", "/tokens/cache/write"]),
            output_tokens: sum(&["/tokens/output", "/tokens/reasoning"]),
            cost_microdollars: cost,
        });
    }
}

impl Dialect for Events {
    fn event(&mut self, event: &Value, out: &mut Items<'_>) {
        if let Some(session) = event.get("sessionID").and_then(Value::as_str) {
            self.session = Some(cut(session, 200));
        }
        let part = event.get("part").unwrap_or(&Value::Null);
        match text(event, "/type") {
            "text" => {
                self.last = tail(text(part, "/text"));
                out.text(OutputKind::Text, text(part, "/text"));
            }
            "reasoning" => out.text(OutputKind::Thinking, text(part, "/text")),
            "tool_use" => self.tool(part, out),
            "step_finish" => self.step(part),
            "error" => {
                let message = cut(text(event, "/error/data/message"), 500);
                let message =
                    if message.is_empty() { text(event, "/error/name").to_owned() } else { message };
                let status = event.pointer("/error/data/statusCode").and_then(Value::as_u64);
                out.text(OutputKind::Error, &message);
                self.error = Some((classify(&message, status), message));
            }
            _ => {}
        }
    }

    fn steps(&self) -> u32 {
        self.steps
    }

    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome {
        let outcome = Outcome {
            session: self.session.take(),
            final_message: std::mem::take(&mut self.last),
            usage: self.usage,
            ..Outcome::default()
        };
        if let Some((kind, message)) = self.error.take() {
            return outcome.failed(kind, message);
        }
        if let Some(tool) = self.rejected.take() {
            return outcome.failed(RunFailure::Denied, format!("denied: {tool}"));
        }
        match (exit, self.finished.as_deref()) {
            (Some(0), Some("stop")) => outcome,
            (Some(0), Some(reason)) => {
                outcome.failed(RunFailure::NoResult, format!("it ended in the middle: {}", cut(reason, 100)))
            }
            _ => silent(outcome, exit, stderr),
        }
    }
}
