//! Asking the candidates which of them is an engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::timeout;

use super::{Endpoint, Env, Preference, candidates, service};
use crate::{ContainerRuntime, EngineKind, Error, ErrorKind, docker, podman};

/// How long one candidate may take to answer. They are asked at the same time; a Podman that its socket has yet to
/// start needs most of this.
const PING: Duration = Duration::from_millis(1500);

/// How long the search may take.
const WHOLE: Duration = Duration::from_secs(2);

/// Why a candidate is not the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No such socket.
    Missing,
    /// A socket that nobody listens on.
    Dead,
    /// The user may not use the socket.
    Denied,
    /// No answer in time.
    Timeout,
    /// An engine, of a family that is not wanted.
    WrongKind(EngineKind),
    /// Cannot be reached by this program, for example `ssh://`.
    Unsupported(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("not there"),
            Self::Dead => f.write_str("nobody listens there"),
            Self::Denied => f.write_str("permission denied"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::WrongKind(kind) => write!(f, "it is {kind}, which was not asked for"),
            Self::Unsupported(what) => write!(f, "not supported: {what}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// No engine was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverError {
    /// Every candidate with what is wrong with it, best first.
    pub tried: Vec<(Endpoint, Problem)>,
    /// Whether the `podman` program is installed, so that a service could be started.
    pub podman_installed: bool,
}

impl fmt::Display for DiscoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no container engine found")?;
        for (index, (endpoint, problem)) in self.tried.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(f, "{before}{} ({}): {problem}", endpoint.source, endpoint.url)?;
        }
        Ok(())
    }
}

impl std::error::Error for DiscoverError {}

/// Connects to the best candidate that answers. Takes at most about 2 seconds.
pub async fn connect(env: &Env, preference: &Preference) -> Result<Arc<dyn ContainerRuntime>, DiscoverError> {
    let endpoints = candidates(env, preference);
    let mut tried = Vec::new();
    let search = async {
        // Asked at the same time, looked at in their order.
        let mut answers = stream::iter(endpoints.clone())
            .map(|endpoint| async move {
                let encrypted =
                    endpoint.url.starts_with("tcp://") && env.variable("DOCKER_TLS_VERIFY").is_some();
                let answer = if encrypted {
                    Err(Problem::Unsupported("TLS (DOCKER_TLS_VERIFY is set)".to_owned()))
                } else {
                    identify(&endpoint).await
                };
                (endpoint, answer)
            })
            .buffered(16);
        while let Some((endpoint, answer)) = answers.next().await {
            let problem = match answer {
                Ok(kind) if !preference.runtime.accepts(kind) => Problem::WrongKind(kind),
                Ok(kind) => match adapter(&Endpoint { kind, ..endpoint.clone() }) {
                    Ok(runtime) => {
                        tracing::debug!(url = endpoint.url, source = endpoint.source, %kind, "found an engine");
                        return Some(runtime);
                    }
                    Err(error) => problem(&endpoint, error),
                },
                Err(problem) => problem,
            };
            tried.push((endpoint, problem));
        }
        None
    };
    if let Ok(Some(runtime)) = timeout(WHOLE, search).await {
        return Ok(runtime);
    }
    let unasked = endpoints.into_iter().skip(tried.len()).map(|endpoint| (endpoint, Problem::Timeout));
    tried.extend(unasked.collect::<Vec<_>>());
    Err(DiscoverError { tried, podman_installed: service::installed(env) })
}

/// Like [`connect`]; where nothing answers, nothing was named, and Podman is installed, its service is started for
/// this user first (which takes a second or two). The error is that of the search.
pub async fn connect_or_start(
    env: &Env,
    preference: &Preference,
) -> Result<Arc<dyn ContainerRuntime>, DiscoverError> {
    let error = match connect(env, preference).await {
        Ok(runtime) => return Ok(runtime),
        Err(error) => error,
    };
    let named = preference.socket.is_some()
        || ["DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT"]
            .iter()
            .any(|name| env.variable(name).is_some());
    if named || !error.podman_installed || !preference.runtime.accepts(EngineKind::Podman) {
        return Err(error);
    }
    match super::start_podman_service(env).await {
        Ok(endpoint) => {
            let preference = Preference { runtime: preference.runtime, socket: Some(endpoint.url) };
            connect(env, &preference).await
        }
        Err(failed) => {
            let endpoint = Endpoint {
                kind: EngineKind::Podman,
                url: format!("unix://{}", service::socket(env).display()),
                source: "Podman service of Tanuki".to_owned(),
            };
            let mut error = error;
            error.tried.push((endpoint, Problem::Other(failed.detail)));
            Err(error)
        }
    }
}

/// Asks an endpoint what it is.
pub(super) async fn identify(endpoint: &Endpoint) -> Result<EngineKind, Problem> {
    if let Some(name) = endpoint.url.strip_prefix("context:") {
        return Err(Problem::Other(format!("there is no Docker context {name}")));
    }
    let path = endpoint.url.strip_prefix("unix://");
    if let Some(path) = path
        // Also when its directory may not be looked into, which the connection then tells.
        && let Err(error) = tokio::fs::metadata(path).await
        && error.kind() == std::io::ErrorKind::NotFound
    {
        return Err(Problem::Missing);
    }
    docker::identify(&endpoint.url, PING).await.map_err(|error| problem(endpoint, error))
}

fn problem(endpoint: &Endpoint, error: Error) -> Problem {
    match error.kind {
        ErrorKind::Denied => Problem::Denied,
        ErrorKind::Timeout => Problem::Timeout,
        ErrorKind::Unavailable if endpoint.url.starts_with("unix://") => Problem::Dead,
        ErrorKind::Unsupported => Problem::Unsupported(error.detail),
        _ => Problem::Other(error.detail),
    }
}

fn adapter(endpoint: &Endpoint) -> crate::Result<Arc<dyn ContainerRuntime>> {
    Ok(match endpoint.kind {
        EngineKind::Docker => Arc::new(docker::Docker::connect(endpoint)?),
        EngineKind::Podman => Arc::new(podman::Podman::connect(&endpoint.url)?),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;
    use crate::discover::Runtime;

    /// An engine that only pings, on a socket; `answer` is its headers.
    fn engine(socket: &Path, answer: &'static str) {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let _count = stream.read(&mut request).await.unwrap();
                let text = format!("HTTP/1.1 200 OK\r\n{answer}Content-Length: 2\r\n\r\nOK");
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        });
    }

    fn env(variables: &[(&str, &Path)]) -> Env {
        let variables =
            variables.iter().map(|(key, path)| ((*key).to_owned(), format!("unix://{}", path.display())));
        Env { variables: variables.collect(), uid: 4242, home: None, ..Env::of_process() }
    }

    async fn search(variables: &[(&str, &Path)], runtime: Runtime) -> Result<String, Vec<Problem>> {
        match connect(&env(variables), &Preference { runtime, socket: None }).await {
            Ok(runtime) => Ok(format!("{runtime:?}")),
            Err(error) => Err(error.tried.into_iter().map(|(_, problem)| problem).collect()),
        }
    }

    #[tokio::test]
    async fn a_podman_behind_docker_host_is_seen() {
        let directory = TempDir::new().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        engine(&one, "Api-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n");
        engine(&two, "Api-Version: 1.41\r\n");
        let found = search(&[("DOCKER_HOST", &one)], Runtime::Auto).await.unwrap();
        assert!(found.starts_with("Podman"), "{found}");
        let found = search(&[("DOCKER_HOST", &two)], Runtime::Auto).await.unwrap();
        assert!(found.starts_with("Docker"), "{found}");
        let refused = search(&[("DOCKER_HOST", &one)], Runtime::Docker).await;
        assert_eq!(refused, Err(vec![Problem::WrongKind(EngineKind::Podman)]));
    }

    #[tokio::test]
    async fn every_problem_is_told() {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        drop(std::os::unix::net::UnixListener::bind(path("dead")).unwrap());
        std::fs::write(path("file"), "").unwrap();
        engine(&path("other"), "Server: something\r\n");
        for (name, wanted) in [
            ("missing", Problem::Missing),
            ("dead", Problem::Dead),
            ("file", Problem::Dead),
            ("other", Problem::Other("this is no container engine".to_owned())),
        ] {
            assert_eq!(
                search(&[("DOCKER_HOST", &path(name))], Runtime::Auto).await,
                Err(vec![wanted]),
                "{name}"
            );
        }
        let ssh = Preference { runtime: Runtime::Auto, socket: Some("ssh://host".to_owned()) };
        let error = connect(&env(&[]), &ssh).await.unwrap_err();
        assert!(matches!(error.tried[..], [(_, Problem::Unsupported(_))]), "{error}");
    }

    #[tokio::test]
    async fn a_silent_socket_does_not_hold_up_the_search() {
        let directory = TempDir::new().unwrap();
        let (silent, good) = (directory.path().join("silent"), directory.path().join("good"));
        let _silent = UnixListener::bind(&silent).unwrap();
        engine(&good, "Api-Version: 1.41\r\n");
        let begun = tokio::time::Instant::now();
        let found =
            search(&[("DOCKER_HOST", &silent), ("CONTAINER_HOST", &good)], Runtime::Auto).await.unwrap();
        assert!(found.contains("good"), "{found}");
        assert!(begun.elapsed() < WHOLE, "{:?}", begun.elapsed());
    }

    // With nothing to wait for but a time limit, the paused clock jumps to it.
    #[tokio::test(start_paused = true)]
    async fn a_silent_socket_is_a_timeout() {
        let directory = TempDir::new().unwrap();
        let silent = directory.path().join("silent");
        let _silent = UnixListener::bind(&silent).unwrap();
        let alone = search(&[("DOCKER_HOST", &silent)], Runtime::Auto).await;
        assert_eq!(alone, Err(vec![Problem::Timeout]));
    }
}
