//! Typed reading of a merged tree: says what is wrong and goes on, so that one look finds everything.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::{Diagnostic, Severity};
use super::keys::join;
use super::source::{Mark, Sources, line_of, token_length};
use super::units;
use super::yaml::{self, Node, Value};

/// A value of the tree with the keys that lead to it.
#[derive(Debug, Clone)]
pub(super) struct At<'n> {
    /// `services.postgres.port`.
    pub(super) path: String,
    /// The value.
    pub(super) node: &'n Node,
    /// Where its key is, if it has one.
    pub(super) key: Option<Mark>,
    /// Its key; empty for the whole tree and for items of lists.
    pub(super) name: &'n str,
}

impl<'n> At<'n> {
    /// The whole tree.
    pub(super) fn root(node: &'n Node) -> Self {
        Self { path: String::new(), node, key: None, name: "" }
    }

    /// The value of a key; absent also when it is null, which is the same as left out.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let entry = self.node.get(key).filter(|entry| entry.node.value != Value::Null)?;
        Some(self.below(entry))
    }

    /// All keys with their values; none when this is not a mapping.
    pub(super) fn entries(&self) -> Vec<Self> {
        let Value::Map(entries) = &self.node.value else { return Vec::new() };
        entries.iter().map(|entry| self.below(entry)).collect()
    }

    fn below(&self, entry: &'n yaml::Entry) -> Self {
        let path = join(&self.path, &entry.key);
        Self { path, node: &entry.node, key: Some(entry.key_mark), name: &entry.key }
    }

    fn items(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else { return None };
        let at = |(index, node)| Self { path: format!("{}[{index}]", self.path), node, key: None, name: "" };
        Some(items.iter().enumerate().map(at).collect())
    }

    /// Its key where it has one, else the value.
    pub(super) fn mark(&self) -> Mark {
        self.key.unwrap_or(self.node.mark)
    }
}

/// Something found, not located yet: locating costs a reading of the file.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    mark: Option<Mark>,
    path: String,
    message: String,
    help: String,
}

/// Where an effective value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The value's place.
    pub(super) mark: Mark,
    /// It holds a secret of the environment.
    pub(super) secret: bool,
}

/// Reads values and collects what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Where values come from.
    pub(super) sources: Sources,
    findings: Vec<Finding>,
    /// Places of the values that were read, by path.
    pub(super) seen: BTreeMap<String, Seen>,
    /// Files that values name and that were read for them.
    pub(super) files: Vec<PathBuf>,
    /// How many floats were looked up.
    written: usize,
}

impl Reader {
    pub(super) fn new(sources: Sources) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Reports an error about a value.
    pub(super) fn error(&mut self, at: &At<'_>, message: impl Into<String>, help: impl Into<String>) {
        self.error_at(at.node.mark, &at.path, message, help);
    }

    /// Reports an error about the place of a mark.
    pub(super) fn error_at(
        &mut self,
        mark: Mark,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.find(Severity::Error, Some(mark), path, message.into(), help.into());
    }

    /// Reports an error that is about no place in a file.
    pub(super) fn error_outside(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.find(Severity::Error, None, "", message.into(), help.into());
    }

    /// Reports a warning about the place of a mark.
    pub(super) fn warn_at(
        &mut self,
        mark: Mark,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.find(Severity::Warning, Some(mark), path, message.into(), help.into());
    }

    fn find(&mut self, severity: Severity, mark: Option<Mark>, path: &str, message: String, help: String) {
        self.findings.push(Finding { severity, mark, path: path.to_owned(), message, help });
    }

    /// Whether an error was found.
    pub(super) fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Notes where the value of a path comes from.
    pub(super) fn note(&mut self, path: &str, at: &At<'_>) {
        self.seen.insert(path.to_owned(), Seen { mark: at.node.mark, secret: at.node.secret });
    }

    /// Everything found, located and in the order of the sources.
    pub(super) fn diagnostics(&mut self) -> Vec<Diagnostic> {
        let mut findings = std::mem::take(&mut self.findings);
        findings.sort_by_key(|finding| finding.mark);
        let limit = self.sources.iter().map(|source| yaml::locatable(&source.text)).min().unwrap_or(20);
        let more = findings.len().saturating_sub(limit);
        findings.truncate(limit);
        let mut all: Vec<_> = findings.into_iter().map(|finding| self.locate(finding)).collect();
        all.dedup();
        if more > 0 {
            all.push(Diagnostic::error(format!("{more} more problems are not shown"), ""));
        }
        all
    }

    fn locate(&self, finding: Finding) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(finding.message, finding.help);
        diagnostic.severity = finding.severity;
        diagnostic.path = (!finding.path.is_empty()).then_some(finding.path);
        if let Some(mark) = finding.mark
            && let Some(source) = self.sources.get(mark.source)
        {
            diagnostic.label.clone_from(&source.label);
            diagnostic.file.clone_from(&source.path);
            if let Some(position) = yaml::locate(&source.text, mark.node) {
                diagnostic.place_at(&source.text, &position);
            }
        }
        diagnostic
    }

    fn expected(&mut self, at: &At<'_>, what: &str, help: &str) {
        self.error(at, format!("expected {what}, found {}", describe(at.node)), help);
    }

    /// A mapping.
    pub(super) fn map<'n>(&mut self, at: At<'n>) -> Option<At<'n>> {
        if matches!(at.node.value, Value::Map(_)) {
            return Some(at);
        }
        self.expected(&at, "a mapping (`key: value` lines)", "");
        None
    }

    /// A list.
    pub(super) fn list<'n>(&mut self, at: &At<'n>) -> Option<Vec<At<'n>>> {
        let items = at.items();
        match items {
            Some(_) => self.note(&at.path, at),
            None => self.expected(at, "a list", "write `[a, b]`, or one `- a` per line"),
        }
        items
    }

    /// A scalar as text: numbers as they are written.
    pub(super) fn scalar(&mut self, at: &At<'_>) -> Option<String> {
        let text = match &at.node.value {
            Value::Text(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => self.written(at).unwrap_or_else(|| value.to_string()),
            _ => {
                self.expected(at, "text", "");
                return None;
            }
        };
        if text.contains('\0') {
            self.error(at, "a NUL character cannot be here", "");
            return None;
        }
        self.note(&at.path, at);
        Some(text)
    }

    /// A float's text: `1.10` is a version, not 1.1.
    fn written(&mut self, at: &At<'_>) -> Option<String> {
        let source = self.sources.get(at.node.mark.source)?;
        self.written += 1;
        if self.written > yaml::locatable(&source.text) {
            return None;
        }
        let position = yaml::locate(&source.text, at.node.mark.node)?;
        let line = line_of(&source.text, position.line);
        let length = token_length(line, position.column);
        Some(line.chars().skip(position.column - 1).take(length).collect())
    }

    /// Text or a number, not empty.
    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        if let Value::Bool(_) = at.node.value {
            self.expected(at, "text", "put quotes around it");
            return None;
        }
        let text = self.scalar(at)?;
        if text.trim().is_empty() {
            self.error(at, "this is empty", "give it a value, or remove the key");
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, at: &At<'_>) -> Option<bool> {
        let value = match &at.node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        match value {
            Some(_) => self.note(&at.path, at),
            None => self.expected(at, "true or false", ""),
        }
        value
    }

    /// A whole number, also as text.
    pub(super) fn whole(&mut self, at: &At<'_>, low: u64, high: u64) -> Option<u64> {
        self.whole_as(at, "whole number", low, high)
    }

    fn whole_as(&mut self, at: &At<'_>, what: &str, low: u64, high: u64) -> Option<u64> {
        let value = match &at.node.value {
            Value::Int(value) => Some(*value),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let value =
            value.and_then(|value| u64::try_from(value).ok()).filter(|value| (low..=high).contains(value));
        match value {
            Some(_) => self.note(&at.path, at),
            None => self.expected(at, &format!("a {what} from {low} to {high}"), ""),
        }
        value
    }

    /// A port.
    pub(super) fn port(&mut self, at: &At<'_>) -> Option<u16> {
        if let Value::Text(text) = &at.node.value
            && text.contains(':')
            && !at.node.secret
        {
            let help = "name the container's port here and the host's in `host_port`, or use `ports`";
            self.expected(at, "a port from 1 to 65535", help);
            return None;
        }
        self.whole_as(at, "port", 1, 65_535).and_then(|port| u16::try_from(port).ok())
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, at: &At<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = match &at.node.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            self.note(&at.path, at);
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = super::keys::nearest(text, &names).map(|near| format!("did you mean `{near}`?"));
        self.expected(at, &format!("one of {}", names.join(", ")), &help.unwrap_or_default());
        None
    }

    fn unit<T>(
        &mut self,
        at: &At<'_>,
        what: &str,
        help: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match &at.node.value {
            Value::Text(text) => text.clone(),
            Value::Int(value) => value.to_string(),
            Value::Float(_) => self.scalar(at)?,
            _ => {
                self.expected(at, what, help);
                return None;
            }
        };
        match parse(&text) {
            Ok(value) => {
                self.note(&at.path, at);
                Some(value)
            }
            Err(why) => {
                // The reason may quote the value.
                let message = match at.node.secret {
                    true => format!("expected {what}, found {}", describe(at.node)),
                    false => format!("{} is not {what}: {why}", describe(at.node)),
                };
                self.error(at, message, help);
                None
            }
        }
    }

    /// A length of time.
    pub(super) fn duration(&mut self, at: &At<'_>) -> Option<Duration> {
        self.unit(at, "a duration", "write it as `5s`, `500ms` or `1m30s`", units::duration)
    }

    /// A length of time longer than zero.
    pub(super) fn positive_duration(&mut self, at: &At<'_>) -> Option<Duration> {
        let duration = self.duration(at)?;
        if duration.is_zero() {
            self.error(at, "this must be longer than 0", "");
            return None;
        }
        Some(duration)
    }

    /// A number of bytes.
    pub(super) fn bytes(&mut self, at: &At<'_>) -> Option<u64> {
        self.unit(at, "a size", "write it as `64m` or `1g`", units::bytes)
    }

    /// A number of processors, in thousandths.
    pub(super) fn cpus(&mut self, at: &At<'_>) -> Option<u64> {
        self.unit(at, "a number of processors", "write it as `2` or `0.5`", units::milli_cpus)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, at: &At<'_>) -> Vec<String> {
        let items = self.list(at).unwrap_or_default();
        items.iter().filter_map(|item| self.scalar(item)).collect()
    }

    /// A text, or a list of them.
    pub(super) fn text_or_list<'n>(&mut self, at: &At<'n>) -> Vec<At<'n>> {
        match at.node.value {
            Value::List(_) => self.list(at).unwrap_or_default(),
            _ => vec![at.clone()],
        }
    }

    /// A command: its words, or a line that is split as a shell would.
    pub(super) fn argv(&mut self, at: &At<'_>) -> Option<Vec<String>> {
        if let Value::List(_) = at.node.value {
            return Some(self.texts(at));
        }
        let line = self.scalar(at)?;
        match shell_words::split(&line) {
            Ok(words) => Some(words),
            Err(_error) => {
                self.error(at, "a quotation mark is not closed", "write the command as a list of words");
                None
            }
        }
    }
}

/// What a value is, for error messages. Long texts are cut, secrets are not shown.
fn describe(node: &Node) -> String {
    match &node.value {
        _ if node.secret => "a value from a secret variable".to_owned(),
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Int(value) => format!("`{value}`"),
        Value::Float(value) => format!("`{value}`"),
        Value::Text(text) if text.is_empty() => "an empty text".to_owned(),
        Value::Text(text) => format!("`{}`", clipped(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// The first 60 characters of a text.
pub(super) fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
