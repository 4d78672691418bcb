//! Codex CLI.
//!
//! It gives no signal that it waits for a person, and needs none here: it asks for no approval where the container is its
//! sandbox. Its `notify` tells the end of a turn only, and its hooks run only once a person has trusted them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::classify::classify;
use super::read::{Dialect, Items, Outcome, cut, silent, tail, text};
use super::{AdapterError, HOME, HomeFile, Invocation, Order, option, words};
use crate::model::{OutputKind, RunFailure, Usage};

pub(super) const SECRETS: &[&str] = &["CODEX_API_KEY", "OPENAI_API_KEY"];
pub(super) const VARIABLES: &[&str] = &["CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"];

/// Its own sandbox cannot start in a container, and would end with a success that did nothing; the container is the
/// sandbox. So there is nothing that could hold it to a list of tools.
fn begin(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    if order.is_restricted() {
        return Err(AdapterError::Policy { adapter: order.name.to_owned() });
    }
    let mut env = order.pass(VARIABLES);
    env.insert("CODEX_HOME".to_owned(), format!("{HOME}/.codex"));
    // `exec` does not look at the other name, nor at the variable of the address.
    if let (None, Some(key)) = (env.get("CODEX_API_KEY"), order.credentials.get("OPENAI_API_KEY")) {
        env.insert("CODEX_API_KEY".to_owned(), key.clone());
    }
    let files = vec![
        HomeFile::new(".codex/config.toml", config(order)),
        HomeFile::new(".codex/AGENTS.md", order.instructions.to_owned()),
    ];
    Ok(Invocation { env, files, ..Invocation::default() })
}

/// A configuration by which nothing is contacted but the model's service, and waiting for it ends.
fn config(order: &Order<'_>) -> String {
    let mut out = String::from("check_for_update_on_startup = false\n");
    if let Some(address) = order.credentials.get("OPENAI_BASE_URL") {
        // A JSON string is a TOML basic string.
        let _infallible = writeln!(out, "openai_base_url = {}", Value::from(address.as_str()));
    }
    out.push_str(
        "\n[analytics]\nenabled = false\n\n[features]\nplugins = false\napps = false\nremote_plugin = false\n\
         unbounded_connection_retries = false\n\n[projects.\"/workspace\"]\ntrust_level = \"trusted\"\n",
    );
    out
}

pub(super) fn headless(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    let mut out = begin(order)?;
    out.command = words(&["codex", "exec", "--json", "--dangerously-bypass-approvals-and-sandbox"]);
    option(&mut out.command, "--model", order.model);
    out.command.extend(order.adapter.args.iter().cloned());
    if let Some(session) = order.session {
        out.command.extend(words(&["resume", session]));
    }
    out.command.push("-".to_owned());
    out.stdin = Some(order.prompt.to_owned());
    Ok(out)
}

pub(super) fn interactive(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    let mut out = begin(order)?;
    out.command = words(&["codex", "--dangerously-bypass-approvals-and-sandbox"]);
    option(&mut out.command, "--model", order.model);
    out.command.extend(order.adapter.args.iter().cloned());
    if let Some(session) = order.session {
        out.command.extend(words(&["resume", session]));
    }
    Ok(out)
}

/// Types of items that are tools at work.
const TOOLS: [&str; 4] = ["command_execution", "file_change", "mcp_tool_call", "web_search"];
/// Tools that are known to be at work at once.
const MOST_WORKING: usize = 64;

/// Events of `exec --json`.
#[derive(Debug, Default)]
pub(super) struct Events {
    thread: Option<String>,
    last: String,
    /// What may have been its last message was too long to read.
    unread: bool,
    declined: bool,
    usage: Option<Usage>,
    /// Tools at work, by their items' ids.
    working: BTreeSet<String>,
    /// How often tools have answered, those at work at the same time once: each time it is the model's turn again.
    answered: u32,
    failed: Option<String>,
    last_error: String,
}

impl Events {
    fn tool(&mut self, id: &str, completed: bool) {
        if !completed {
            if self.working.len() < MOST_WORKING {
                self.working.insert(cut(id, 100));
            }
            return;
        }
        self.working.remove(&cut(id, 100));
        self.answered = self.answered.saturating_add(u32::from(self.working.is_empty()));
    }

    fn item(&mut self, item: &Value, completed: bool, out: &mut Items<'_>) {
        if TOOLS.contains(&text(item, "/type")) {
            self.tool(text(item, "/id"), completed);
        }
        match text(item, "/type") {
            "agent_message" if completed => {
                self.last = tail(text(item, "/text"));
                self.unread = false;
                out.text(OutputKind::Text, text(item, "/text"));
            }
            "reasoning" if completed => out.text(OutputKind::Thinking, text(item, "/text")),
            "command_execution" if completed => {
                let status = text(item, "/status");
                self.declined |= status == "declined";
                let code = item.get("exit_code").and_then(Value::as_i64).filter(|code| *code != 0);
                let kind = if code.is_some() || status == "failed" || status == "declined" {
                    OutputKind::Error
                } else {
                    OutputKind::ToolResult
                };
                out.result(kind, text(item, "/aggregated_output"));
                if let Some(code) = code {
                    out.line(kind, &format!("exit code {code}"));
                }
            }
            "command_execution" => out.tool("shell", item),
            "file_change" if completed => {
                for change in item.get("changes").and_then(Value::as_array).into_iter().flatten() {
                    out.tool(text(change, "/kind"), change);
                }
            }
            "mcp_tool_call" | "web_search" if completed => {
                let tool = Some(text(item, "/tool")).filter(|tool| !tool.is_empty());
                out.tool(tool.unwrap_or(text(item, "/type")), item.get("arguments").unwrap_or(&Value::Null));
            }
            // Only a warning.
            "error" if completed => out.text(OutputKind::Note, text(item, "/message")),
            _ => {}
        }
    }
}

impl Dialect for Events {
    fn event(&mut self, event: &Value, out: &mut Items<'_>) {
        match text(event, "/type") {
            "thread.started" => self.thread = Some(cut(text(event, "/thread_id"), 200)),
            kind @ ("item.started" | "item.completed") => {
                if let Some(item) = event.get("item") {
                    self.item(item, kind == "item.completed", out);
                }
            }
            "error" => {
                self.last_error = cut(text(event, "/message"), 500);
                out.text(OutputKind::Error, text(event, "/message"));
            }
            "turn.failed" => {
                let message = text(event, "/error/message");
                if message != self.last_error {
                    out.text(OutputKind::Error, message);
                }
                self.failed = Some(cut(message, 500));
            }
            "turn.completed" => {
                let number = |path: &str| event.pointer(path).and_then(Value::as_u64);
                self.usage = Some(Usage {
                    turns: self.turns(),
                    input_tokens: number("/usage/input_tokens"),
                    output_tokens: number("/usage/output_tokens"),
                    cost_microdollars: None,
                });
            }
            _ => {}
        }
    }

    /// What it calls a turn is the whole of a run.
    fn turns(&self) -> Option<u32> {
        Some(self.answered.saturating_add(1))
    }

    fn unread(&mut self) {
        self.last.clear();
        self.unread = true;
    }

    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome {
        let outcome = Outcome {
            session: self.thread.take(),
            final_message: std::mem::take(&mut self.last),
            usage: self.usage.unwrap_or_default(),
            cumulative: true,
            ..Outcome::default()
        };
        if let Some(message) = self.failed.take() {
            return outcome.failed(classify(&message, None), message);
        }
        if self.usage.is_none() {
            let told = if self.last_error.is_empty() { stderr } else { &self.last_error };
            return silent(outcome, exit, told);
        }
        match exit {
            Some(0) => {}
            Some(code) => {
                return outcome.failed(RunFailure::Other, format!("the program ended with exit code {code}"));
            }
            None => return silent(outcome, exit, stderr),
        }
        if self.declined {
            return outcome.failed(RunFailure::Denied, "a command was declined");
        }
        if self.unread {
            return outcome.failed(RunFailure::NoResult, "what it said last was too long to be read");
        }
        if outcome.final_message.trim().is_empty() && self.answered == 0 {
            return outcome.failed(RunFailure::NoResult, "the agent said and did nothing");
        }
        outcome
    }
}
