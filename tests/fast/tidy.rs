//! The rules of the house, read off the sources: who imports whom, how long files are, what is never written.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source below `dir`, as (path from the root, text).
fn sources(dir: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join(dir), &mut files);
    files.sort();
    assert!(!files.is_empty(), "no sources in {dir}");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    files.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// The code, without comments and without the tests at the end of a file.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a file of module `own` names, by `crate::x` or by `super::…`.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            for part in group[..group.find('}').unwrap_or(group.len())].split(',') {
                found.insert(part.trim().split("::").next().unwrap().to_owned());
            }
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.insert(rest[..end].to_owned());
        }
    }
    found
}

#[test]
fn modules_import_only_what_they_may() {
    let allowed: &[(&str, &[&str])] = &[
        ("src/model", &[]),
        ("src/controller", &["model"]),
        ("src/store", &["model"]),
        ("src/services", &["controller", "model", "store", "services"]),
        ("src/config", &["model", "config"]),
        ("src/api", &["controller", "model"]),
        ("src/git", &["model", "git"]),
        ("src/agents", &["controller", "model", "store", "git", "services", "agents"]),
        ("src/tasks", &["controller", "model", "store", "git", "tasks"]),
        ("src/tui", &["controller", "model", "tui"]),
    ];
    let modules =
        ["agents", "api", "cli", "config", "controller", "git", "model", "services", "store", "tasks", "tui"];
    for (dir, may) in allowed {
        for (file, text) in sources(dir) {
            for import in imports(&text).into_iter().filter(|import| modules.contains(&import.as_str())) {
                assert!(may.contains(&import.as_str()), "{file} imports {import}, which {dir} must not");
            }
        }
    }
}

#[test]
fn nothing_imports_the_command_line_but_main() {
    for (file, text) in sources("src") {
        if !file.starts_with("src/cli/") && file != "src/lib.rs" && file != "src/main.rs" {
            assert!(!imports(&text).contains("cli"), "{file} imports cli");
        }
    }
}

#[test]
fn the_model_is_plain_data() {
    for (file, text) in sources("src/model") {
        for line in code(&text).lines().map(str::trim).filter(|line| line.starts_with("use ")) {
            let plain = ["use std::", "use serde::", "use super::", "use crate::model"];
            assert!(plain.iter().any(|start| line.starts_with(start)), "{file}: {line}");
        }
    }
}

#[test]
fn planners_and_machines_are_pure() {
    let pure = ["plan.rs", "backoff.rs", "health.rs", "graph.rs"];
    let mut seen = 0;
    for (file, text) in sources("src/services").into_iter().chain(sources("src/agents")) {
        if pure.iter().any(|name| file.ends_with(&format!("/{name}"))) {
            seen += 1;
            let code = code(&text);
            for banned in [
                "tokio",
                "Instant",
                "SystemTime",
                "fastrand",
                "async ",
                "tanuki_runtimes",
                "std::fs",
                "std::env",
            ] {
                assert!(!code.contains(banned), "{file} names {banned}");
            }
        }
    }
    for (file, text) in sources("src/tasks") {
        if ["board.rs", "graph.rs", "schedule.rs", "sheet.rs"].iter().any(|name| file.ends_with(name)) {
            seen += 1;
            for banned in ["tokio", "Instant", "SystemTime", "fastrand", "async ", "std::fs", "std::env"] {
                assert!(!code(&text).contains(banned), "{file} names {banned}");
            }
        }
    }
    assert_eq!(seen, 4 + 4);
}

#[test]
fn engine_clients_stay_in_their_adapters() {
    for dir in ["src", "runtimes/src"] {
        for (file, text) in sources(dir) {
            let code = code(&text);
            for (client, home) in
                [("bollard", "runtimes/src/docker/"), ("podman_api", "runtimes/src/podman/")]
            {
                assert!(
                    !code.contains(&format!("{client}::")) || file.starts_with(home),
                    "{file} names {client}"
                );
            }
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for dir in ["src", "runtimes/src", "integration/src"] {
        for (file, text) in sources(dir) {
            for banned in
                ["todo!(", "unimplemented!(", "FIXME", "allow(dead_code", "allow(unused", "#[ignore"]
            {
                assert!(!text.contains(banned), "{file} has {banned}");
            }
        }
    }
}

#[test]
fn files_stay_short() {
    for dir in ["src", "runtimes/src", "integration/src"] {
        for (file, text) in sources(dir) {
            let lines = code(&text).lines().count();
            assert!(lines <= 500, "{file} has {lines} lines of code; split it by idea");
        }
    }
}
