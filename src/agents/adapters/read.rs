//! Reads what an agent CLI prints: bytes in, readable items out, one outcome at the end.

use std::fmt::Debug;

use serde_json::Value;

use super::lines::{Line, Lines};
use super::{claude, codex, command, gemini, opencode};
use crate::model::{AdapterKind, OutputKind, RunFailure, Usage};

/// Most of a final message that is kept: its end.
const FINAL: usize = 256 << 10;
/// Most lines of one tool's answer that are shown.
const TOOL_LINES: usize = 20;
/// Longest readable line, in bytes.
const READABLE: usize = 4 << 10;

/// A readable line, not yet known whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: OutputKind,
    /// The line.
    pub text: String,
}

/// How an invocation went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Why it failed; absent for a success.
    pub failure: Option<RunFailure>,
    /// How it failed, for people.
    pub message: String,
    /// What the agent said last.
    pub final_message: String,
    /// The session, to resume.
    pub session: Option<String>,
    /// What it used.
    pub usage: Usage,
    /// Whether the usage is that of the whole session, earlier runs included.
    pub cumulative: bool,
}

impl Outcome {
    pub(super) fn failed(mut self, failure: RunFailure, message: impl Into<String>) -> Self {
        (self.failure, self.message) = (Some(failure), message.into());
        self
    }
}

/// What one agent CLI's events mean.
pub(super) trait Dialect: Debug + Send {
    /// Takes one event.
    fn event(&mut self, event: &Value, out: &mut Items<'_>);

    /// Takes a line that is no event.
    fn plain(&mut self, line: &str, out: &mut Items<'_>) {
        out.line(OutputKind::Text, line);
    }

    /// Whether lines are events at all.
    fn has_events(&self) -> bool {
        true
    }

    /// Takes notice of an event that was too long to read.
    fn unread(&mut self) {}

    /// Answers of the model that only used tools, as far as the program's events tell them: each takes a turn, and the
    /// next answer another one. Told of programs that do not count turns themselves.
    fn steps(&self) -> u32 {
        0
    }

    /// Hands out what it held back.
    fn flush(&mut self, _out: &mut Items<'_>) {}

    /// How it went, going by events and exit code together. `stderr` is the last line there.
    fn outcome(&mut self, exit: Option<i64>, stderr: &str) -> Outcome;
}

/// Where items go.
#[derive(Debug)]
pub(super) struct Items<'a>(pub(super) &'a mut Vec<Item>);

impl Items<'_> {
    /// One line.
    pub(super) fn line(&mut self, kind: OutputKind, text: &str) {
        self.0.push(Item { kind, text: cut(text, READABLE) });
    }

    /// A text of several lines, whole.
    pub(super) fn text(&mut self, kind: OutputKind, text: &str) {
        for line in text.trim_end().lines() {
            self.line(kind, line);
        }
    }

    /// What a tool answered: its first lines.
    pub(super) fn result(&mut self, kind: OutputKind, text: &str) {
        let text = text.trim_end();
        for line in text.lines().take(TOOL_LINES) {
            self.line(kind, line);
        }
        let more = text.lines().count().saturating_sub(TOOL_LINES);
        if more > 0 {
            self.line(kind, &format!("({more} more lines)"));
        }
    }

    /// A tool that is used, with the most telling part of what it is given.
    pub(super) fn tool(&mut self, name: &str, input: &Value) {
        const TELLING: [&str; 10] = [
            "command",
            "file_path",
            "filePath",
            "path",
            "pattern",
            "query",
            "url",
            "description",
            "prompt",
            "absolute_path",
        ];
        let told = TELLING.iter().find_map(|key| input.get(key)?.as_str()).map(str::to_owned);
        let told = told.or_else(|| match input {
            Value::Null => None,
            Value::Object(map) if map.is_empty() => None,
            other => Some(other.to_string()),
        });
        let mut lines = told.as_deref().unwrap_or_default().trim().lines();
        let first = cut(lines.next().unwrap_or_default(), 300);
        let more = if lines.next().is_some() { " …" } else { "" };
        let text = if first.is_empty() { name.to_owned() } else { format!("{name}: {first}{more}") };
        self.line(OutputKind::Tool, &text);
    }
}

/// `text`, at most `most` bytes of it.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} more bytes)", &text[..end], text.len() - end)
}

/// The end of `text`, as much as is kept of a final message.
pub(super) fn tail(text: &str) -> String {
    let mut start = text.len().saturating_sub(FINAL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

/// A string field.
pub(super) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// How a program that told nothing ended.
pub(super) fn silent(outcome: Outcome, exit: Option<i64>, stderr: &str) -> Outcome {
    let said = if stderr.is_empty() { String::new() } else { format!(": {}", cut(stderr, 300)) };
    match exit {
        Some(126 | 127) => {
            outcome.failed(RunFailure::NotStarted, format!("the program could not be started{said}"))
        }
        Some(code @ 129..=192) => outcome
            .failed(RunFailure::Killed, format!("the program was ended by signal {}{said}", code - 128)),
        Some(0) => outcome
            .failed(RunFailure::NoResult, format!("the program ended without telling how it went{said}")),
        Some(code) => match super::classify::classify(stderr, None) {
            RunFailure::Other => {
                outcome.failed(RunFailure::NoResult, format!("the program ended with exit code {code}{said}"))
            }
            kind => outcome.failed(kind, format!("the program ended with exit code {code}{said}")),
        },
        None => outcome.failed(RunFailure::Killed, format!("the program was killed{said}")),
    }
}

/// Reads one invocation's output, in bounded memory.
#[derive(Debug)]
pub struct Reader {
    stdout: Lines,
    stderr: Lines,
    dialect: Box<dyn Dialect>,
    last_error: String,
    most_turns: u32,
}

impl Reader {
    /// A reader of this agent CLI's output.
    pub fn new(kind: AdapterKind) -> Self {
        let dialect: Box<dyn Dialect> = match kind {
            AdapterKind::Claude => Box::<claude::Events>::default(),
            AdapterKind::Codex => Box::<codex::Events>::default(),
            AdapterKind::Gemini => Box::<gemini::Events>::default(),
            AdapterKind::Opencode => Box::<opencode::Events>::default(),
            AdapterKind::Command => Box::<command::Events>::default(),
        };
        Self {
            stdout: Lines::default(),
            stderr: Lines::default(),
            dialect,
            last_error: String::new(),
            most_turns: u32::MAX,
        }
    }

    /// The same for a program that is to take so many turns and no more.
    #[must_use]
    pub fn with_most_turns(self, most_turns: u32) -> Self {
        Self { most_turns, ..self }
    }

    /// Whether the program has used all its turns and goes on. Never so of programs that are told how many they have.
    pub fn is_out_of_turns(&self) -> bool {
        self.dialect.steps() >= self.most_turns
    }

    /// Takes what came on standard output.
    pub fn stdout(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        let Self { stdout, dialect, .. } = self;
        stdout.feed(bytes, |line| take(dialect.as_mut(), &line, out));
    }

    /// Takes what came on standard error.
    pub fn stderr(&mut self, bytes: &[u8], out: &mut Vec<Item>) {
        let Self { stderr, dialect, last_error, .. } = self;
        stderr.feed(bytes, |line| take_error(dialect.as_ref(), &line, last_error, out));
    }

    /// How it went. `exit` is absent when the program was killed together with who waits for it.
    pub fn finish(mut self, exit: Option<i64>, out: &mut Vec<Item>) -> Outcome {
        if let Some(line) = self.stdout.rest() {
            take(self.dialect.as_mut(), &line, out);
        }
        if let Some(line) = self.stderr.rest() {
            take_error(self.dialect.as_ref(), &line, &mut self.last_error, out);
        }
        self.dialect.flush(&mut Items(out));
        let (out_of_turns, outcome) = (self.is_out_of_turns(), self.dialect.outcome(exit, &self.last_error));
        // Of an error that came first there is more to say.
        if out_of_turns && outcome.failure.is_none_or(|failure| failure == RunFailure::Killed) {
            return outcome.failed(RunFailure::TurnLimit, "all turns are used");
        }
        outcome
    }
}

fn take(dialect: &mut dyn Dialect, line: &Line, out: &mut Vec<Item>) {
    let mut out = Items(out);
    if line.skipped > 0 {
        let said = format!("a line of {} bytes was too long to read", line.text.len() as u64 + line.skipped);
        if dialect.has_events() {
            dialect.unread();
            out.line(OutputKind::Note, &said);
            return;
        }
        dialect.plain(&line.text, &mut out);
        out.line(OutputKind::Note, &said);
        return;
    }
    let event = (dialect.has_events() && line.text.trim_start().starts_with('{'))
        .then(|| serde_json::from_str::<Value>(&line.text).ok())
        .flatten();
    match event {
        Some(event) => dialect.event(&event, &mut out),
        None if line.text.trim().is_empty() && dialect.has_events() => {}
        None => dialect.plain(&line.text, &mut out),
    }
}

fn take_error(dialect: &dyn Dialect, line: &Line, last: &mut String, out: &mut Vec<Item>) {
    // Claude Code's remarks on itself.
    if line.text.starts_with("[claude-code:") || (line.text.trim().is_empty() && dialect.has_events()) {
        return;
    }
    if !line.text.trim().is_empty() {
        *last = cut(line.text.trim(), READABLE);
    }
    Items(out).line(OutputKind::Text, &line.text);
}
