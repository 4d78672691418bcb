//! `doctor`.

use std::fmt;

use serde::Serialize;

use crate::cli::text;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Nothing to judge.
    Note,
    /// Works, but somebody may want to look.
    Warning,
    /// Something will not work.
    Failure,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "-",
            Self::Warning => "warning",
            Self::Failure => "failure",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What, in a word or two.
    pub name: String,
    /// How it went.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub mend: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Ok, message: message.into(), mend: None }
    }

    /// Nothing to judge, but worth knowing.
    pub fn note(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Note, message: message.into(), mend: None }
    }

    /// Worth a look, with what to do about it.
    pub fn warning(name: impl Into<String>, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Warning, message: message.into(), mend: Some(mend.into()) }
    }

    /// Wrong, with what to do about it.
    pub fn failure(name: impl Into<String>, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Failure, message: message.into(), mend: Some(mend.into()) }
    }
}

/// One line per check, and a second one with the mend where there is one.
pub fn render_doctor(checks: &[Check]) -> String {
    let names: Vec<String> = checks.iter().map(|check| text::one_line(&check.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    checks
        .iter()
        .zip(names)
        .map(|(check, name)| {
            let mut lines =
                format!("{:<7}  {:<width$}  {}\n", check.level, name, text::one_line(&check.message));
            if let Some(mend) = &check.mend {
                lines.push_str(&format!("{:<7}  {:<width$}  -> {}\n", "", "", text::one_line(mend)));
            }
            lines
        })
        .collect()
}
