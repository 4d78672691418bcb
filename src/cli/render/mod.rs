//! What people read, as pure functions over plain data: no clock, no engine, no terminal.
//!
//! All text that comes from engines, programs and configuration is cleaned on its way in; nothing here ever returns a
//! control character but the newline.

mod doctor;
mod env;
mod events;
mod plan;
mod status;

pub use doctor::{Check, Level, render_doctor};
pub use env::{EnvStyle, ShownVariable, redact, render_env};
pub use events::render_event;
pub use plan::{PlanLine, is_settled, render_plan};
pub use status::{StatusView, in_trouble, render_status, trouble};
