//! What an agent changed: a patch to scroll through, file by file.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::{Scroll, window};
use crate::tui::keys::Action;
use crate::tui::state::State;
use crate::tui::text;
use crate::tui::theme::Tone;

/// Most lines that are shown of a patch.
const LINES: usize = 200_000;

/// The agent, and its patch as soon as it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Diff {
    agent: String,
    content: Content,
    scroll: Scroll,
    left: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Coming,
    Failed(String),
    Patch { lines: Vec<Box<str>>, files: Vec<File> },
}

impl Content {
    /// Rows there are to scroll through: as many as bring the last file to the top of the screen, at least.
    fn rows(&self, height: usize) -> usize {
        match self {
            Self::Patch { lines, files } => {
                lines.len().max(files.last().map_or(0, |file| file.line) + height)
            }
            Self::Coming | Self::Failed(_) => 1,
        }
    }
}

/// A file of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: String,
    line: usize,
    added: usize,
    removed: usize,
}

impl Diff {
    /// The patch of this agent is on its way.
    pub(in crate::tui) fn new(agent: String) -> Self {
        Self { agent, content: Content::Coming, scroll: Scroll::default(), left: 0 }
    }

    /// Whether it waits for this agent's patch.
    pub(in crate::tui) fn is_of(&self, agent: &str) -> bool {
        self.agent == agent && self.content == Content::Coming
    }

    /// Here it is, or why not.
    pub(in crate::tui) fn take(&mut self, patch: Result<String, String>) {
        self.content = match patch {
            Ok(patch) => parse(&patch),
            Err(reason) => Content::Failed(reason),
        };
    }

    /// The patch as text.
    pub(super) fn text(&self) -> Option<String> {
        match &self.content {
            Content::Patch { lines, .. } if !lines.is_empty() => Some(lines.join("\n") + "\n"),
            _ => None,
        }
    }

    /// Moves; whether it stays open.
    pub(super) fn act(&mut self, action: Action, height: usize) -> bool {
        let starts: Vec<usize> = match &self.content {
            Content::Patch { files, .. } => files.iter().map(|file| file.line).collect(),
            Content::Coming | Content::Failed(_) => Vec::new(),
        };
        let total = self.content.rows(height);
        let top = self.scroll.top(total, height);
        match action {
            Action::Left => self.left = self.left.saturating_sub(8),
            Action::Right => self.left = (self.left + 8).min(1 << 12),
            Action::NextFile => {
                if let Some(line) = starts.iter().find(|line| **line > top) {
                    self.scroll.go(*line);
                }
            }
            Action::PreviousFile => {
                if let Some(line) = starts.iter().rev().find(|line| **line < top) {
                    self.scroll.go(*line);
                }
            }
            action => return self.scroll.act(action, total, height),
        }
        true
    }
}

fn parse(patch: &str) -> Content {
    let mut lines: Vec<Box<str>> = Vec::new();
    let mut files: Vec<File> = Vec::new();
    let mut in_hunk = false;
    for line in text::block(patch).take(LINES) {
        if let Some(names) = line.strip_prefix("diff --git ") {
            in_hunk = false;
            let name = names.rsplit_once(" b/").map_or(names, |(_, name)| name).to_owned();
            files.push(File { name, line: lines.len(), added: 0, removed: 0 });
        } else if line.starts_with("@@") {
            in_hunk = true;
        } else if let Some(file) = files.last_mut().filter(|_| in_hunk) {
            file.added += usize::from(line.starts_with('+'));
            file.removed += usize::from(line.starts_with('-'));
        }
        lines.push(line.into());
    }
    if patch.lines().nth(LINES).is_some() {
        lines.push("… the rest is left out; `tanuki diff` shows it".into());
    }
    Content::Patch { lines, files }
}

fn tone(line: &str) -> Tone {
    match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'd', b'i', b'f', b'f', ..] => Tone::Strong,
        [b'+', ..] => Tone::Good,
        [b'-', ..] => Tone::Bad,
        [b'@', b'@', ..] => Tone::Busy,
        [b' ', ..] | [] => Tone::Plain,
        _ => Tone::Faint,
    }
}

pub(super) fn draw(diff: &Diff, state: &State, area: Rect, frame: &mut Frame<'_>) {
    let height = usize::from(area.height.saturating_sub(2));
    let mut title = format!("Diff of {}", diff.agent);
    let mut shown: Vec<Line<'_>> = Vec::new();
    match &diff.content {
        Content::Coming => shown.push(Line::styled("comparing…", state.theme.style(Tone::Faint))),
        Content::Failed(reason) => shown.push(Line::styled(reason, state.theme.style(Tone::Bad))),
        Content::Patch { lines, .. } if lines.is_empty() => {
            shown.push(Line::styled("nothing has changed", state.theme.style(Tone::Faint)));
        }
        Content::Patch { lines, files } => {
            let top = diff.scroll.top(diff.content.rows(height), height);
            if let Some((at, file)) = files.iter().enumerate().rfind(|(_, file)| file.line <= top) {
                let File { name, added, removed, .. } = file;
                title.push_str(&format!(" · {}/{} {name} +{added} -{removed}", at + 1, files.len()));
            }
            shown.extend(
                lines.iter().skip(top).take(height).map(|line| {
                    Line::styled(text::from_column(line, diff.left), state.theme.style(tone(line)))
                }),
            );
        }
    }
    let inner = window(frame, state.theme, area, &title);
    frame.render_widget(Paragraph::new(shown), inner);
}
