//! What a command works on, found when it asks: the one place where the parts are put together.

use super::{Env, Global};

/// What a command works on. Everything is found lazily, so that each command pays only for what it uses.
#[derive(Debug)]
pub struct Context {
    /// Flags of every command.
    pub global: Global,
    /// The process's environment and working directory.
    pub env: Env,
}

impl Context {
    /// A context that has found nothing yet.
    pub fn new(global: Global, env: Env) -> Self {
        Self { global, env }
    }
}
