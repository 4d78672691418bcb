//! `logs` and `run --follow`: lines of agents' output.

use crate::cli::output::Tone;
use crate::cli::text;
use crate::model::{OutputKind, OutputLine};

/// A line as a person reads it, and its tone. With several sources it begins with whose it is, padded to `width`.
pub fn render_line(line: &OutputLine, width: Option<usize>) -> (Tone, String) {
    let (tone, mark) = match line.kind {
        OutputKind::Text => (Tone::Plain, ""),
        OutputKind::Thinking => (Tone::Faint, "~ "),
        OutputKind::Tool => (Tone::Note, "> "),
        OutputKind::ToolResult => (Tone::Faint, "  "),
        OutputKind::Error => (Tone::Bad, "! "),
        OutputKind::Note => (Tone::Strong, "# "),
    };
    let source =
        width.map(|width| format!("{:<width$} | ", text::one_line(&line.source))).unwrap_or_default();
    (tone, format!("{source}{mark}{}", text::log_line(&line.text)))
}
