//! The dashboard: agents, tasks, services and output on one screen, and every action a key away.
//!
//! One closed [`Event`] enum says all that can happen. [`update`] is a pure function that takes an event in and returns
//! the [`Effect`]s that are to be carried out; it never waits. [`draw`] turns what is remembered ([`State`]) and the
//! newest snapshot into a screen. [`run`] is the loop around them: keys, signals, snapshots, output and answers in;
//! requests through the controller's handle out. What needs an engine, the disk or another program is done by whoever
//! runs the dashboard, through [`Outside`].
//!
//! # Guarantees
//!
//! * Nothing is drawn when nothing changed; there is no timer but for times that are on the screen.
//! * Any size of the terminal will do. The terminal is restored on return, error, panic and signal.
//! * What comes from outside is cleaned before it is shown: no output acts on the terminal.
//! * Output is bounded in lines and bytes, and keys come before output.

mod act;
mod answer;
mod draw;
mod editor;
mod event;
mod keys;
mod layout;
mod logs;
mod pane;
mod popup;
mod rows;
mod run;
mod state;
mod terminal;
mod text;
mod theme;
mod ticks;
mod update;

pub use draw::draw;
pub use event::{Aside, Effect, Event};
pub use logs::Change;
pub use run::{Deps, End, Link, Outside, RunError, run};
pub use state::{Pane, State};
pub use theme::Theme;
pub use update::update;
