//! Which key does what where. The table handles the keys, and makes the help, the footer and the palette.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::state::Pane;

/// A key as it is pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chord {
    code: KeyCode,
    ctrl: bool,
}

const fn key(character: char) -> Chord {
    Chord { code: KeyCode::Char(character), ctrl: false }
}

const fn ctrl(character: char) -> Chord {
    Chord { code: KeyCode::Char(character), ctrl: true }
}

const fn code(code: KeyCode) -> Chord {
    Chord { code, ctrl: false }
}

impl Chord {
    fn is(self, event: &KeyEvent) -> bool {
        self.code == event.code
            && self.ctrl == event.modifiers.contains(KeyModifiers::CONTROL)
            && !event.modifiers.contains(KeyModifiers::ALT)
    }

    /// The key's name.
    pub(super) fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "space".to_owned(),
            KeyCode::Char(character) => character.to_string(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "pgup".to_owned(),
            KeyCode::PageDown => "pgdn".to_owned(),
            KeyCode::BackTab => "shift-tab".to_owned(),
            other => other.to_string().to_lowercase(),
        };
        if self.ctrl { format!("ctrl-{name}") } else { name }
    }
}

/// Where a key means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// In all panes.
    Everywhere,
    /// In lists and all that scrolls.
    Moving,
    /// In the agents' pane.
    Agents,
    /// In the tasks' pane.
    Tasks,
    /// In the services' pane.
    Services,
    /// In the pane of output.
    Logs,
    /// While something is typed.
    Typing,
    /// While a prompt is typed.
    Prompt,
    /// In a popup that is read.
    Reading,
    /// In a list to choose from.
    Choosing,
    /// Where something is asked.
    Asking,
    /// Where more force is on offer.
    Forcing,
    /// Before a merge.
    Merging,
    /// In a diff.
    Diff,
    /// Only in the palette: no key.
    Palette,
}

impl Scope {
    /// Its heading in the help.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Moving => "Moving",
            Self::Agents => "Agents",
            Self::Tasks => "Tasks",
            Self::Services => "Services",
            Self::Logs => "Logs",
            Self::Typing => "Filter and search",
            Self::Prompt => "Prompt",
            Self::Reading => "Reading",
            Self::Choosing => "Choosing",
            Self::Asking | Self::Forcing => "Questions",
            Self::Merging => "Merge",
            Self::Diff => "Diff",
            Self::Palette => "Project",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Ends the dashboard.
    Quit,
    /// Puts the dashboard in the background.
    Suspend,
    /// Draws everything anew.
    Redraw,
    /// Opens the help.
    Help,
    /// Opens the palette.
    Palette,
    /// Opens what was done and what happened.
    History,
    /// Goes to a pane.
    Focus(Pane),
    /// Goes to the next pane.
    NextPane,
    /// Goes to the pane before.
    PreviousPane,
    /// Gives the pane the whole screen, or takes it away.
    Zoom,
    /// One up.
    Up,
    /// One down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the start.
    First,
    /// To the end.
    Last,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// Types a filter or a search.
    Filter,
    /// Takes a filter, a search or a popup away.
    Escape,
    /// Everything known of what is selected.
    Details,
    /// Stops the agent.
    AgentStop,
    /// Starts the agent.
    AgentStart,
    /// Restarts the agent.
    AgentRestart,
    /// A shell in the agent's workspace.
    Attach,
    /// The agent CLI itself.
    AttachCli,
    /// Types a prompt for a run.
    Run,
    /// Ends the agent's run.
    RunStop,
    /// What the agent changed.
    Diff,
    /// Merges the agent's work.
    Merge,
    /// Removes the agent.
    Remove,
    /// Restores what a removal or merge saved.
    Undo,
    /// The next status to filter tasks by.
    StatusFilter,
    /// The next role to filter tasks by.
    RoleFilter,
    /// Gives the task to an agent.
    Assign,
    /// Tries the task again.
    Retry,
    /// Takes the task for complete.
    Approve,
    /// Shows the output of the task's agent.
    TaskLogs,
    /// Starts the service.
    ServiceStart,
    /// Stops the service.
    ServiceStop,
    /// Restarts the service.
    ServiceRestart,
    /// The service's client.
    Connect,
    /// Follows output, or no more.
    Follow,
    /// Holds output, or goes on.
    Pause,
    /// Shows times, or no more.
    Timestamps,
    /// Wraps lines, or no more.
    Wrap,
    /// The next place found.
    SearchNext,
    /// The place found before.
    SearchPrevious,
    /// Saves output to a file.
    Save,
    /// Copies what is on the screen.
    Copy,
    /// Takes output away.
    Clear,
    /// Output of the next agent.
    NextSource,
    /// Output of the agent before.
    PreviousSource,
    /// Hands out tasks.
    ProjectStart,
    /// Stops handing out tasks.
    ProjectStop,
    /// Goes on handing out tasks.
    ProjectResume,
    /// Takes what was typed or chosen.
    Accept,
    /// Yes.
    Yes,
    /// Yes, whatever is lost.
    Force,
    /// The next way to merge.
    MergeMethod,
    /// Removes the agent after the merge, or not.
    MergeRemove,
    /// Goes on with the last session, or not.
    PromptResume,
    /// Begins a new line.
    NewLine,
    /// The next file.
    NextFile,
    /// The file before.
    PreviousFile,
}

/// A key, where it means something, and what.
#[derive(Debug)]
pub(super) struct Binding {
    /// Where.
    pub(super) scope: Scope,
    /// Keys; the first one is shown.
    pub(super) keys: &'static [Chord],
    /// What.
    pub(super) action: Action,
    /// A word for the footer; empty where it has no place there.
    pub(super) short: &'static str,
    /// A line for the help and the palette.
    pub(super) long: &'static str,
}

macro_rules! bindings {
    ($($scope:ident: $([$($key:expr),*] $action:expr, $short:literal, $long:literal;)+)+) => {
        &[$($(Binding {
            scope: Scope::$scope,
            keys: &[$($key),*],
            action: $action,
            short: $short,
            long: $long,
        }),+),+]
    };
}

/// All keys.
pub(super) static BINDINGS: &[Binding] = bindings! {
    Agents:
        [code(KeyCode::Enter)] Action::Details, "", "everything known of the agent";
        [key('r')] Action::Run, "run", "run: type a prompt for the agent";
        [key('a')] Action::Attach, "attach", "attach: a shell in the agent's workspace";
        [key('d')] Action::Diff, "diff", "diff: what the agent changed";
        [key('m')] Action::Merge, "merge", "merge the agent's work";
        [key('s')] Action::AgentStop, "stop", "stop the agent";
        [key('S')] Action::AgentStart, "start", "start the agent";
        [key('x')] Action::Remove, "remove", "remove the agent";
        [key('R')] Action::AgentRestart, "", "restart the agent";
        [key('c')] Action::RunStop, "", "cancel the agent's run";
        [key('o')] Action::AttachCli, "", "open the agent CLI itself, with its last session";
        [key('u')] Action::Undo, "", "undo: restore what remove or merge saved";
    Tasks:
        [code(KeyCode::Enter)] Action::Details, "details", "everything known of the task";
        [key('f')] Action::StatusFilter, "status", "filter by status";
        [key('F')] Action::RoleFilter, "role", "filter by role";
        [key('A')] Action::Assign, "assign", "assign the task to an agent";
        [key('R')] Action::Retry, "retry", "retry the task";
        [key('p')] Action::Approve, "approve", "approve: take the task for complete";
        [key('l')] Action::TaskLogs, "logs", "output of the task's agent";
    Services:
        [code(KeyCode::Enter)] Action::Details, "details", "everything known of the service";
        [key('c')] Action::Connect, "connect", "connect: the service's own client";
        [key('s')] Action::ServiceStop, "stop", "stop the service";
        [key('S')] Action::ServiceStart, "start", "start the service";
        [key('R')] Action::ServiceRestart, "restart", "restart the service";
    Logs:
        [key('/')] Action::Filter, "search", "search in the output";
        [key('f')] Action::Follow, "follow", "follow what comes";
        [key(' ')] Action::Pause, "pause", "hold what comes, or go on";
        [key('n')] Action::SearchNext, "", "next place found";
        [key('N')] Action::SearchPrevious, "", "place found before";
        [key('t')] Action::Timestamps, "times", "timestamps";
        [key('w')] Action::Wrap, "wrap", "wrap long lines";
        [key(']')] Action::NextSource, "next", "output of the next agent or service";
        [key('[')] Action::PreviousSource, "", "output of the agent or service before";
        [ctrl('s')] Action::Save, "save", "save the output to a file";
        [key('y')] Action::Copy, "copy", "copy what is on the screen";
        [key('c')] Action::Clear, "clear", "clear the output";
        [key('h'), code(KeyCode::Left)] Action::Left, "", "to the left, where lines are not wrapped";
        [key('l'), code(KeyCode::Right)] Action::Right, "", "to the right, where lines are not wrapped";
    Everywhere:
        [key('/')] Action::Filter, "filter", "filter the list";
        [code(KeyCode::Tab)] Action::NextPane, "pane", "next pane";
        [code(KeyCode::BackTab)] Action::PreviousPane, "", "pane before";
        [key('1')] Action::Focus(Pane::Agents), "", "agents";
        [key('2')] Action::Focus(Pane::Tasks), "", "tasks";
        [key('3')] Action::Focus(Pane::Logs), "", "logs";
        [key('4')] Action::Focus(Pane::Services), "", "services";
        [key('z')] Action::Zoom, "", "give the pane the whole screen, or not";
        [key('H')] Action::History, "", "history: what was done here, and what happened";
        [key(':')] Action::Palette, "palette", "palette: all actions by name";
        [code(KeyCode::Esc)] Action::Escape, "", "take filter or search away";
        [ctrl('l')] Action::Redraw, "", "draw everything anew";
        [ctrl('z')] Action::Suspend, "", "suspend; `fg` comes back";
        [key('?')] Action::Help, "help", "this help";
        [key('q'), ctrl('c')] Action::Quit, "quit", "quit";
    Moving:
        [key('j'), code(KeyCode::Down)] Action::Down, "", "down";
        [key('k'), code(KeyCode::Up)] Action::Up, "", "up";
        [code(KeyCode::PageDown), ctrl('d'), ctrl('f')] Action::PageDown, "", "a page down";
        [code(KeyCode::PageUp), ctrl('u'), ctrl('b')] Action::PageUp, "", "a page up";
        [key('g'), code(KeyCode::Home)] Action::First, "", "to the start";
        [key('G'), code(KeyCode::End)] Action::Last, "", "to the end";
    Typing:
        [code(KeyCode::Enter)] Action::Accept, "keep", "keep what was typed";
        [code(KeyCode::Esc), ctrl('c')] Action::Escape, "drop", "drop what was typed";
    Prompt:
        [code(KeyCode::Enter)] Action::Accept, "run", "start the run";
        [ctrl('j')] Action::NewLine, "new line", "begin a new line";
        [ctrl('r')] Action::PromptResume, "resume", "go on with the agent's last session, or begin a new one";
        [code(KeyCode::Esc), ctrl('c')] Action::Escape, "cancel", "cancel";
    Choosing:
        [code(KeyCode::Enter)] Action::Accept, "choose", "choose";
        [code(KeyCode::Down), ctrl('n')] Action::Down, "down", "down";
        [code(KeyCode::Up), ctrl('p')] Action::Up, "up", "up";
        [code(KeyCode::Esc), ctrl('c')] Action::Escape, "cancel", "cancel";
    Asking:
        [key('y'), code(KeyCode::Enter)] Action::Yes, "yes", "yes";
        [key('n'), key('q'), code(KeyCode::Esc), ctrl('c')] Action::Escape, "no", "no";
    Forcing:
        [key('f')] Action::Force, "force", "yes, whatever stands against it";
        [key('n'), key('q'), code(KeyCode::Esc), ctrl('c')] Action::Escape, "no", "no";
    Merging:
        [code(KeyCode::Enter), key('y')] Action::Yes, "merge", "merge";
        [key('m')] Action::MergeMethod, "method", "merge, squash or rebase";
        [key('x')] Action::MergeRemove, "remove", "remove the agent afterwards, or not";
        [key('n'), key('q'), code(KeyCode::Esc), ctrl('c')] Action::Escape, "cancel", "cancel";
    Diff:
        [key(']'), key('n'), code(KeyCode::Tab)] Action::NextFile, "next file", "next file";
        [key('['), key('N'), code(KeyCode::BackTab)] Action::PreviousFile, "file before", "file before";
        [key('h'), code(KeyCode::Left)] Action::Left, "", "to the left";
        [key('l'), code(KeyCode::Right)] Action::Right, "", "to the right";
        [key('y')] Action::Copy, "copy", "copy the diff";
    Reading:
        [key('q'), code(KeyCode::Esc), code(KeyCode::Enter), ctrl('c')] Action::Escape, "close", "close";
    Palette:
        [] Action::ProjectStart, "", "project: hand out tasks";
        [] Action::ProjectStop, "", "project: stop handing out tasks";
        [] Action::ProjectResume, "", "project: go on handing out tasks";
};

/// What a key does where these scopes hold; the first one that knows it decides.
pub(super) fn lookup(scopes: &[Scope], event: &KeyEvent) -> Option<Action> {
    scopes.iter().find_map(|scope| {
        let mut known = BINDINGS.iter().filter(|binding| binding.scope == *scope);
        known.find(|binding| binding.keys.iter().any(|chord| chord.is(event))).map(|binding| binding.action)
    })
}

/// What the palette has: everything that is done to something, and what has no key.
pub(super) fn palette() -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(|binding| {
        matches!(
            binding.scope,
            Scope::Agents | Scope::Tasks | Scope::Services | Scope::Logs | Scope::Everywhere | Scope::Palette
        ) && !matches!(
            binding.action,
            Action::Palette | Action::Escape | Action::Left | Action::Right | Action::Filter
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for (at, binding) in BINDINGS.iter().enumerate() {
            for other in BINDINGS.iter().skip(at + 1).filter(|other| other.scope == binding.scope) {
                for chord in binding.keys {
                    assert!(!other.keys.contains(chord), "{} in {:?}", chord.name(), binding.scope);
                }
            }
        }
    }

    #[test]
    fn the_first_scope_decides() {
        let event = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::NONE);
        assert_eq!(lookup(&[Scope::Services, Scope::Agents], &event), Some(Action::ServiceStop));
        assert_eq!(lookup(&[Scope::Tasks, Scope::Everywhere], &event), None);
    }
}
