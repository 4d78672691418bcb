//! All that can happen to the dashboard, and all that it can want done.

use crossterm::event::KeyEvent;

use super::logs::Change;
use crate::controller::HandleError;
use crate::model::{Accepted, OutputLine, Request};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has another size: columns, rows.
    Resized(u16, u16),
    /// There is another snapshot.
    Changed,
    /// The controller is there; its snapshot comes with this.
    Up,
    /// The controller is gone, for this reason.
    Down(String),
    /// Output came.
    Lines {
        /// The stream it came by.
        stream: u64,
        /// The output.
        lines: Vec<OutputLine>,
    },
    /// A stream ended.
    Ended {
        /// Which.
        stream: u64,
    },
    /// A request was answered.
    Answered {
        /// The request's number.
        ticket: u64,
        /// The answer.
        answer: Box<Result<Accepted, HandleError>>,
    },
    /// Another program had the terminal; how it ended, for people.
    Returned(Result<String, String>),
    /// Output was saved to this file, or not.
    Saved(Result<String, String>),
    /// Time has passed: something on the screen tells of it.
    Tick,
}

/// Something is to be done. None of it is waited for: what comes of it is another [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the controller.
    Ask {
        /// Comes back with the answer.
        ticket: u64,
        /// What is asked; credentials are filled in on the way.
        request: Request,
    },
    /// Open or close a stream of output.
    Stream(Change),
    /// Write a text to a file.
    Save {
        /// What is in it, as part of its name.
        name: String,
        /// The text.
        text: String,
    },
    /// Put a text into the terminal's clipboard.
    Copy(String),
    /// Give the terminal to another program.
    Aside(Aside),
    /// Stop the process until the shell lets it go on.
    Suspend,
    /// Draw everything anew.
    Repaint,
    /// End.
    Quit,
}

/// A program that has the terminal for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aside {
    /// A shell, or the agent CLI, in an agent's workspace.
    Attach {
        /// The agent.
        agent: String,
        /// The agent CLI instead of a shell.
        agent_cli: bool,
    },
    /// A service's own client.
    Connect {
        /// The service.
        service: String,
    },
}
