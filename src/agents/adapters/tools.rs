//! Tools by the names roles give them, and by those each agent CLI has.

/// A tool under its different names: Claude Code's, Gemini's, `OpenCode`'s permission.
const TOOLS: &[(&str, &str, &str)] = &[
    ("Read", "read_file", "read"),
    ("Write", "write_file", "edit"),
    ("Edit", "replace", "edit"),
    ("MultiEdit", "replace", "edit"),
    ("NotebookEdit", "replace", "edit"),
    ("Bash", "run_shell_command", "bash"),
    ("Glob", "glob", "glob"),
    ("Grep", "grep_search", "grep"),
    ("LS", "list_directory", "list"),
    ("WebFetch", "web_fetch", "webfetch"),
    ("WebSearch", "google_web_search", "websearch"),
    ("TodoWrite", "write_todos", "todowrite"),
    ("Task", "task", "task"),
];

/// Claude Code's tools that change something.
pub(super) const WRITING: [&str; 5] = ["Bash", "Edit", "MultiEdit", "NotebookEdit", "Write"];

/// A tool without its pattern: `Bash(git:*)` is `Bash`.
pub(super) fn bare(tool: &str) -> &str {
    tool.split('(').next().unwrap_or(tool).trim()
}

fn found(tool: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    TOOLS.iter().find(|names| names.0.eq_ignore_ascii_case(bare(tool)))
}

/// As Gemini CLI names it, and the beginning a command of its shell must have; unknown ones stay as they are.
pub(super) fn gemini(tool: &str) -> (String, Option<String>) {
    let name = found(tool).map_or_else(|| bare(tool).to_owned(), |names| names.1.to_owned());
    let pattern = tool.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let prefix = pattern
        .filter(|_| name == "run_shell_command")
        .map(|pattern| pattern.trim_end_matches('*').trim_end_matches([':', ' ']).to_owned());
    (name, prefix)
}

/// The permission of `OpenCode` and the pattern on it that a tool is under.
pub(super) fn opencode(tool: &str) -> (String, Option<String>) {
    let name = found(tool).map_or_else(|| bare(tool).to_lowercase(), |names| names.2.to_owned());
    let pattern = tool.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    (name, pattern.map(|pattern| pattern.replace(":*", " *")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_have_each_programs_names() {
        let shell = ("run_shell_command".to_owned(), Some("git status".to_owned()));
        assert_eq!(gemini("Bash(git status:*)"), shell);
        assert_eq!(gemini("write"), ("write_file".to_owned(), None));
        assert_eq!(gemini("my_tool"), ("my_tool".to_owned(), None));
        assert_eq!(opencode("Write"), ("edit".to_owned(), None));
        assert_eq!(opencode("Bash(git:*)"), ("bash".to_owned(), Some("git *".to_owned())));
    }
}
