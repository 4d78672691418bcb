//! What the process was started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::Time;

/// The process's environment, working directory and program, read once and passed on.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// Variables; those that are not text are left out, since nothing of Tanuki's is.
    pub vars: BTreeMap<String, String>,
    /// The working directory; empty when it is gone.
    pub cwd: PathBuf,
    /// This program's own file, for starting the controller.
    pub program: Option<PathBuf>,
}

impl Env {
    /// Reads them from the process.
    pub fn of_process() -> Self {
        let vars = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { vars, cwd: std::env::current_dir().unwrap_or_default(), program: std::env::current_exe().ok() }
    }

    /// A variable that is set to something.
    pub fn var(&self, key: &str) -> Option<&str> {
        self.vars.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The wall clock, for showing how long ago things were.
#[expect(clippy::disallowed_methods, reason = "the command line is where the clock comes in")]
pub fn now() -> Time {
    Time::from(std::time::SystemTime::now())
}
