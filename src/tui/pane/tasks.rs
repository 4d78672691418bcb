//! Tasks: how far each is, and who has it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Row, heading, list, list_title, nothing};
use crate::model::{Priority, ProjectPhase, Snapshot, TaskState, TaskStatus};
use crate::tui::layout::body;
use crate::tui::rows;
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;

/// Most columns of an id.
const ID: usize = 20;

/// Most columns of who has a task.
const WHO: usize = 18;

pub(super) fn draw(state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    let tasks = rows::tasks(state, snapshot);
    let mut filter = state.tasks.filter.clone();
    if let Some(status) = state.status_filter {
        filter.push_str(&format!(" status:{status}"));
    }
    if let Some(role) = &state.role_filter {
        filter.push_str(&format!(" role:{role}"));
    }
    let title = list_title(state, Pane::Tasks, tasks.len(), snapshot.tasks.len(), filter.trim_start());
    let phase = match snapshot.work.phase {
        ProjectPhase::Idle => String::new(),
        phase => phase.to_string(),
    };
    heading(state, Pane::Tasks, area, title, &phase, frame);
    let body = body(area);
    if tasks.is_empty() {
        let says = if snapshot.tasks.is_empty() {
            "no tasks yet: they are files in .tanuki/tasks"
        } else {
            "no task passes the filter; esc takes it away"
        };
        return nothing(state, body, says, frame);
    }
    let width = usize::from(body.width);
    let longest = |of: fn(&TaskStatus) -> usize| tasks.iter().map(|task| of(task)).max().unwrap_or(0);
    let id = longest(|task| text::width(&task.id)).clamp(4, ID).min((width / 3).max(4));
    let who = longest(|task| text::width(who(task).0)).min(WHO).min(width / 4);
    let rows = tasks.iter().skip(state.tasks.top).map(|task| row(state, task, id, who, width));
    list(state, Pane::Tasks, body, state.tasks.selected.as_deref(), rows, frame);
}

fn row(state: &State, task: &TaskStatus, id: usize, who_columns: usize, width: usize) -> Row {
    let (icon, tone) = icon(task.state);
    let title_columns = width.saturating_sub(2 + 2 + id + 2 + who_columns + 1);
    let title_tone = match (task.state, task.priority) {
        (TaskState::Complete, _) => Tone::Faint,
        (TaskState::Failed | TaskState::Blocked | TaskState::Review, _) => Tone::Plain,
        (_, Priority::Critical) => Tone::Strong,
        _ => Tone::Plain,
    };
    let (who, who_tone) = who(task);
    let spans = vec![
        Span::styled(icon, state.theme.style(tone)),
        Span::raw(" "),
        Span::styled(text::column(&task.id, id), state.theme.style(title_tone)),
        Span::raw("  "),
        Span::styled(text::column(&title(task), title_columns), state.theme.style(title_tone)),
        Span::raw(" "),
        Span::styled(text::column(who, who_columns), state.theme.style(who_tone)),
    ];
    Row { name: task.id.clone(), spans }
}

/// The title, and why it does not go on where it does not.
fn title(task: &TaskStatus) -> String {
    match task.state {
        TaskState::Failed | TaskState::Blocked if !task.message.is_empty() => {
            format!("{} · {}", task.title, task.message.replace('\n', " "))
        }
        TaskState::Pending if !task.waits_for.is_empty() => {
            format!("{} · waits for {}", task.title, task.waits_for.join(", "))
        }
        _ => task.title.clone(),
    }
}

/// Who has it; else the role it wants.
fn who(task: &TaskStatus) -> (&str, Tone) {
    match (&task.assigned_to, &task.role) {
        (Some(agent), _) => (agent, Tone::Plain),
        (None, Some(role)) => (role, Tone::Faint),
        (None, None) => ("", Tone::Faint),
    }
}

fn icon(state: TaskState) -> (&'static str, Tone) {
    match state {
        TaskState::Pending => ("○", Tone::Plain),
        TaskState::Assigned => ("○", Tone::Busy),
        TaskState::InProgress => ("◐", Tone::Busy),
        TaskState::Review => ("◑", Tone::Warning),
        TaskState::Complete => ("✓", Tone::Good),
        TaskState::Failed => ("✗", Tone::Bad),
        TaskState::Blocked => ("⊘", Tone::Warning),
    }
}
