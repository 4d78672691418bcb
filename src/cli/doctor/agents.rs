//! What agents need: an agent CLI that is known, its image, and what it signs in with.

use std::collections::BTreeMap;

use tanuki_runtimes::ContainerRuntime;

use crate::agents::adapters;
use crate::cli::context::Project;
use crate::cli::render::Check;
use crate::cli::{Context, Env};
use crate::model::{Adapter, AgentSettings};

/// Whether the agent CLIs in use have something to sign in with. Values are not looked at.
pub(super) fn credentials(context: &Context, project: &Project) -> Vec<Check> {
    let settings = project.config.agents();
    in_use(&settings).into_iter().map(|(name, users)| judge(&settings, name, &users, &context.env)).collect()
}

/// Whether the images of agents are there.
pub(super) async fn images(project: &Project, runtime: &dyn ContainerRuntime) -> Vec<Check> {
    let settings = project.config.agents();
    let mut checks = Vec::new();
    let roles =
        settings.roles.iter().filter_map(|(name, role)| Some((name.as_str(), role.image.as_deref()?)));
    let mut images: BTreeMap<&str, String> =
        roles.map(|(name, image)| (image, format!("image of {name}"))).collect();
    match settings.defaults.image.as_deref() {
        Some(image) => drop(images.insert(image, "image of agents".to_owned())),
        None => checks.push(Check::note(
            "image of agents",
            "none is set; `defaults.image` in tanuki.yaml or `spawn --image` names one with git, a shell and the agent CLI",
        )),
    }
    for (image, name) in images {
        checks.push(match runtime.image(image).await {
            Ok(Some(_)) => Check::ok(name, image),
            Ok(None) => Check::warning(
                name,
                format!("{image} is not there; it is pulled when an agent is made"),
                "build it, or check that the registry can be reached",
            ),
            Err(error) => Check::failure(name, error.to_string(), "see the engine's log"),
        });
    }
    checks
}

/// Adapters in use by name, with who uses them: the defaults first, then roles.
fn in_use(settings: &AgentSettings) -> BTreeMap<&str, Vec<&str>> {
    let mut used: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    used.entry(&settings.defaults.agent).or_default().push("the default");
    for (name, role) in &settings.roles {
        if let Some(adapter) = &role.agent {
            used.entry(adapter).or_default().push(name);
        }
    }
    used
}

fn judge(settings: &AgentSettings, name: &str, users: &[&str], env: &Env) -> Check {
    let check = format!("agent CLI {name}");
    let Some(adapter) = settings.adapters.get(name) else {
        return Check::failure(
            check,
            format!("it is not known, and {} names it", users.join(", ")),
            format!("known are {}", settings.adapters.keys().cloned().collect::<Vec<_>>().join(", ")),
        );
    };
    match signs_in(adapter, env) {
        Ok(how) => Check::ok(check, how),
        Err(mend) => Check::warning(check, "it has nothing to sign in with", mend),
    }
}

/// What an agent CLI signs in with, or what to do where there is nothing.
fn signs_in(adapter: &Adapter, env: &Env) -> Result<String, String> {
    let set = |names: &[&str]| names.iter().find(|name| env.var(name).is_some()).map(ToString::to_string);
    let Some((file, secrets)) = adapters::sign_in(adapter.kind) else {
        let missing: Vec<&str> =
            adapter.env.iter().map(String::as_str).filter(|name| env.var(name).is_none()).collect();
        return match (adapter.env.as_slice(), missing.as_slice()) {
            ([], _) => Ok("a program of your own".to_owned()),
            (names, []) => Ok(format!("{} set", are(&names.join(" and "), names.len()))),
            (_, missing) => {
                Err(format!("set {}, which `adapters` in tanuki.yaml names", missing.join(" and ")))
            }
        };
    };
    let own: Vec<&str> = adapter.env.iter().map(String::as_str).collect();
    if let Some(name) = set(secrets).or_else(|| set(&own)) {
        return Ok(format!("{name} is set"));
    }
    let there = env.var("HOME").map(std::path::PathBuf::from).is_some_and(|home| home.join(file).is_file());
    if there {
        return Ok(format!("signed in, by ~/{file}"));
    }
    Err(format!(
        "set {}, or sign in on this machine (~/{file})",
        secrets.first().copied().unwrap_or_default()
    ))
}

fn are(names: &str, count: usize) -> String {
    if count == 1 { format!("{names} is") } else { format!("{names} are") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AdapterKind;

    fn env(vars: &[(&str, &str)]) -> Env {
        let vars = vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Env { vars, ..Env::default() }
    }

    fn adapter(kind: AdapterKind, own: &[&str]) -> Adapter {
        let own = own.iter().map(|name| (*name).to_owned()).collect();
        Adapter { kind, env: own, args: Vec::new(), run: Vec::new() }
    }

    #[test]
    fn a_variable_or_a_sign_in_on_this_machine_is_enough() {
        let claude = adapter(AdapterKind::Claude, &[]);
        let key = env(&[("ANTHROPIC_API_KEY", "s3cret")]);
        assert_eq!(signs_in(&claude, &key), Ok("ANTHROPIC_API_KEY is set".to_owned()));
        let home = tempfile::tempdir().unwrap();
        let at_home = env(&[("HOME", home.path().to_str().unwrap())]);
        assert!(signs_in(&claude, &at_home).unwrap_err().starts_with("set ANTHROPIC_API_KEY, or sign in"));
        std::fs::create_dir(home.path().join(".claude")).unwrap();
        std::fs::write(home.path().join(".claude/.credentials.json"), "{}").unwrap();
        assert_eq!(signs_in(&claude, &at_home), Ok("signed in, by ~/.claude/.credentials.json".to_owned()));
    }

    #[test]
    fn a_program_of_ones_own_needs_what_the_configuration_names() {
        let own = adapter(AdapterKind::Command, &["A", "B"]);
        assert_eq!(signs_in(&own, &env(&[("A", "1"), ("B", "2")])), Ok("A and B are set".to_owned()));
        assert!(signs_in(&own, &env(&[("A", "1")])).unwrap_err().starts_with("set B,"));
        assert!(signs_in(&adapter(AdapterKind::Command, &[]), &env(&[])).is_ok());
    }
}
