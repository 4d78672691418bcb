//! A conversation as any of the interfaces tells it: who said what, and which tools the CLI offers.

use serde_json::{Value, json};

use crate::script::{self, Step, Turn};

/// Where agents work; some tools want absolute paths.
const WORKSPACE: &str = "/workspace";

/// Tools that run a shell command, by the CLIs' names for them.
const SHELLS: [&str; 6] = ["Bash", "exec_command", "shell_command", "shell", "run_shell_command", "bash"];

#[derive(Debug, Default)]
pub(crate) struct Conversation {
    /// In order.
    pub(crate) said: Vec<Said>,
    pub(crate) tools: Vec<Tool>,
}

#[derive(Debug)]
pub(crate) enum Said {
    /// By the person, or by the CLI in the person's place.
    User(String),
    /// The model called so many tools.
    Calls(usize),
    /// A tool's result.
    Result(String),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tool {
    pub(crate) name: String,
    /// JSON Schema of its arguments.
    pub(crate) parameters: Value,
    /// Codex groups tools.
    pub(crate) namespace: Option<String>,
}

impl Conversation {
    /// What the model answers now. The newest message with a script counts.
    pub(crate) fn turn(&self) -> Turn {
        let (mut steps, mut calls, mut result) = (Vec::new(), 0, "");
        for said in &self.said {
            match said {
                Said::User(text) => {
                    let these = script::steps(text);
                    if !these.is_empty() {
                        (steps, calls, result) = (these, 0, "");
                    }
                }
                Said::Calls(count) => calls += count,
                Said::Result(text) => result = text,
            }
        }
        match script::turn(&steps, calls, result) {
            // Titles and summaries are asked for without tools.
            Turn::Call(_) if self.tools.is_empty() => Turn::Say("Stand-in".to_owned()),
            Turn::Call(step) if self.call(&step).is_none() => {
                Turn::Say(format!("There is no tool for {step:?}."))
            }
            turn => turn,
        }
    }

    /// The tool for a step, and its arguments.
    pub(crate) fn call(&self, step: &Step) -> Option<(&Tool, Value)> {
        match step {
            Step::Run(command) => self.shell(command),
            Step::Write { path, text } => match self.tool("Write") {
                Some(tool) => {
                    let path =
                        if path.starts_with('/') { path.clone() } else { format!("{WORKSPACE}/{path}") };
                    Some((tool, json!({ "file_path": path, "content": format!("{text}\n") })))
                }
                None => self.shell(&format!("printf '%s\\n' {} > {}", quoted(text), quoted(path))),
            },
            _ => None,
        }
    }

    fn shell(&self, command: &str) -> Option<(&Tool, Value)> {
        let tool = SHELLS.iter().find_map(|name| self.tool(name))?;
        let property = |name: &str| tool.parameters.pointer(&format!("/properties/{name}"));
        let mut arguments = match property("command") {
            Some(command_property) if command_property["type"] == "array" => {
                json!({ "command": ["bash", "-c", command] })
            }
            Some(_) => json!({ "command": command }),
            None => json!({ "cmd": command }),
        };
        if property("description").is_some() {
            arguments["description"] = "a step of the script".into();
        }
        Some((tool, arguments))
    }

    fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }
}

/// The text of a message: a string, or a list of parts.
pub(crate) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

/// The items of a list, none when it is something else.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
