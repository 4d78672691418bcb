//! Any program: what it prints is what it says, and its exit code is how it went.

use serde_json::Value;

use super::read::{Dialect, Items, Outcome, cut, silent, tail};
use super::{AdapterError, Invocation, Order};
use crate::model::{OutputKind, RunFailure};

const PROMPT: &str = "{prompt}";

/// Model, role and turns are told by variables, for programs that care.
fn begin(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    if order.adapter.run.is_empty() {
        return Err(AdapterError::NoProgram { adapter: order.name.to_owned() });
    }
    if order.is_restricted() {
        return Err(AdapterError::Policy { adapter: order.name.to_owned() });
    }
    let mut env = order.pass(&[]);
    env.insert("TANUKI_INSTRUCTIONS".to_owned(), order.instructions.to_owned());
    env.insert("TANUKI_MAX_TURNS".to_owned(), order.max_turns.to_string());
    if let Some(model) = order.model {
        env.insert("TANUKI_MODEL".to_owned(), model.to_owned());
    }
    Ok(Invocation { env, ..Invocation::default() })
}

pub(super) fn headless(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    let mut out = begin(order)?;
    let run = order.adapter.run.iter().chain(&order.adapter.args);
    out.command = run.map(|word| word.replace(PROMPT, order.prompt)).collect();
    if !order.adapter.run.iter().any(|word| word.contains(PROMPT)) {
        out.stdin = Some(order.prompt.to_owned());
    }
    Ok(out)
}

pub(super) fn interactive(order: &Order<'_>) -> Result<Invocation, AdapterError> {
    let mut out = begin(order)?;
    let run = order.adapter.run.iter().chain(&order.adapter.args);
    out.command = run.filter(|word| !word.contains(PROMPT)).cloned().collect();
    Ok(out)
}

/// Plain lines.
#[derive(Debug, Default)]
pub(super) struct Events {
    said: String,
}

impl Dialect for Events {
    fn event(&mut self, _event: &Value, _out: &mut Items<'_>) {}

    fn plain(&mut self, line: &str, out: &mut Items<'_>) {
        self.said.push_str(line);
        self.said.push('\n');
        if self.said.len() > 1 << 20 {
            self.said = tail(&self.said);
        }
        out.line(OutputKind::Text, line);
    }

    fn has_events(&self) -> bool {
        false
    }

    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome {
        let outcome = Outcome { final_message: tail(&self.said), ..Outcome::default() };
        match exit {
            Some(0) => outcome,
            Some(code @ (1..=125 | 128)) => {
                let said = if stderr.is_empty() { String::new() } else { format!(": {}", cut(stderr, 300)) };
                outcome.failed(RunFailure::Other, format!("the program ended with exit code {code}{said}"))
            }
            _ => silent(outcome, exit, stderr),
        }
    }
}
