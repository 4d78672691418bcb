//! What is wrong with a configuration, where, and what to do about it.
//!
//! A [`Diagnostic`] holds the line it is about, so that it can be shown, or sent elsewhere, without the file.

use std::fmt;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};

use super::source::{Position, line_of, token_length};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but somebody should look.
    Warning,
}

/// One thing to say about a configuration. Never holds a secret of the environment, but may show a line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// File, where it is about one.
    pub file: Option<PathBuf>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// Keys that lead to the value, as `services.postgres.port`.
    pub path: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// The source as people know it: `tanuki.yaml`.
    #[serde(skip)]
    pub(super) label: String,
    /// The line itself.
    #[serde(skip)]
    pub(super) shown: String,
    /// How many characters from the column on it is about.
    #[serde(skip)]
    pub(super) length: usize,
}

impl Diagnostic {
    /// An error that is about no place in a file.
    pub(super) fn error(message: impl Into<String>, help: impl Into<String>) -> Self {
        let help = help.into();
        Self {
            severity: Severity::Error,
            file: None,
            line: None,
            column: None,
            path: None,
            message: message.into(),
            help: (!help.is_empty()).then_some(help),
            label: String::new(),
            shown: String::new(),
            length: 0,
        }
    }

    /// Points it at a place of a text.
    pub(super) fn place_at(&mut self, text: &str, position: &Position) {
        let line = line_of(text, position.line);
        self.length = token_length(line, position.column);
        line.clone_into(&mut self.shown);
        self.line = Some(position.line);
        self.column = Some(position.column);
    }

    /// The diagnostic for people: the line with a marker under the place, as rustc does. Ends without a newline.
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = clean(&self.message);
        let title = level.primary_title(title.as_str());
        let shown = clean(&self.shown);
        let mut group = match (self.line, self.column) {
            (Some(line), Some(column)) => {
                let span = byte_span(&shown, column, self.length);
                let mut annotation = AnnotationKind::Primary.span(span);
                if let Some(path) = &self.path {
                    annotation = annotation.label(path.as_str());
                }
                let snippet = Snippet::source(shown.as_str()).line_start(line).path(self.label.as_str());
                title.element(snippet.annotation(annotation))
            }
            _ if !self.label.is_empty() => {
                title.element(annotate_snippets::Origin::path(self.label.as_str()))
            }
            _ => Group::with_title(title),
        };
        let help = self.help.as_deref().map(clean);
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// Where it is, as `tanuki.yaml:5:11`; empty when it is about no file.
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.label),
            _ => self.label.clone(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        match &self.path {
            Some(path) => write!(f, "{path}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Control characters would move the terminal's cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn byte_span(line: &str, column: usize, length: usize) -> std::ops::Range<usize> {
    let byte = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(index, _)| index);
    let start = column.saturating_sub(1);
    byte(start)..byte(start.saturating_add(length))
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// All errors, and the warnings found on the way; never empty.
    pub diagnostics: Vec<Diagnostic>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { diagnostics: vec![Diagnostic::error(message, help)] }
    }

    /// All diagnostics for people, one after the other.
    pub fn render(&self, colour: bool) -> String {
        render_all(&self.diagnostics, colour)
    }
}

/// Diagnostics for people, with an empty line between.
pub fn render_all(diagnostics: &[Diagnostic], colour: bool) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.render(colour)).collect::<Vec<_>>().join("\n\n")
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut errors = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        match errors.next() {
            Some(first) => write!(f, "{first}")?,
            None => f.write_str("the configuration cannot be used")?,
        }
        match errors.count() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more error)"),
            more => write!(f, " (and {more} more errors)"),
        }
    }
}

impl std::error::Error for ConfigError {}
