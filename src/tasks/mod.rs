//! The kind Task: Markdown files that become work by agents.
