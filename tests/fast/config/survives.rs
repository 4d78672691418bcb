//! Whatever a file holds, loading it ends soon and does not panic.

use std::time::Duration;

use proptest::prelude::*;

use super::Project;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(Project::new(bytes).load());
    }

    #[test]
    fn anything_like_yaml(text in "([a-z]{1,3}|[-:?,#&*!|>'\"%@`{}\\[\\]~ \n\t]|: |- |\n  |services|\\$\\{)*") {
        drop(Project::new(text).load());
    }

    #[test]
    fn any_text_at_any_key(key in prop::sample::select(KEYS), text in "[a-zé0-9:/.,=~$ {}\"'\\-]{0,20}") {
        let text = serde_json::to_string(&text).unwrap_or_default();
        for yaml in [
            format!("services:\n  a:\n    image: i\n    port: 1\n    {key}: {text}\n"),
            format!("services:\n  a:\n    {key}: [{text}]\n"),
            format!("services:\n  a:\n    healthcheck: {{ log: {text} }}\n    inject: {{ prefix: {text}, env: {{ A: {text} }} }}\n"),
        ] {
            drop(Project::new(yaml).load());
        }
    }

    #[test]
    fn any_value_at_any_key(key in prop::sample::select(KEYS), value in prop::sample::select(VALUES)) {
        for text in [format!("services:\n  a:\n    {key}: {value}\n"), format!("{key}: {value}\n")] {
            if let Err(error) = Project::new(text).load() {
                prop_assert!(!error.render(false).is_empty());
                prop_assert!(!error.render(true).is_empty());
            }
        }
    }
}

const KEYS: &[&str] = &[
    "type",
    "enabled",
    "external",
    "image",
    "command",
    "environment",
    "env_file",
    "port",
    "host_port",
    "ports",
    "volumes",
    "tmpfs",
    "user",
    "shm_size",
    "stop_grace_period",
    "healthcheck",
    "restart",
    "inject",
    "resources",
    "services",
    "runtime",
    "network",
    "defaults",
    "adapters",
    "roles",
    "limits",
    "tasks_dir",
    "version",
    "cpus",
];

const VALUES: &[&str] = &[
    "",
    "~",
    "true",
    "0",
    "-1",
    "1e400",
    ".nan",
    "99999999999999999999999999999999999999999",
    "''",
    "'a b'",
    "[]",
    "[[]]",
    "[~]",
    "{}",
    "{a: {}}",
    "{a: ~}",
    "{test: [], tcp: {}, http: {port: {}}}",
    "é",
    "\"\\u0000\"",
    "'::'",
    "'/'",
    "[':', '/:/', '[::1]:1:1']",
    "{path: [], required: 3}",
    "{env: {A: '{'}, prefix: '-'}",
    "1.10",
    "0x1F",
    "{initial: ~, max: 0}",
    "{memory: {}, cpus: []}",
    "!t x",
    "&a [*a]",
    "<<",
    "{<<: 3}",
    "{<<: [{a: 1}, 2]}",
];

/// Hostile texts, long enough that anything worse than linear shows. The limit is wide, for busy machines.
#[test]
fn ends_soon() {
    let size = 1 << 17;
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let texts = [
        "[".repeat(size),
        "{a: ".repeat(3_900),
        "- ".repeat(size / 2),
        "? ".repeat(size / 2),
        "a: ".repeat(size / 3),
        "\"".repeat(size),
        "&a ".repeat(size / 3),
        lines(size / 16, &|index| format!("k{index}: {index}\n")),
        lines(50, &|index| format!("k{index}: '{}'\n", "x".repeat(20_000))),
        lines(2_000, &|index| format!("services: {{ s{index}: {{ image: a }} }}\n")),
        format!(
            "services:\n{}",
            lines(2_000, &|index| format!("  s{index}: {{image: a, port: 1, host_port: 1}}\n"))
        ),
        format!(
            "services: {{ a: {{ image: a, port: 1, environment: {{\n{} }} }} }}",
            lines(15_000, &|index| format!("  a{index}: 1.5,\n")),
        ),
        format!(
            "services: {{ a: {{ image: a, port: 1, environment:\n[{}] }} }}",
            lines(15_000, &|index| format!(" a{index},\n"))
        ),
        format!(
            "services:\n postgres:\n  environment:\n{}",
            lines(15_000, &|index| format!("   a{index}: x\n"))
        ),
        format!("x: '{}'", "${A".repeat(size / 4)),
        format!("network: {{ name: '{}' }}", "${A:-".repeat(size / 6)),
        "\t".repeat(size),
        "\u{2028}".repeat(size / 3),
        "%TAG !a! b\n".repeat(size / 11),
        lines(size / 16, &|index| format!("%TAG !a{index}! b\r")),
    ];
    for text in texts {
        let start = tokio::time::Instant::now();
        let result = Project::new(&text).load();
        let shown = result.map_err(|error| error.render(true).len());
        let head: String = text.chars().take(20).collect();
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{head:?} took {:?}: {:?}",
            start.elapsed(),
            shown.is_ok()
        );
    }
}

#[test]
fn an_env_file_ends_soon() {
    let project = Project::new("services: { a: { image: a, port: 1, env_file: a.env } }")
        .file("a.env", format!("A=\"{}\"\n", "${".repeat(100_000)));
    let start = tokio::time::Instant::now();
    assert!(project.refusal().contains("no closing"));
    assert!(start.elapsed() < Duration::from_secs(30));
}
