//! No engine: what was tried, and what to do about it.

use tanuki_runtimes::EngineKind;
use tanuki_runtimes::discover::{DiscoverError, Endpoint, Problem};

use super::CliError;

/// The error for people.
pub fn engine_error(error: &DiscoverError) -> CliError {
    let mut shown = CliError::engine("no container engine can be used");
    for (endpoint, problem) in &error.tried {
        shown = shown.cause(tried(endpoint, problem));
    }
    for hint in mends(error) {
        shown = shown.hint(hint);
    }
    shown
}

/// One candidate and what is wrong with it.
pub(super) fn tried(endpoint: &Endpoint, problem: &Problem) -> String {
    format!("{} at {}: {problem}", endpoint.source, endpoint.url)
}

/// What to do, most promising first; the same for `doctor`.
pub(super) fn mends(error: &DiscoverError) -> Vec<String> {
    let mut mends: Vec<String> = Vec::new();
    let mut add = |mend: String| {
        if !mends.contains(&mend) {
            mends.push(mend);
        }
    };
    for (endpoint, problem) in &error.tried {
        let named = is_named(endpoint);
        match problem {
            Problem::Denied if endpoint.kind == EngineKind::Docker => add(
                "let your user use Docker: `sudo usermod -aG docker $USER`, then log in again; or use rootless Podman"
                    .to_owned(),
            ),
            Problem::Denied => add(format!(
                "your user may not use {}; use your own: `systemctl --user start podman.socket`",
                endpoint.url
            )),
            Problem::Missing | Problem::Dead if named => {
                add(format!("start the engine that {} names, or unset it", endpoint.source));
            }
            Problem::Dead | Problem::Timeout if endpoint.kind == EngineKind::Docker => {
                add("start Docker: `sudo systemctl start docker`, or open Docker Desktop".to_owned());
            }
            Problem::Dead | Problem::Timeout => {
                add("start Podman's service: `systemctl --user start podman.socket`".to_owned());
            }
            Problem::WrongKind(kind) => add(format!("use --runtime {kind}, or --runtime auto")),
            Problem::Unsupported(_) if named => {
                add(format!("make {} a unix:// or tcp:// address", endpoint.source));
            }
            Problem::Missing | Problem::Unsupported(_) | Problem::Other(_) => {}
        }
    }
    if mends.is_empty() {
        mends.push(
            "install Docker (docs.docker.com/engine/install) or Podman (podman.io), or name a socket in DOCKER_HOST"
                .to_owned(),
        );
    }
    mends
}

fn is_named(endpoint: &Endpoint) -> bool {
    endpoint.source.starts_with("DOCKER_")
        || endpoint.source.starts_with("CONTAINER_")
        || endpoint.source == "chosen socket"
}
