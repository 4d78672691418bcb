//! What lies over the panes: one thing at a time, with all the keys.

mod assign;
mod confirm;
mod details;
mod diff;
mod help;
mod history;
mod merge;
mod palette;
mod prompt;
mod scroll;

use crossterm::event::KeyEvent;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

pub(in crate::tui) use assign::Assign;
pub(in crate::tui) use confirm::Confirm;
pub(in crate::tui) use details::Details;
pub(in crate::tui) use diff::Diff;
pub(in crate::tui) use merge::Merge;
pub(in crate::tui) use palette::Palette;
pub(in crate::tui) use prompt::Prompt;
pub(in crate::tui) use scroll::Scroll;

use super::editor::Editor;
use super::event::Effect;
use super::keys::{Action, Scope};
use super::state::State;
use super::text;
use super::theme::{Theme, Tone};
use super::update::screen;
use crate::model::Snapshot;

/// What lies over the panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) enum Popup {
    /// The keys.
    Help(Scroll),
    /// What was done and what happened.
    History(Scroll),
    /// Everything known of something.
    Details(Details),
    /// All actions by name.
    Palette(Palette),
    /// Agents for a task.
    Assign(Assign),
    /// A question.
    Confirm(Confirm),
    /// A merge.
    Merge(Merge),
    /// What an agent changed.
    Diff(Diff),
    /// A prompt for a run.
    Prompt(Prompt),
}

impl Popup {
    /// Where keys mean something.
    pub(super) fn scopes(&self) -> &'static [Scope] {
        match self {
            Self::Help(_) | Self::History(_) | Self::Details(_) => &[Scope::Reading, Scope::Moving],
            Self::Palette(_) => &[Scope::Choosing],
            Self::Assign(_) => &[Scope::Choosing, Scope::Moving],
            Self::Confirm(confirm) if confirm.is_forced() => &[Scope::Forcing],
            Self::Confirm(_) => &[Scope::Asking],
            Self::Merge(merge) if merge.is_ready() => &[Scope::Merging, Scope::Moving],
            Self::Merge(_) => &[Scope::Reading, Scope::Moving],
            Self::Diff(_) => &[Scope::Diff, Scope::Reading, Scope::Moving],
            Self::Prompt(_) => &[Scope::Prompt],
        }
    }

    /// What is typed into, where something is.
    pub(super) fn editor(&mut self) -> Option<&mut Editor> {
        match self {
            Self::Palette(palette) => Some(palette.editor()),
            Self::Prompt(prompt) => Some(&mut prompt.editor),
            _ => None,
        }
    }

    /// Takes a key that means nothing else.
    #[must_use]
    pub(super) fn typed(mut self, key: &KeyEvent) -> Self {
        if let Self::Prompt(prompt) = &mut self {
            prompt.key(key);
        } else if let Some(editor) = self.editor() {
            editor.key(key);
        }
        self
    }
}

/// Does what a key asks for in a popup that was taken off; it comes back where it stays.
pub(super) fn act(popup: Popup, state: &mut State, snapshot: &Snapshot, action: Action) -> Vec<Effect> {
    let area = area(&popup, screen(state));
    let height = usize::from(area.height.saturating_sub(2));
    let width = usize::from(area.width.saturating_sub(4));
    let mut popup = popup;
    let stays = match &mut popup {
        Popup::Palette(palette) => return palette::act(palette.clone(), state, snapshot, action),
        Popup::Assign(assign) => return assign::act(assign.clone(), state, snapshot, action),
        Popup::Confirm(confirm) => return confirm::act(confirm.clone(), state, action),
        Popup::Merge(merge) => return merge::act(merge.clone(), state, action),
        Popup::Prompt(prompt) => return prompt::act(prompt.clone(), state, action),
        Popup::Diff(diff) => {
            if action == Action::Copy {
                let effect = diff.text().map(Effect::Copy);
                if effect.is_some() {
                    state.say(Tone::Good, "copied the diff");
                }
                state.popup = Some(popup);
                return effect.into_iter().collect();
            }
            diff.act(action, height)
        }
        Popup::Help(scroll) => scroll.act(action, help::lines(state).len(), height),
        Popup::History(scroll) => scroll.act(action, history::lines(state, snapshot).len(), height),
        Popup::Details(details) => {
            let total = details.lines(state, snapshot, width).len();
            details.scroll.act(action, total, height)
        }
    };
    if stays {
        state.popup = Some(popup);
    }
    Vec::new()
}

/// The part of the screen a popup takes, its border included.
fn area(popup: &Popup, screen: Rect) -> Rect {
    let (width, height) = match popup {
        Popup::Diff(_) => (screen.width, screen.height.saturating_sub(1)),
        Popup::Help(_) | Popup::Details(_) => (84, screen.height.saturating_sub(2)),
        Popup::History(_) => (110, screen.height.saturating_sub(2)),
        Popup::Palette(_) => (72, 20),
        Popup::Assign(_) => (56, 16),
        Popup::Confirm(confirm) => (64, confirm.height(usize::from(screen.width.min(64).saturating_sub(4)))),
        Popup::Merge(_) => (76, 18),
        Popup::Prompt(_) => (84, 12),
    };
    let width = width.min(screen.width);
    // The last row is the keys'.
    let height = height.min(screen.height.saturating_sub(1));
    Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 3,
        width,
        height,
    }
}

/// Draws the popup there is.
pub(super) fn draw(state: &State, snapshot: &Snapshot, popup: &Popup, frame: &mut Frame<'_>) {
    let area = area(popup, frame.area());
    match popup {
        Popup::Help(scroll) => paper(frame, state, area, "Help", &help::lines(state), scroll),
        Popup::History(scroll) => {
            paper(frame, state, area, "History", &history::lines(state, snapshot), scroll);
        }
        Popup::Details(details) => {
            let lines = details.lines(state, snapshot, usize::from(area.width.saturating_sub(4)));
            paper(frame, state, area, &details.title(), &lines, &details.scroll);
        }
        Popup::Palette(palette) => palette::draw(palette, state, area, frame),
        Popup::Assign(assign) => assign::draw(assign, state, snapshot, area, frame),
        Popup::Confirm(confirm) => confirm::draw(confirm, state, area, frame),
        Popup::Merge(merge) => merge::draw(merge, state, area, frame),
        Popup::Diff(diff) => diff::draw(diff, state, area, frame),
        Popup::Prompt(prompt) => prompt::draw(prompt, state, area, frame),
    }
}

/// Empties the area, puts a border around it and returns what is inside.
fn window(frame: &mut Frame<'_>, theme: Theme, area: Rect, title: &str) -> Rect {
    frame.render_widget(Clear, area);
    // A wide character that begins left of it must not reach into it.
    if let Some(x) = area.x.checked_sub(1) {
        for y in area.top()..area.bottom() {
            if let Some(cell) =
                frame.buffer_mut().cell_mut((x, y)).filter(|cell| text::width(cell.symbol()) > 1)
            {
                cell.set_symbol(" ");
            }
        }
    }
    let title = text::fit(title, usize::from(area.width.saturating_sub(4))).into_owned();
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.style(Tone::Accent))
        .title(Line::styled(format!(" {title} "), theme.style(Tone::Strong)))
        .padding(ratatui::widgets::Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A text to scroll through.
fn paper(frame: &mut Frame<'_>, state: &State, area: Rect, title: &str, lines: &[Line<'_>], scroll: &Scroll) {
    let height = usize::from(area.height.saturating_sub(2));
    let top = scroll.top(lines.len(), height);
    let title = if lines.len() > height {
        let end = (top + height).min(lines.len());
        format!("{title}  {}-{end}/{}", top + 1, lines.len())
    } else {
        title.to_owned()
    };
    let inner = window(frame, state.theme, area, &title);
    let shown: Vec<Line<'_>> = lines.iter().skip(top).take(height).cloned().collect();
    frame.render_widget(Paragraph::new(shown), inner);
}
