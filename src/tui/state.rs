//! What the dashboard remembers beside the snapshot.

use std::collections::{BTreeMap, VecDeque};

use jiff::tz::TimeZone;

use super::editor::Editor;
use super::event::Effect;
use super::logs::Logs;
use super::popup::Popup;
use super::theme::{Theme, Tone};
use crate::model::{Request, TaskState, Time};

/// Most remembered results.
const HISTORY: usize = 200;

/// A part of the screen that can have the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pane {
    /// Agents.
    Agents,
    /// Tasks.
    Tasks,
    /// Output.
    Logs,
    /// Services.
    Services,
}

impl Pane {
    /// All, in the order of their digits.
    pub(super) const ALL: [Self; 4] = [Self::Agents, Self::Tasks, Self::Logs, Self::Services];

    /// Its heading.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Agents => "Agents",
            Self::Tasks => "Tasks",
            Self::Logs => "Logs",
            Self::Services => "Services",
        }
    }

    /// The one after or before it.
    #[must_use]
    pub(super) fn neighbour(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        let next = if forward { at + 1 } else { at + Self::ALL.len() - 1 };
        Self::ALL[next % Self::ALL.len()]
    }
}

/// Which line of a list is selected, by name: it stays while others come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The selected one.
    pub(super) selected: Option<String>,
    /// The first line on the screen.
    pub(super) top: usize,
    /// Only names with this in them.
    pub(super) filter: String,
    at: usize,
}

impl List {
    /// Fits selection and screen to what there is now.
    pub(super) fn settle(&mut self, names: &[&str], height: usize) {
        let found =
            self.selected.as_deref().and_then(|selected| names.iter().position(|name| *name == selected));
        // The neighbour of one that is gone.
        self.at = found.unwrap_or(self.at).min(names.len().saturating_sub(1));
        self.selected = names.get(self.at).map(|name| (*name).to_owned());
        let lowest = self.at.saturating_sub(height.saturating_sub(1));
        self.top = self.top.clamp(lowest, self.at).min(names.len().saturating_sub(height.max(1)));
    }

    /// Moves the selection.
    pub(super) fn move_by(&mut self, names: &[&str], by: isize) {
        self.at = self.at.saturating_add_signed(by).min(names.len().saturating_sub(1));
        self.selected = names.get(self.at).map(|name| (*name).to_owned());
    }
}

/// A filter or search that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typing {
    /// Where it is for.
    pub(super) pane: Pane,
    /// The text.
    pub(super) editor: Editor,
    /// What there was before.
    pub(super) before: String,
}

/// A result that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// When.
    pub(super) time: Time,
    /// How it is meant.
    pub(super) tone: Tone,
    /// What.
    pub(super) text: String,
}

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Then {
    /// It is told, in these words where it has none itself.
    Tell(String),
    /// It is an agent's diff.
    Diff(String),
    /// It is the forecast of an agent's merge.
    Forecast(String),
    /// It is how an agent's merge went.
    Merge(String),
    /// An agent was removed, or is not to be without force.
    Remove(String),
}

/// A request that is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// What goes on, for people.
    pub(super) what: String,
    /// What becomes of its answer.
    pub(super) then: Then,
}

/// Everything the dashboard remembers.
#[derive(Debug)]
pub struct State {
    /// Columns and rows of the screen.
    pub(super) size: (u16, u16),
    /// What time it is.
    pub(super) now: Time,
    /// The user's time zone.
    pub(super) zone: TimeZone,
    /// How things look.
    pub(super) theme: Theme,
    /// The pane that has the keys.
    pub(super) focus: Pane,
    /// It has the whole screen.
    pub(super) zoomed: bool,
    /// Selection of agents.
    pub(super) agents: List,
    /// Selection of tasks.
    pub(super) tasks: List,
    /// Selection of services.
    pub(super) services: List,
    /// Only tasks in this state.
    pub(super) status_filter: Option<TaskState>,
    /// Only tasks for this role.
    pub(super) role_filter: Option<String>,
    /// What is being typed.
    pub(super) typing: Option<Typing>,
    /// Output.
    pub(super) logs: Logs,
    /// Times are shown.
    pub(super) stamps: bool,
    /// Long lines are wrapped.
    pub(super) wrap: bool,
    /// What lies over the panes.
    pub(super) popup: Option<Popup>,
    /// The last result.
    pub(super) message: Option<Said>,
    /// All results, newest last.
    pub(super) history: VecDeque<Said>,
    /// Requests under way.
    pub(super) pending: BTreeMap<u64, Pending>,
    /// Why there is no controller.
    pub(super) gone: Option<String>,
    /// Something on the screen is to be drawn anew.
    pub(super) redraw: bool,
    tickets: u64,
}

impl State {
    /// Nothing has happened yet.
    pub fn new(now: Time, zone: TimeZone, theme: Theme) -> Self {
        Self {
            size: (80, 24),
            now,
            zone,
            theme,
            focus: Pane::Agents,
            zoomed: false,
            agents: List::default(),
            tasks: List::default(),
            services: List::default(),
            status_filter: None,
            role_filter: None,
            typing: None,
            logs: Logs::default(),
            stamps: true,
            wrap: true,
            popup: None,
            message: None,
            history: VecDeque::new(),
            pending: BTreeMap::new(),
            gone: None,
            redraw: true,
            tickets: 0,
        }
    }

    /// What is selected in a pane; always something that is there.
    pub fn selected(&self, pane: Pane) -> Option<&str> {
        match pane {
            Pane::Agents => self.agents.selected.as_deref(),
            Pane::Tasks => self.tasks.selected.as_deref(),
            Pane::Services => self.services.selected.as_deref(),
            Pane::Logs => None,
        }
    }

    /// Tells a result.
    pub(super) fn say(&mut self, tone: Tone, text: impl Into<String>) {
        let said = Said { time: self.now, tone, text: text.into() };
        self.message = Some(said.clone());
        self.history.push_back(said);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    /// Asks the controller; `what` goes on until it answers.
    pub(super) fn ask(&mut self, request: Request, what: impl Into<String>, then: Then) -> Vec<Effect> {
        if self.gone.is_some() {
            self.say(Tone::Bad, "the controller is gone: nothing can be asked of it until it is back");
            return Vec::new();
        }
        self.tickets += 1;
        self.pending.insert(self.tickets, Pending { what: what.into(), then });
        vec![Effect::Ask { ticket: self.tickets, request }]
    }
}
