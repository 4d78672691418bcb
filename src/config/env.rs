//! What the configuration takes from the user's environment, as an argument.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The user's environment. The program's entry fills it; nothing below reads the real one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env {
    /// Variables.
    pub vars: BTreeMap<String, String>,
    /// Home directory.
    pub home: Option<PathBuf>,
}

impl Env {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str)
    }

    /// The user-wide configuration file: `$XDG_CONFIG_HOME/tanuki/config.yaml`, else under `~/.config`.
    pub fn user_config(&self) -> Option<PathBuf> {
        // The XDG specification has relative values ignored.
        let configured = self.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = configured.or_else(|| self.home.as_ref().map(|home| home.join(".config")))?;
        Some(base.join("tanuki").join("config.yaml"))
    }
}
