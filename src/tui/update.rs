//! What becomes of an event: a pure function of what is remembered, the snapshot and the event. It never waits.

use crossterm::event::{KeyEvent, KeyEventKind};
use ratatui::layout::Rect;

use super::act;
use super::answer;
use super::event::{Effect, Event};
use super::keys::{self, Action, Scope};
use super::layout::layout;
use super::logs::{Shape, Source};
use super::popup::{self, Popup};
use super::rows;
use super::state::{Pane, State};
use super::theme::Tone;
use crate::model::{Snapshot, Time};

/// Takes an event in; what is to be done about it.
pub fn update(state: &mut State, snapshot: &Snapshot, event: Event, now: Time) -> Vec<Effect> {
    state.now = now;
    let mut redraw = true;
    let mut effects = Vec::new();
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => redraw = false,
        Event::Key(key) => effects = on_key(state, snapshot, &key),
        Event::Paste(text) => paste(state, &text),
        Event::Resized(columns, rows) => state.size = (columns, rows),
        Event::Changed | Event::Tick => {}
        Event::Up => {
            if state.gone.take().is_some() {
                state.say(Tone::Good, "the controller is back");
            }
            effects = state.logs.reopen().into_iter().map(Effect::Stream).collect();
        }
        Event::Down(reason) => {
            if state.gone.is_none() {
                state.say(Tone::Bad, format!("the controller is gone: {reason}"));
            }
            state.gone = Some(reason);
        }
        Event::Lines { stream, lines } => {
            redraw = state.logs.take(stream, &lines);
            effects = state.logs.evict().into_iter().map(Effect::Stream).collect();
        }
        Event::Ended { stream } => redraw = state.logs.end(stream),
        Event::Answered { ticket, answer } => answer::take(state, ticket, *answer),
        Event::Returned(Ok(text)) | Event::Saved(Ok(text)) => state.say(Tone::Good, text),
        Event::Returned(Err(text)) | Event::Saved(Err(text)) => state.say(Tone::Bad, text),
    }
    if redraw {
        effects.extend(settle(state, snapshot));
        state.redraw = true;
    }
    effects
}

/// Where keys mean something now, in the order in which they are looked for.
pub(super) fn scopes(state: &State) -> &'static [Scope] {
    if let Some(popup) = &state.popup {
        return popup.scopes();
    }
    if state.typing.is_some() {
        return &[Scope::Typing];
    }
    pane_scopes(state.focus)
}

/// Where keys mean something while a pane has them.
pub(super) fn pane_scopes(pane: Pane) -> &'static [Scope] {
    match pane {
        Pane::Agents => &[Scope::Agents, Scope::Everywhere, Scope::Moving],
        Pane::Tasks => &[Scope::Tasks, Scope::Everywhere, Scope::Moving],
        Pane::Services => &[Scope::Services, Scope::Everywhere, Scope::Moving],
        Pane::Logs => &[Scope::Logs, Scope::Everywhere, Scope::Moving],
    }
}

fn on_key(state: &mut State, snapshot: &Snapshot, key: &KeyEvent) -> Vec<Effect> {
    let action = keys::lookup(scopes(state), key);
    if let Some(popup) = state.popup.take() {
        return match action {
            Some(action) => popup::act(popup, state, snapshot, action),
            None => {
                state.popup = Some(popup.typed(key));
                Vec::new()
            }
        };
    }
    if let Some(mut typing) = state.typing.take() {
        match action {
            Some(Action::Accept) => act::typed(state, snapshot, typing.pane),
            Some(_) => act::set_filter(state, typing.pane, &typing.before),
            None => {
                typing.editor.key(key);
                act::set_filter(state, typing.pane, typing.editor.text());
                state.typing = Some(typing);
            }
        }
        return Vec::new();
    }
    action.map_or_else(Vec::new, |action| act::act(state, snapshot, action))
}

fn paste(state: &mut State, text: &str) {
    if let Some(popup) = &mut state.popup {
        let several = matches!(popup, Popup::Prompt(_));
        if let Some(editor) = popup.editor() {
            editor.paste(text, several);
        }
    } else if let Some(typing) = &mut state.typing {
        typing.editor.paste(text, false);
        let (pane, text) = (typing.pane, typing.editor.text().to_owned());
        act::set_filter(state, pane, &text);
    }
}

/// The shape of the pane of output on this screen.
pub(super) fn shape(state: &State, snapshot: &Snapshot) -> Shape {
    let body =
        layout(state, snapshot, screen(state)).map(|layout| layout.body(Pane::Logs)).unwrap_or_default();
    Shape {
        columns: usize::from(body.width),
        rows: usize::from(body.height),
        wrap: state.wrap,
        stamps: state.stamps && body.width >= 40,
    }
}

/// The whole screen.
pub(super) fn screen(state: &State) -> Rect {
    Rect { x: 0, y: 0, width: state.size.0, height: state.size.1 }
}

/// Fits selections to what there is, and shows the output of what is selected.
fn settle(state: &mut State, snapshot: &Snapshot) -> Vec<Effect> {
    let layout = layout(state, snapshot, screen(state));
    for pane in [Pane::Agents, Pane::Tasks, Pane::Services] {
        let height = layout.as_ref().map_or(1, |layout| usize::from(layout.body(pane).height));
        let names = rows::names(state, snapshot, pane);
        if let Some(list) = act::list(state, pane) {
            list.settle(&names, height);
        }
    }
    let agent = state.agents.selected.clone().map(Source::Agent);
    let service = state.services.selected.clone().map(Source::Service);
    let shown = state.logs.shown.clone();
    let source = match state.focus {
        Pane::Agents => agent.or(shown).or(service),
        Pane::Services => service.or(shown),
        Pane::Tasks | Pane::Logs => shown.or(agent).or(service),
    };
    let Some(source) = source else { return Vec::new() };
    let epoch = epoch(&source, snapshot);
    state.logs.show(&source, &epoch).into_iter().map(Effect::Stream).collect()
}

/// What a source is now: when this changes there may be output again where it had ended.
fn epoch(source: &Source, snapshot: &Snapshot) -> String {
    match source {
        Source::Agent(name) => snapshot.agents.get(name).map(|agent| {
            let run = agent.run.as_ref().or(agent.last_run.as_ref()).map(|run| &run.id);
            format!("{:?} {run:?}", agent.container_id)
        }),
        Source::Service(name) => snapshot
            .services
            .get(name)
            .map(|service| format!("{:?} {:?}", service.container_id, service.started_at)),
    }
    .unwrap_or_default()
}
