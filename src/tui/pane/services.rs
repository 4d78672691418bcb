//! Services: whether agents can use them, and why not.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Row, heading, list, list_title, nothing};
use crate::model::{HealthWord, ServiceState, ServiceStatus, Snapshot};
use crate::tui::layout::body;
use crate::tui::rows;
use crate::tui::state::{Pane, State};
use crate::tui::text;
use crate::tui::theme::Tone;

/// Most columns of a name.
const NAME: usize = 20;

pub(super) fn draw(state: &State, snapshot: &Snapshot, area: Rect, frame: &mut Frame<'_>) {
    if area.height == 0 {
        return;
    }
    let services = rows::services(state, snapshot);
    let filter = &state.services.filter;
    let title = list_title(state, Pane::Services, services.len(), snapshot.services.len(), filter);
    heading(state, Pane::Services, area, title, "", frame);
    let body = body(area);
    if services.is_empty() {
        let says = if snapshot.services.is_empty() {
            "no services: tanuki.yaml says which there are"
        } else {
            "no service passes the filter; esc takes it away"
        };
        return nothing(state, body, says, frame);
    }
    let longest = services.iter().map(|service| text::width(&service.name)).max().unwrap_or(0);
    let name = longest.clamp(4, NAME).min((usize::from(body.width) / 3).max(4));
    let rows = services
        .iter()
        .skip(state.services.top)
        .map(|service| row(state, service, name, usize::from(body.width)));
    list(state, Pane::Services, body, state.services.selected.as_deref(), rows, frame);
}

fn row(state: &State, service: &ServiceStatus, name: usize, width: usize) -> Row {
    let (icon, tone) = look(service);
    let mut spans = vec![
        Span::styled(icon, state.theme.style(tone)),
        Span::raw(" "),
        Span::raw(text::column(&service.name, name)),
    ];
    let mut left = width.saturating_sub(2 + 2 + name);
    for (text, tone) in notes(state, service, tone) {
        // A reason is worth being cut; of the rest, what does not fit is left out.
        if left < 6 || (tone == Tone::Faint && text::width(&text) + 2 > left) {
            continue;
        }
        let fitted = text::fit(&text, left - 2).into_owned();
        left = left.saturating_sub(text::width(&fitted) + 2);
        spans.push(Span::raw("  "));
        spans.push(Span::styled(fitted, state.theme.style(tone)));
    }
    Row { name: service.name.clone(), spans }
}

fn look(service: &ServiceStatus) -> (&'static str, Tone) {
    match (service.state, service.health) {
        (ServiceState::Running, HealthWord::Healthy) => ("●", Tone::Good),
        (ServiceState::Running, HealthWord::Unhealthy) => ("✗", Tone::Bad),
        (ServiceState::Running, _) | (ServiceState::Starting, _) => ("◐", Tone::Busy),
        (ServiceState::External, HealthWord::Unhealthy) => ("✗", Tone::Bad),
        (ServiceState::External, _) => ("◇", Tone::Plain),
        (ServiceState::Stopped, _) => ("○", Tone::Faint),
        (ServiceState::Pending | ServiceState::Pulling | ServiceState::Stopping, _) => ("◌", Tone::Busy),
        (ServiceState::Backoff | ServiceState::Failed, _) => ("✗", Tone::Bad),
        (ServiceState::Unknown, _) => ("?", Tone::Warning),
    }
}

/// What is said behind the name, the most important first.
fn notes(state: &State, service: &ServiceStatus, tone: Tone) -> Vec<(String, Tone)> {
    let mut notes = Vec::new();
    let word = match (service.state, service.health) {
        (ServiceState::Running, HealthWord::None) => "running".to_owned(),
        (ServiceState::Running | ServiceState::External, health) if health != HealthWord::None => {
            health.to_string()
        }
        (other, _) => other.to_string(),
    };
    notes.push((word, tone));
    let running = matches!(service.state, ServiceState::Running | ServiceState::Starting);
    if !service.is_ready() {
        if let Some(next) = service.next_try {
            notes.push((format!("next try in {}", text::age(next.since(state.now))), Tone::Warning));
        }
        if service.state != ServiceState::Stopped && !service.message.is_empty() {
            notes.push((text::clean(&service.message.replace('\n', " ")).into_owned(), Tone::Warning));
        }
    }
    match (service.port, service.host_port) {
        (Some(port), Some(host)) if port != host => notes.push((format!("{host}->{port}"), Tone::Plain)),
        (_, Some(port)) => notes.push((port.to_string(), Tone::Plain)),
        _ => {}
    }
    if let Some(started) = service.started_at.filter(|_| running) {
        notes.push((text::age(state.now.since(started)), Tone::Faint));
    }
    if service.restarts > 0 {
        let times = if service.restarts == 1 { "restart" } else { "restarts" };
        notes.push((format!("{} {times}", service.restarts), Tone::Warning));
    }
    notes
}
