//! What `config show` and `config schema` print.

use serde_json::Value;
use tanuki::config::{Secrets, schema, to_yaml};

use super::Project;
use super::loads::CONTRACT;

const SECRETS: &str = "\
services:
  postgres:
  cache:
    type: redis
    command: [redis-server, --requirepass, \"${CACHE_PASSWORD}\"]
    environment: { TOKEN_A: one, PLAIN: two, URL: \"http://me:pw@host/x\" }
    inject: { env: { CACHE: \"redis://:{password}@{host}\" } }
";

#[test]
fn secrets_are_hidden_unless_asked_for() {
    let config = Project::new(SECRETS).var("CACHE_PASSWORD", "hunter2").ok();
    let hidden = to_yaml(&config.to_tree(Secrets::Hidden));
    assert!(!hidden.contains("hunter2") && !hidden.contains("pw@"), "{hidden}");
    insta::assert_snapshot!("hidden", hidden);
    let shown = to_yaml(&config.to_tree(Secrets::Shown));
    assert!(shown.contains("hunter2") && shown.contains("TOKEN_A: one"), "{shown}");
}

#[test]
fn origins() {
    let project = Project::new(SECRETS)
        .file("home/.config/tanuki/config.yaml", "limits: { agents: 3 }\n")
        .var("CACHE_PASSWORD", "hunter2")
        .var("TANUKI_RUNTIME", "docker");
    let config = project.ok();
    let lines: Vec<String> = config
        .to_values(Secrets::Hidden)
        .into_iter()
        .map(|(path, value)| {
            let origin =
                config.origins.get(&path).map_or_else(|| "default".to_owned(), |origin| origin.to_string());
            format!("{path} = {value}  [{origin}]")
        })
        .collect();
    insta::assert_snapshot!("origins", lines.join("\n"));
}

/// What is shown can be taken as a configuration again.
#[test]
fn shown_is_loaded_to_the_same() {
    for text in [
        CONTRACT,
        "services: { postgres: , redis: { healthcheck: { test: [NONE] }, tmpfs: \"/x:size=1g\", ports: [7000] } }",
    ] {
        let config = Project::new(text).ok();
        let shown = to_yaml(&config.to_tree(Secrets::Shown));
        let again = Project::new(&shown).ok();
        assert_eq!(again.services, config.services);
        assert_eq!(again.adapters, config.adapters);
        assert_eq!(again.defaults, config.defaults);
        assert_eq!(again.roles, config.roles);
        assert_eq!(to_yaml(&again.to_tree(Secrets::Shown)), shown);
    }
}

#[test]
fn schema_for_editors() {
    insta::assert_snapshot!("schema", serde_json::to_string_pretty(&schema()).unwrap());
}

/// A key that the table has and nobody reads would be accepted and ignored.
#[test]
fn every_key_of_the_schema_is_read() {
    let schema = serde_json::to_value(schema()).unwrap();
    let mut paths = Vec::new();
    leaves(&schema, &mut Vec::new(), &mut paths);
    assert!(paths.len() > 80, "{}", paths.len());
    for path in paths {
        let mut yaml = "[[[]]]".to_owned();
        for key in path.iter().rev() {
            yaml = format!("{{ {key}: {yaml} }}");
        }
        let error = Project::new(&yaml).load().expect_err(&yaml);
        let found = path.join(".");
        let about = |diagnostic: &tanuki::config::Diagnostic| {
            diagnostic.path.as_deref().is_some_and(|path| path.starts_with(&found))
        };
        assert!(
            error.diagnostics.iter().any(about),
            "{yaml} is not refused for {found}:\n{}",
            error.render(false)
        );
    }
}

fn leaves(schema: &Value, path: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    let empty = Vec::new();
    let properties = schema["properties"].as_object();
    for (key, inner) in properties.into_iter().flatten() {
        path.push(key.clone());
        out.push(path.clone());
        leaves(inner, path, out);
        path.pop();
    }
    if schema["additionalProperties"].is_object() {
        path.push("a".to_owned());
        leaves(&schema["additionalProperties"], path, out);
        path.pop();
    }
    // Items of lists are tried by hand in the tests of refusals.
    for inner in schema["anyOf"].as_array().unwrap_or(&empty) {
        leaves(inner, path, out);
    }
}
