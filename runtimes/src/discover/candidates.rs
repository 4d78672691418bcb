//! Where an engine may be, in the order it is looked for.

use std::path::{Path, PathBuf};

use super::{Endpoint, Env, Preference, Runtime, context};
use crate::EngineKind;

/// The places to try, best first; see the [module](super) for the order. Never empty.
///
/// Where no usual socket exists, the most usual ones are in the list, so that an error can say where was looked.
pub fn candidates(env: &Env, preference: &Preference) -> Vec<Endpoint> {
    if let Some(socket) = &preference.socket {
        return vec![named(socket, preference.runtime, "chosen socket")];
    }
    let from_environment = from_environment(env, preference.runtime);
    if !from_environment.is_empty() {
        return from_environment;
    }
    let mut found = Vec::new();
    if preference.runtime != Runtime::Podman
        && let Some(name) = context::current(env)
        && let Some(url) = context::url(env, &name)
    {
        found.push(Endpoint { kind: EngineKind::Docker, url, source: format!("Docker context {name}") });
    }
    let usual: Vec<_> =
        usual(env).into_iter().filter(|endpoint| preference.runtime.accepts(endpoint.kind)).collect();
    let there = |endpoint: &Endpoint| {
        endpoint.url.strip_prefix("unix://").is_some_and(|path| (env.exists)(Path::new(path)))
    };
    found.extend(usual.iter().filter(|endpoint| there(endpoint)).cloned());
    if found.is_empty() {
        let podman = if env.uid == 0 { "rootful Podman" } else { "rootless Podman" };
        found.extend(
            usual.into_iter().filter(|endpoint| ["Docker", podman].contains(&endpoint.source.as_str())),
        );
    }
    let mut seen = Vec::new();
    found.retain(|endpoint| {
        let new = !seen.contains(&endpoint.url);
        seen.push(endpoint.url.clone());
        new
    });
    found
}

/// What the environment names. For Podman only `CONTAINER_HOST` goes first, and `DOCKER_HOST` may be a Podman too;
/// for Docker only `CONTAINER_HOST` says nothing.
fn from_environment(env: &Env, runtime: Runtime) -> Vec<Endpoint> {
    let docker_host = env.variable("DOCKER_HOST").map(|url| named(url, runtime, "DOCKER_HOST"));
    let container_host = env
        .variable("CONTAINER_HOST")
        .map(|url| Endpoint { kind: EngineKind::Podman, ..named(url, Runtime::Podman, "CONTAINER_HOST") });
    let context = env.variable("DOCKER_CONTEXT").filter(|name| *name != "default").map(|name| Endpoint {
        kind: EngineKind::Docker,
        // A context that is not there fails under its name instead of being passed over.
        url: context::url(env, name).unwrap_or_else(|| format!("context:{name}")),
        source: format!("DOCKER_CONTEXT {name}"),
    });
    // DOCKER_HOST overrides the context, as it does for the docker command.
    let docker = docker_host.clone().or(context);
    match runtime {
        Runtime::Auto => docker.into_iter().chain(container_host).collect(),
        Runtime::Docker => docker.into_iter().collect(),
        Runtime::Podman => match container_host {
            Some(endpoint) => vec![endpoint],
            // A DOCKER_HOST that leads to a Docker does not keep a Podman from being found.
            None => docker_host.filter(|endpoint| endpoint.url.contains("podman")).into_iter().collect(),
        },
    }
}

fn named(socket: &str, runtime: Runtime, source: &str) -> Endpoint {
    let url = if socket.starts_with('/') { format!("unix://{socket}") } else { socket.to_owned() };
    let kind = match runtime {
        Runtime::Docker => EngineKind::Docker,
        Runtime::Podman => EngineKind::Podman,
        Runtime::Auto if url.contains("podman") => EngineKind::Podman,
        Runtime::Auto => EngineKind::Docker,
    };
    Endpoint { kind, url, source: source.to_owned() }
}

/// The usual sockets, whether they exist or not.
fn usual(env: &Env) -> Vec<Endpoint> {
    let run = env.runtime_dir();
    let mut rootless = vec![
        podman(run.join("podman/podman.sock"), "rootless Podman"),
        podman(super::service::socket(env), "Podman service of Tanuki"),
    ];
    let docker_rootful = docker("/var/run/docker.sock", "Docker");
    let podman_rootful = podman("/run/podman/podman.sock", "rootful Podman");
    let mut found = if env.uid == 0 {
        let mut found = vec![docker_rootful, podman_rootful];
        found.append(&mut rootless);
        found
    } else {
        let mut found = rootless;
        found.extend([docker(run.join("docker.sock"), "rootless Docker"), docker_rootful, podman_rootful]);
        found
    };
    if let Some(home) = &env.home {
        let colima = env.variable("COLIMA_HOME").map_or_else(|| home.join(".colima"), PathBuf::from);
        found.extend([
            docker(home.join(".docker/run/docker.sock"), "Docker Desktop"),
            docker(home.join(".docker/desktop/docker.sock"), "Docker Desktop"),
            docker(colima.join("default/docker.sock"), "Colima"),
            docker(home.join(".rd/docker.sock"), "Rancher Desktop"),
            docker(home.join(".orbstack/run/docker.sock"), "OrbStack"),
            podman(home.join(".local/share/containers/podman/machine/podman.sock"), "Podman machine"),
        ]);
    }
    if let Some(temporary) = env.variable("TMPDIR") {
        let socket = Path::new(temporary).join("podman/podman-machine-default-api.sock");
        found.push(podman(socket, "Podman machine"));
    }
    found
}

fn docker(path: impl AsRef<Path>, source: &str) -> Endpoint {
    Endpoint {
        kind: EngineKind::Docker,
        url: format!("unix://{}", path.as_ref().display()),
        source: source.to_owned(),
    }
}

fn podman(path: impl AsRef<Path>, source: &str) -> Endpoint {
    Endpoint {
        kind: EngineKind::Podman,
        url: format!("unix://{}", path.as_ref().display()),
        source: source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn env(uid: u32, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Env {
        let files: BTreeMap<PathBuf, String> =
            files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect();
        let texts = files.clone();
        Env {
            variables: variables
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            uid,
            home: Some(PathBuf::from("/home/u")),
            exists: Box::new(move |path| files.contains_key(path)),
            read: Box::new(move |path| texts.get(path).cloned()),
        }
    }

    fn urls(env: &Env, runtime: Runtime) -> Vec<String> {
        let preference = Preference { runtime, socket: None };
        candidates(env, &preference).into_iter().map(|endpoint| endpoint.url).collect()
    }

    const DOCKER: (&str, &str) = ("/var/run/docker.sock", "");
    const PODMAN: (&str, &str) = ("/run/podman/podman.sock", "");
    const ROOTLESS: (&str, &str) = ("/run/user/1000/podman/podman.sock", "");

    #[test]
    fn an_ordinary_user_gets_rootless_podman_first() {
        let env = env(1000, &[], &[DOCKER, PODMAN, ROOTLESS]);
        assert_eq!(
            urls(&env, Runtime::Auto),
            [
                "unix:///run/user/1000/podman/podman.sock",
                "unix:///var/run/docker.sock",
                "unix:///run/podman/podman.sock"
            ]
        );
        assert_eq!(urls(&env, Runtime::Docker), ["unix:///var/run/docker.sock"]);
    }

    #[test]
    fn root_gets_docker_first() {
        let env = env(0, &[], &[DOCKER, PODMAN]);
        assert_eq!(
            urls(&env, Runtime::Auto),
            ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"]
        );
        assert_eq!(urls(&env, Runtime::Podman), ["unix:///run/podman/podman.sock"]);
    }

    #[test]
    fn a_chosen_socket_is_the_only_one() {
        let env = env(0, &[("DOCKER_HOST", "tcp://x:1")], &[DOCKER]);
        let preference = Preference { runtime: Runtime::Podman, socket: Some("/a/b.sock".to_owned()) };
        let found = candidates(&env, &preference);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].url.as_str(), found[0].kind), ("unix:///a/b.sock", EngineKind::Podman));
    }

    #[test]
    fn the_environment_ends_the_search() {
        let both = env(0, &[("DOCKER_HOST", "tcp://x:1"), ("CONTAINER_HOST", "unix:///c.sock")], &[DOCKER]);
        assert_eq!(urls(&both, Runtime::Auto), ["tcp://x:1", "unix:///c.sock"]);
        assert_eq!(urls(&both, Runtime::Docker), ["tcp://x:1"]);
        assert_eq!(urls(&both, Runtime::Podman), ["unix:///c.sock"]);
        let empty = env(0, &[("DOCKER_HOST", "")], &[DOCKER]);
        assert_eq!(urls(&empty, Runtime::Auto), ["unix:///var/run/docker.sock"]);
        let docker_only = env(0, &[("DOCKER_HOST", "tcp://x:1")], &[PODMAN]);
        assert_eq!(urls(&docker_only, Runtime::Podman), ["unix:///run/podman/podman.sock"]);
    }

    #[test]
    fn contexts_are_resolved() {
        // The directory is the SHA-256 of the name.
        let path = concat!(
            "/home/u/.docker/contexts/meta/",
            "a51146d38077ff992eba84cf1d5e9b249073503eb74868699016153b031a38f7",
            "/meta.json"
        );
        let host = r#"{"Name":"lab","Endpoints":{"docker":{"Host":"unix:///lab.sock"}}}"#;
        let current = ("/home/u/.docker/config.json", r#"{"currentContext":"lab"}"#);
        let by_config = env(0, &[], &[current, (path, host), DOCKER]);
        assert_eq!(urls(&by_config, Runtime::Auto), ["unix:///lab.sock", "unix:///var/run/docker.sock"]);
        let by_variable = env(0, &[("DOCKER_CONTEXT", "lab")], &[(path, host), DOCKER]);
        assert_eq!(urls(&by_variable, Runtime::Auto), ["unix:///lab.sock"]);
        let missing = env(0, &[("DOCKER_CONTEXT", "gone")], &[DOCKER]);
        assert_eq!(urls(&missing, Runtime::Auto), ["context:gone"]);
    }

    #[test]
    fn where_nothing_is_the_error_can_say_where_was_looked() {
        assert_eq!(
            urls(&env(1000, &[], &[]), Runtime::Auto),
            ["unix:///run/user/1000/podman/podman.sock", "unix:///var/run/docker.sock"]
        );
    }
}
