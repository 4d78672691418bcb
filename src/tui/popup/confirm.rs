//! A question before something is done that takes something away.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::{Popup, window};
use crate::model::{AgentStatus, Request};
use crate::tui::event::Effect;
use crate::tui::keys::Action;
use crate::tui::state::{State, Then};
use crate::tui::text;
use crate::tui::theme::Tone;

/// What is asked, and what is done on a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tui) struct Confirm {
    lines: Vec<String>,
    request: Request,
    what: String,
    then: Then,
    forced: bool,
}

impl Confirm {
    /// A question.
    #[expect(clippy::unnecessary_wraps, reason = "what is asked becomes the popup")]
    pub(in crate::tui) fn ask(
        lines: Vec<String>,
        request: Request,
        what: String,
        then: Then,
    ) -> Option<Popup> {
        Some(Popup::Confirm(Self { lines, request, what, then, forced: false }))
    }

    /// Whether an agent is to be removed. What stands against it asks for more force at once.
    pub(in crate::tui) fn removal(agent: &AgentStatus) -> Self {
        let name = &agent.name;
        let mut lines = vec![format!("Remove {name}: its container, its workspace and its branch?")];
        let mut against = Vec::new();
        against.extend(agent.run.as_ref().map(|run| format!("its run {} is under way", run.id)));
        if let Some(ahead) = agent.ahead.filter(|ahead| *ahead > 0) {
            let commits = if ahead == 1 { "commit is" } else { "commits are" };
            against.push(format!("{ahead} {commits} not merged"));
        }
        if agent.dirty == Some(true) {
            against.push("there is work that is not committed".into());
        }
        let forced = !against.is_empty();
        if forced {
            lines.push(format!("Beware: {}.", against.join(", ")));
        }
        lines.push("All of it is saved first; undo restores it.".into());
        Self {
            lines,
            request: Request::AgentRemove { names: vec![name.clone()], force: forced },
            what: format!("removing {name}"),
            then: Then::Remove(name.clone()),
            forced,
        }
    }

    /// Whether an agent is to be removed although the controller would rather not.
    pub(in crate::tui) fn forced_removal(name: &str, why: &str) -> Self {
        let mut lines: Vec<String> = text::block(why).take(6).map(std::borrow::Cow::into_owned).collect();
        lines.push(format!("Remove {name} all the same? All of it is saved first; undo restores it."));
        Self {
            lines,
            request: Request::AgentRemove { names: vec![name.to_owned()], force: true },
            what: format!("removing {name}"),
            then: Then::Remove(name.to_owned()),
            forced: true,
        }
    }

    /// Whether a plain yes is not enough.
    pub(super) fn is_forced(&self) -> bool {
        self.forced
    }

    /// Rows it takes, its border included.
    pub(super) fn height(&self, columns: usize) -> u16 {
        let rows: usize = self.lines.iter().map(|line| text::wrap(line, columns).len()).sum();
        u16::try_from(rows + 4).unwrap_or(u16::MAX)
    }
}

pub(super) fn act(confirm: Confirm, state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Yes | Action::Force => state.ask(confirm.request, confirm.what, confirm.then),
        Action::Escape => Vec::new(),
        _ => {
            state.popup = Some(Popup::Confirm(confirm));
            Vec::new()
        }
    }
}

pub(super) fn draw(confirm: &Confirm, state: &State, area: Rect, frame: &mut Frame<'_>) {
    let inner = window(frame, state.theme, area, "Sure?");
    let columns = usize::from(inner.width);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in &confirm.lines {
        let rows = text::wrap(line, columns);
        let tone = if line.starts_with("Beware") { Tone::Warning } else { Tone::Plain };
        lines.extend(
            rows.into_iter()
                .map(|row| Line::styled(line.get(row).unwrap_or_default(), state.theme.style(tone))),
        );
    }
    lines.push(Line::default());
    let answer = if confirm.forced { "f force    n no" } else { "y yes    n no" };
    lines.push(Line::styled(answer, state.theme.style(Tone::Strong)));
    frame.render_widget(Paragraph::new(lines), inner);
}
