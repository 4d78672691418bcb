//! Docker contexts, as the `docker` command keeps them in its configuration directory.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Env;

/// The name of the current context in `config.json`, unless it is the default one.
pub(super) fn current(env: &Env) -> Option<String> {
    let config = (env.read)(&directory(env)?.join("config.json"))?;
    let config: Value = serde_json::from_str(&config).ok()?;
    let name = config.get("currentContext")?.as_str()?;
    (!name.is_empty() && name != "default").then(|| name.to_owned())
}

/// The URL of a context; `None` when it does not exist or has none.
pub(super) fn url(env: &Env, name: &str) -> Option<String> {
    let mut id = String::with_capacity(64);
    for byte in Sha256::digest(name.as_bytes()) {
        // Writing to a String cannot fail.
        let _infallible = write!(id, "{byte:02x}");
    }
    let path = directory(env)?.join("contexts/meta").join(id).join("meta.json");
    let meta: Value = serde_json::from_str(&(env.read)(&path)?).ok()?;
    let host = meta.get("Endpoints")?.get("docker")?.get("Host")?.as_str()?;
    (!host.is_empty()).then(|| host.to_owned())
}

fn directory(env: &Env) -> Option<PathBuf> {
    match env.variable("DOCKER_CONFIG") {
        Some(directory) => Some(PathBuf::from(directory)),
        None => Some(env.home.as_ref()?.join(".docker")),
    }
}
