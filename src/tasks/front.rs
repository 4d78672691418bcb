//! The front matter of a task file: read as YAML, changed line by line.
//!
//! Reading finds everything that is wrong at once, each with its line. Writing changes the values of single top-level
//! keys and nothing else, byte for byte: comments, unknown keys, order, line ends and a byte order mark stay; what
//! comes out is read again before it counts, so an edit either means what it should or is refused.

use serde_yaml::{Mapping, Value};

use crate::model::{Completion, Priority, TaskState, check_agent_name};

/// Longest front matter that is read.
const LIMIT: usize = 64 << 10;
/// Most tries that can be asked for.
const MOST_ITERATIONS: u64 = 1000;

/// What a task file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Front {
    /// Unique in the project.
    pub id: String,
    /// The id where there is none.
    pub title: String,
    /// Role of the agent it wants.
    pub role: Option<String>,
    /// Workstream it belongs to.
    pub workstream: Option<String>,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it is.
    pub status: TaskState,
    /// Ids of the tasks that must be complete first, each once, in order.
    pub depends_on: Vec<String>,
    /// The agent that has it.
    pub assigned_to: Option<String>,
    /// When it is done.
    pub completion: Completion,
    /// Its tags.
    pub tags: Vec<String>,
}

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Line, from 1; absent for the file as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Flaw {
    /// A flaw on a line.
    pub fn at(line: u32, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: Some(line), message: message.into(), help: help.into() }
    }

    /// A flaw of the file as a whole.
    pub fn whole(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line: None, message: message.into(), help: help.into() }
    }
}

/// A file as it was read: as much as could be understood, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What it says; absent where not even the id is known.
    pub front: Option<Front>,
    /// The prompt.
    pub body: String,
    /// What is wrong.
    pub flaws: Vec<Flaw>,
}

/// Reads a task file.
pub fn parse(text: &str) -> Parsed {
    let parts = match split(text) {
        Ok(parts) => parts,
        Err(flaw) => return Parsed { flaws: vec![flaw], ..Parsed::default() },
    };
    let body = parts.body.trim_matches(['\r', '\n']).to_owned();
    let mapping = match mapping(parts.yaml) {
        Ok(mapping) => mapping,
        Err(flaw) => return Parsed { front: None, body, flaws: vec![flaw] },
    };
    let mut reader = Reader { mapping: &mapping, yaml: parts.yaml, flaws: Vec::new() };
    let front = reader.front();
    Parsed { front, body, flaws: reader.flaws }
}

/// The line a top-level key is on, from 1 in the file; the first line where it has none of its own.
pub fn line_of(text: &str, key: &str) -> u32 {
    split(text).ok().and_then(|parts| key_line(parts.yaml, key)).map_or(1, |line| file_line(line.number))
}

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

/// Sets the values of top-level keys; `None` empties one that is there. Every other byte stays.
///
/// # Errors
///
/// The front matter is broken, or written in a way in which one line cannot be changed alone.
pub fn edit(text: &str, changes: &[(&str, Option<&str>)]) -> Result<String, Refused> {
    let broken = |flaw: Flaw| Refused(flaw.message);
    let before = mapping(split(text).map_err(broken)?.yaml).map_err(broken)?;
    let mut wanted = before.clone();
    let mut edited = text.to_owned();
    for (key, value) in changes {
        let value = value.filter(|value| !value.is_empty());
        if scalar(before.get(*key)).as_deref() == value {
            continue;
        }
        edited = edit_one(&edited, key, value).map_err(broken)?;
        wanted.insert((*key).into(), value.map_or(Value::Null, Into::into));
    }
    let after = split(&edited).and_then(|parts| mapping(parts.yaml)).map_err(broken)?;
    let same_body = || Some(split(text).ok()?.body == split(&edited).ok()?.body);
    if after != wanted || same_body() != Some(true) {
        let keys: Vec<&str> = changes.iter().map(|(key, _)| *key).collect();
        return Err(Refused(format!("{} cannot be changed on a line of its own", keys.join(" and "))));
    }
    Ok(edited)
}

fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn edit_one(text: &str, key: &str, value: Option<&str>) -> Result<String, Flaw> {
    let parts = split(text)?;
    let start = text.len() - parts.rest_len;
    let Some(line) = key_line(parts.yaml, key) else {
        let Some(value) = value else { return Ok(text.to_owned()) };
        let at = start + parts.yaml.len();
        let end = if text[..start].ends_with("\r\n") { "\r\n" } else { "\n" };
        return Ok(format!("{}{key}: {}{end}{}", &text[..at], plain(value, None), &text[at..]));
    };
    let (from, to) = (start + line.start, start + line.end);
    let content = text[from..to].trim_end_matches(['\r', '\n']);
    let end = &text[from + content.len()..to];
    let (head, old) = content.split_at(line.value);
    let (old_value, comment) = split_comment(old);
    let quote = old_value.trim_start().chars().next().filter(|first| matches!(first, '"' | '\''));
    let blank = &old_value[..old_value.len() - old_value.trim_start().len()];
    let blank = if blank.is_empty() { " " } else { blank };
    let new = match value {
        Some(value) => format!("{head}{blank}{}{comment}", plain(value, quote)),
        None if comment.is_empty() => head.to_owned(),
        None => format!("{head}{comment}"),
    };
    // What continues the old value on further lines goes with it.
    let to = start + line.continued;
    Ok(format!("{}{new}{end}{}", &text[..from], &text[to..]))
}

/// A value as it is written: in the quotes it had, and in quotes where it would be read as something else.
fn plain(value: &str, quote: Option<char>) -> String {
    let special = matches!(value, "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    match quote {
        Some(quote) => format!("{quote}{value}{quote}"),
        None if special => format!("\"{value}\""),
        None => value.to_owned(),
    }
}

/// Splits the part of a line after its colon into the value and what follows: blanks and a comment.
fn split_comment(rest: &str) -> (&str, &str) {
    let value_start = rest.len() - rest.trim_start().len();
    let mut quote = None;
    let mut previous = ' ';
    for (at, character) in rest.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') if at == value_start => quote = Some(character),
            (Some(open), _) if character == open && previous != '\\' => quote = None,
            (None, '#') if at == 0 || previous.is_whitespace() => {
                let value = rest[..at].trim_end();
                return (value, &rest[value.len()..]);
            }
            _ => {}
        }
        previous = character;
    }
    let value = rest.trim_end();
    (value, &rest[value.len()..])
}

#[derive(Debug)]
struct Parts<'t> {
    /// Between the two lines of dashes.
    yaml: &'t str,
    /// After them.
    body: &'t str,
    /// Bytes from the beginning of `yaml` to the end of the file.
    rest_len: usize,
}

fn is_fence(line: &str) -> bool {
    line.trim_end() == "---"
}

fn split(text: &str) -> Result<Parts<'_>, Flaw> {
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let help = "begin the file with a line `---`, then `id: …`, then another line `---`";
    let mut lines = content.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if !is_fence(first) {
        return Err(Flaw::at(1, "there is no front matter", help));
    }
    let rest = &content[first.len()..];
    let mut at = 0;
    for line in lines {
        if is_fence(line) {
            return Ok(Parts { yaml: &rest[..at], body: &rest[at + line.len()..], rest_len: rest.len() });
        }
        at += line.len();
        if at > LIMIT {
            break;
        }
    }
    Err(Flaw::at(1, "the front matter has no end", "close it with a line `---`"))
}

fn mapping(yaml: &str) -> Result<Mapping, Flaw> {
    let value: Value = serde_yaml::from_str(yaml).map_err(|error| {
        let line = error.location().map_or(0, |location| location.line().saturating_sub(1));
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let help = "values with `:` or `#` in them need quotes";
        Flaw::at(file_line(line), format!("broken YAML: {message}"), help)
    })?;
    match value {
        Value::Mapping(mapping) => Ok(mapping),
        Value::Null => Ok(Mapping::new()),
        _ => Err(Flaw::at(2, "the front matter is not a mapping", "write it as `key: value`, one per line")),
    }
}

/// Line of the file for a line of the YAML, from 0.
fn file_line(yaml_line: usize) -> u32 {
    u32::try_from(yaml_line).unwrap_or(u32::MAX).saturating_add(2)
}

#[derive(Debug)]
struct KeyLine {
    /// From 0.
    number: usize,
    start: usize,
    end: usize,
    /// Offset in the line at which the value begins, after the colon.
    value: usize,
    /// Where the lines that continue the value end.
    continued: usize,
}

/// The line of a top-level key.
fn key_line(yaml: &str, key: &str) -> Option<KeyLine> {
    let mut at = 0;
    let mut lines = yaml.split_inclusive('\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let start = at;
        at += line.len();
        let forms = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
        let rest = forms.iter().find_map(|form| line.strip_prefix(form.as_str()));
        let Some(after_key) = rest else { continue };
        let Some(value) = after_key.trim_start_matches([' ', '\t']).strip_prefix(':') else { continue };
        if !value.is_empty() && !value.starts_with(char::is_whitespace) {
            continue;
        }
        let (end, mut continued) = (at, at);
        let mut pending = at;
        for (_, next) in lines {
            pending += next.len();
            match next.trim() {
                // Blank lines and comments belong to whatever comes next.
                text if text.is_empty() || text.starts_with('#') => {}
                _ if next.starts_with([' ', '\t']) || next.starts_with("- ") => continued = pending,
                _ => break,
            }
        }
        return Some(KeyLine { number, start, end, value: line.len() - value.len(), continued });
    }
    None
}

/// Reads values and collects what is wrong with them.
struct Reader<'y> {
    mapping: &'y Mapping,
    yaml: &'y str,
    flaws: Vec<Flaw>,
}

impl Reader<'_> {
    fn front(&mut self) -> Option<Front> {
        let id = self.text("id");
        match id.as_deref().map(check_id) {
            Some(None) => {}
            Some(Some(why)) => {
                self.flaw("id", why, "use letters, digits, `.`, `_` and `-`, at most 64");
                return None;
            }
            None => {
                if self.mapping.get("id").is_none_or(Value::is_null) {
                    self.flaws.push(Flaw::at(
                        1,
                        "the task has no id",
                        "add a line `id: …`, unique in the project",
                    ));
                }
                return None;
            }
        }
        let id = id?;
        let mut depends_on: Vec<String> = Vec::new();
        for dependency in self.texts("depends_on") {
            if dependency == id {
                self.flaw("depends_on", format!("'{id}' depends on itself"), "take it out of `depends_on`");
            } else if !depends_on.contains(&dependency) {
                depends_on.push(dependency);
            }
        }
        let assigned_to = self.text("assigned_to").filter(|name| !name.is_empty());
        if let Some(why) = assigned_to.as_deref().and_then(|name| check_agent_name(name).err()) {
            self.flaw("assigned_to", why, "name an agent, or leave it empty");
        }
        Some(Front {
            title: self.text("title").filter(|title| !title.is_empty()).unwrap_or_else(|| id.clone()),
            role: self.text("role").filter(|role| !role.is_empty()),
            workstream: self.text("workstream").filter(|workstream| !workstream.is_empty()),
            priority: self.priority(),
            status: self.status(),
            depends_on,
            assigned_to,
            completion: self.completion(),
            tags: self.texts("tags"),
            id,
        })
    }

    fn flaw(&mut self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        let line = key_line(self.yaml, key).map_or(1, |line| file_line(line.number));
        self.flaws.push(Flaw::at(line, message, help));
    }

    fn status(&mut self) -> TaskState {
        let Some(word) = self.text("status").filter(|word| !word.is_empty()) else {
            return TaskState::default();
        };
        let found = TaskState::ALL.into_iter().find(|state| state.word() == word);
        found.unwrap_or_else(|| {
            let words = TaskState::ALL.map(TaskState::word);
            self.unknown("status", &word, &words);
            TaskState::default()
        })
    }

    fn priority(&mut self) -> Priority {
        const ALL: [Priority; 4] = [Priority::Critical, Priority::High, Priority::Medium, Priority::Low];
        let Some(word) = self.text("priority").filter(|word| !word.is_empty()) else {
            return Priority::default();
        };
        let found = ALL.into_iter().find(|priority| priority.word() == word);
        found.unwrap_or_else(|| {
            self.unknown("priority", &word, &ALL.map(Priority::word));
            Priority::default()
        })
    }

    fn unknown(&mut self, key: &str, word: &str, words: &[&str]) {
        let message = format!("'{}' is no {key}", clipped(word));
        self.flaw(key, message, format!("use one of {}", words.join(", ")));
    }

    fn completion(&mut self) -> Completion {
        match self.mapping.get("completion") {
            None | Some(Value::Null) => Completion::default(),
            Some(Value::Mapping(mapping)) => {
                let text = |reader: &mut Self, key: &str| {
                    let value = reader.scalar_of("completion", mapping.get(key));
                    value.filter(|text| !text.trim().is_empty())
                };
                let (verify, signal) = (text(self, "verify"), text(self, "signal"));
                let max_iterations = match mapping.get("max_iterations") {
                    None | Some(Value::Null) => None,
                    Some(value) => {
                        let number = value.as_u64().filter(|number| (1..=MOST_ITERATIONS).contains(number));
                        if number.is_none() {
                            let message =
                                format!("`max_iterations` is a whole number from 1 to {MOST_ITERATIONS}");
                            self.flaw("completion", message, "write it as `max_iterations: 3`");
                        }
                        number.and_then(|number| u32::try_from(number).ok())
                    }
                };
                Completion { verify, signal, max_iterations }
            }
            Some(_) => {
                let help = "write it as `completion: { verify: \"…\" }`";
                self.flaw("completion", "`completion` is not a mapping", help);
                Completion::default()
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.scalar_of(key, self.mapping.get(key))
    }

    fn scalar_of(&mut self, key: &str, value: Option<&Value>) -> Option<String> {
        match value? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(number) if !number.is_f64() => Some(number.to_string()),
            _ => {
                self.flaw(key, format!("`{key}` is not a text"), "put the value in quotes");
                None
            }
        }
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        match self.mapping.get(key) {
            Some(Value::Sequence(values)) => {
                let texts = values.iter().filter_map(|value| self.scalar_of(key, Some(value)));
                texts.filter(|text| !text.is_empty()).collect()
            }
            value => self.scalar_of(key, value).filter(|text| !text.is_empty()).into_iter().collect(),
        }
    }
}

/// Why an id cannot be one.
fn check_id(id: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good = (1..=64).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.chars().all(allowed);
    (!good).then(|| format!("'{}' cannot be an id", clipped(id)))
}

fn clipped(text: &str) -> String {
    text.chars().take(40).collect()
}
