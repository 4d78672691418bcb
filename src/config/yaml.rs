//! The only place that knows the YAML parser, and the guards in front of it.
//!
//! The parser tells where a value is only when reading that value fails. So each node gets a number in the order of
//! reading, and [`locate`] reads the text once more and fails on purpose at that number.
//!
//! Guarantees: any bytes give a tree or an error, in bounded time and memory; no key is twice in a mapping; `<<`
//! merge keys are resolved; the tree is at most [`MAX_DEPTH`] deep and has at most [`MAX_NODES`] nodes, however often
//! aliases repeat them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use super::source::{Mark, Position, is_break, lines_before};

/// Longest text that is read, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of mappings and sequences.
pub(super) const MAX_DEPTH: usize = 64;
/// Most values and keys, each counted as often as an alias repeats it.
pub(super) const MAX_NODES: u32 = 100_000;
/// Most opening brackets in a text. The parser's time grows with the square of their nesting; this many are harmless.
pub(super) const MAX_BRACKETS: usize = 4_000;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it was read.
    pub(super) mark: Mark,
    /// What it is.
    pub(super) value: Value,
    /// Holds a secret of the environment.
    pub(super) secret: bool,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or exponent.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Where the key was read.
    pub(super) key_mark: Mark,
    /// The value.
    pub(super) node: Node,
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

/// Why a text could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// What is wrong.
    pub(super) message: String,
    /// Where, if the parser told.
    pub(super) position: Option<Position>,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>, position: Option<Position>, help: &str) -> Self {
        Self { message: message.into(), position, help: (!help.is_empty()).then(|| help.to_owned()) }
    }
}

/// Decodes the bytes of a file: UTF-8, with or without a byte order mark.
///
/// # Errors
/// Too long, or not UTF-8.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > MAX_BYTES {
        return Err(Problem::new(
            "the file is longer than 1 MiB",
            None,
            "a configuration is a few pages of text",
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Problem::new("the file is not UTF-8 text", Some(Position { line, column }), "save it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a decoded text.
///
/// # Errors
/// Everything wrong with the text itself; several where several keys are doubled.
pub(super) fn parse(text: &str, source: usize) -> Result<Node, Vec<Problem>> {
    guard(text).map_err(|problem| vec![problem])?;
    let reader = Reader::new(source, None);
    let node = reader.read(text).map_err(|error| vec![explain(text, &error)])?;
    let doubled = reader.doubled.into_inner();
    if doubled.is_empty() {
        return Ok(node);
    }
    let problem = |(key, mark): (String, Mark)| {
        Problem::new(
            format!("the key `{key}` is there twice"),
            locate(text, mark.node),
            "remove one of the two, or join them",
        )
    };
    Err(doubled.into_iter().take(locatable(text)).map(problem).collect())
}

/// How many places of a text may be looked up: each costs a reading, and time is to be bounded.
pub(super) fn locatable(text: &str) -> usize {
    (MAX_BYTES / text.len().max(1)).clamp(4, 20)
}

/// Where the node of this number is in the text.
pub(super) fn locate(text: &str, node: u32) -> Option<Position> {
    let error = Reader::new(0, Some(node)).read(text).err()?;
    position(&error)
}

/// Writes a tree of JSON values as YAML.
pub(super) fn to_string(value: &serde_json::Value) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

fn guard(text: &str) -> Result<(), Problem> {
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > MAX_BRACKETS {
        let message = format!("the file has more than {MAX_BRACKETS} opening brackets");
        return Err(Problem::new(message, None, "write lists and mappings as indented lines"));
    }
    let directive =
        text.match_indices('%').find(|(index, _)| text[..*index].chars().next_back().is_none_or(is_break));
    if let Some((index, _)) = directive {
        let line = lines_before(&text[..index]) + 1;
        let position = Position { line, column: 1 };
        return Err(Problem::new("YAML directives are not supported", Some(position), "remove this line"));
    }
    Ok(())
}

fn position(error: &serde_yaml::Error) -> Option<Position> {
    let location = error.location()?;
    Some(Position { line: location.line(), column: location.column() })
}

/// Turns the parser's words into ours.
fn explain(text: &str, error: &serde_yaml::Error) -> Problem {
    let said = error.to_string();
    let at = position(error);
    if said.contains("more than one document") {
        let at = second_document(text);
        let help = "keep one, and remove the `---` between; top-level keys begin at the start of their line";
        return Problem::new("the file has more than one YAML document", at, help);
    }
    if said.contains("repetition limit") {
        return Problem::new(
            "aliases repeat too much",
            None,
            "write the values out instead of repeating aliases",
        );
    }
    if said.contains("recursion limit") {
        return Problem::new(format!("nested more than {MAX_DEPTH} levels deep"), at, "");
    }
    if let Some(Position { line, .. }) = at {
        let shown = super::source::line_of(text, line);
        let indent: String = shown.chars().take_while(|c| c.is_whitespace()).collect();
        if let Some(tab) = indent.chars().position(|c| c == '\t') {
            let at = Position { line, column: tab + 1 };
            return Problem::new("a tab is used for indentation", Some(at), "YAML allows only spaces there");
        }
    }
    if let Some((_, own)) = said.split_once(OWN) {
        return Problem::new(own.split(" at line ").next().unwrap_or_default(), at, "");
    }
    let (message, context) = said.split_once(", while ").unwrap_or((&said, ""));
    let message = message.split(" at line ").next().unwrap_or_default();
    let begun = place_in(context);
    if begun.is_some() && context.contains("quoted scalar") {
        return Problem::new("the quotation mark is not closed", begun, "close it on the same line");
    }
    // The parser notices an open bracket only at the end of the text; where it was opened says more.
    let at = match at {
        Some(Position { line, .. }) if super::source::line_of(text, line).trim().is_empty() => begun.or(at),
        at => at,
    };
    let help = if context.is_empty() { String::new() } else { format!("found while {context}") };
    Problem::new(message, at, &help)
}

/// Where the value of the second document begins.
fn second_document(text: &str) -> Option<Position> {
    let document = serde_yaml::Deserializer::from_str(text).nth(1)?;
    let reader = Reader::new(0, Some(0));
    let error = NodeSeed { reader: &reader, depth: 0 }.deserialize(document).err()?;
    position(&error)
}

/// The `line 3 column 12` in the parser's words.
fn place_in(words: &str) -> Option<Position> {
    let mut numbers = words.split(" line ").nth(1)?.split(" column ").map(|part| part.trim().parse().ok());
    Some(Position { line: numbers.next()??, column: numbers.next()?? })
}

/// Begins our own messages where they pass through the parser, which puts its key path in front of them.
const OWN: &str = "\u{1}";

/// State of one reading.
struct Reader {
    source: usize,
    /// Number of the next node.
    next: Cell<u32>,
    /// Node at which to fail, for its position.
    target: Option<u32>,
    doubled: RefCell<Vec<(String, Mark)>>,
}

impl Reader {
    fn new(source: usize, target: Option<u32>) -> Self {
        Self { source, next: Cell::new(0), target, doubled: RefCell::default() }
    }

    fn read(&self, text: &str) -> Result<Node, serde_yaml::Error> {
        NodeSeed { reader: self, depth: 0 }.deserialize(serde_yaml::Deserializer::from_str(text))
    }

    fn enter(&self) -> Mark {
        let node = self.next.get();
        self.next.set(node.saturating_add(1));
        Mark { source: self.source, node }
    }

    /// Called inside a visit, since the parser adds the position only there.
    fn check<E: de::Error>(&self, mark: Mark) -> Result<(), E> {
        if self.target == Some(mark.node) {
            return Err(E::custom("found"));
        }
        if mark.node >= MAX_NODES {
            return Err(E::custom(format!(
                "{OWN}the file has more than {MAX_NODES} values, aliases counted"
            )));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct NodeSeed<'r> {
    reader: &'r Reader,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let mark = self.reader.enter();
        let visitor = NodeVisitor { reader: self.reader, depth: self.depth, mark };
        let value = deserializer.deserialize_any(visitor)?;
        Ok(Node { mark, value, secret: false })
    }
}

struct NodeVisitor<'r> {
    reader: &'r Reader,
    depth: usize,
    mark: Mark,
}

impl<'r> NodeVisitor<'r> {
    fn done<E: de::Error>(self, value: Value) -> Result<Value, E> {
        self.reader.check(self.mark)?;
        Ok(value)
    }

    fn inner<E: de::Error>(&self) -> Result<NodeSeed<'r>, E> {
        self.reader.check(self.mark)?;
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("{OWN}nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(NodeSeed { reader: self.reader, depth: self.depth + 1 })
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.done(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.done(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.done(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.done(Value::Int(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.done(Value::Int(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.done(Value::Int(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        let value = i128::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Int);
        self.done(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        self.done(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.done(Value::Text(value.to_owned()))
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, _data: A) -> Result<Value, A::Error> {
        Err(A::Error::custom(format!("{OWN}tags (`!name`) are not supported here")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut merged = Vec::new();
        while let Some((key, key_mark)) = access.next_key_seed(KeySeed { reader: self.reader })? {
            let node = access.next_value_seed(seed)?;
            if !keys.insert(key.clone()) {
                self.reader.doubled.borrow_mut().push((key, key_mark));
            } else if key == "<<" {
                merged = merge_sources(node.value).ok_or_else(|| {
                    A::Error::custom(format!("{OWN}`<<` takes a mapping or a list of mappings"))
                })?;
            } else {
                entries.push(Entry { key, key_mark, node });
            }
        }
        for entry in merged {
            if keys.insert(entry.key.clone()) {
                entries.push(entry);
            }
        }
        Ok(Value::Map(entries))
    }
}

/// What a `<<` key brings in, the most important first.
fn merge_sources(value: Value) -> Option<Vec<Entry>> {
    match value {
        Value::Map(entries) => Some(entries),
        Value::Null => Some(Vec::new()),
        Value::List(nodes) => {
            let mut all = Vec::new();
            for node in nodes {
                let Value::Map(entries) = node.value else { return None };
                all.extend(entries);
            }
            Some(all)
        }
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct KeySeed<'r> {
    reader: &'r Reader,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (String, Mark);

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(String, Mark), D::Error> {
        let mark = self.reader.enter();
        let key = deserializer.deserialize_any(KeyVisitor { reader: self.reader, mark })?;
        Ok((key, mark))
    }
}

struct KeyVisitor<'r> {
    reader: &'r Reader,
    mark: Mark,
}

impl KeyVisitor<'_> {
    fn done<E: de::Error>(self, key: String) -> Result<String, E> {
        self.reader.check(self.mark)?;
        Ok(key)
    }

    fn refuse<E: de::Error>(self, what: &str) -> Result<String, E> {
        self.reader.check(self.mark)?;
        Err(E::custom(format!("{OWN}a key must be text, not {what}")))
    }
}

impl<'de> Visitor<'de> for KeyVisitor<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<String, E> {
        self.done(value.to_owned())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<String, E> {
        self.done(value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<String, E> {
        self.refuse("nothing")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _access: A) -> Result<String, A::Error> {
        self.refuse("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, _access: A) -> Result<String, A::Error> {
        self.refuse("a mapping")
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, _data: A) -> Result<String, A::Error> {
        self.refuse("a tagged value")
    }
}
