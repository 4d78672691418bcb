//! `service env`.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::text;
use crate::services::env::Variable;

/// What a redacted value looks like.
const REDACTED: &str = "********";

/// How variables are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvStyle {
    /// `NAME=value`, for reading.
    Plain,
    /// `export NAME=value`, for a shell to evaluate.
    Export,
}

/// A variable as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownVariable {
    /// Its name.
    pub name: String,
    /// Its value; absent when it is redacted.
    pub value: Option<String>,
    /// The service it describes.
    pub service: String,
    /// Whether the value holds a secret.
    pub secret: bool,
}

/// The variables as they may be shown.
pub fn redact(variables: Vec<Variable>, show_secrets: bool) -> Vec<ShownVariable> {
    variables
        .into_iter()
        .map(|Variable { name, value, service, secret }| ShownVariable {
            value: (show_secrets || !secret).then_some(value),
            name,
            service,
            secret,
        })
        .collect()
}

/// One line per variable.
pub fn render_env(variables: &[ShownVariable], style: EnvStyle) -> String {
    let mut lines = String::new();
    for variable in variables {
        let value = variable.value.as_deref().unwrap_or(REDACTED);
        // Writing to a string cannot fail.
        _ = match style {
            EnvStyle::Plain => writeln!(lines, "{}={}", variable.name, text::one_line(value)),
            // What a shell evaluates must be exactly the value, so it is quoted, not cleaned.
            EnvStyle::Export => writeln!(lines, "export {}={}", variable.name, shell_words::quote(value)),
        };
    }
    lines
}
