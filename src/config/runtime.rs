//! Which engine is wanted: `runtime` of the files, then `TANUKI_RUNTIME` and `TANUKI_SOCKET`, then `--runtime`.

use super::env::Env;
use super::origin::Origins;
use super::reader::{At, Reader};
use super::yaml::Value;
use super::{Overrides, RuntimeKind, RuntimePreference};

const KINDS: &[(&str, RuntimeKind)] =
    &[("auto", RuntimeKind::Auto), ("docker", RuntimeKind::Docker), ("podman", RuntimeKind::Podman)];

/// Reads the preference. A socket of the files is dropped where a variable or flag asks for another engine.
pub(super) fn read(
    reader: &mut Reader,
    root: &At<'_>,
    env: &Env,
    overrides: &Overrides,
    origins: &mut Origins,
) -> RuntimePreference {
    let mut out = RuntimePreference::default();
    if let Some(at) = root.get("runtime") {
        if let Value::Map(_) = at.node.value {
            out.kind = at.get("kind").and_then(|at| reader.word(&at, KINDS)).unwrap_or_default();
            out.socket = at.get("socket").and_then(|at| reader.text(&at));
        } else {
            out.kind = reader.word(&at, KINDS).unwrap_or_default();
        }
    }
    let variable = env.get("TANUKI_RUNTIME").filter(|word| !word.is_empty());
    if let Some(word) = variable {
        match KINDS.iter().find(|(name, _)| *name == word) {
            Some((_, kind)) => choose(&mut out, *kind),
            None => reader
                .error_outside(format!("TANUKI_RUNTIME is `{word}`"), "set it to auto, docker or podman"),
        }
        origins.name("runtime.kind", "TANUKI_RUNTIME");
    }
    if let Some(kind) = overrides.runtime {
        choose(&mut out, kind);
        origins.name("runtime.kind", "--runtime");
    }
    if let Some(socket) = env.get("TANUKI_SOCKET").filter(|socket| !socket.is_empty()) {
        out.socket = Some(socket.to_owned());
        origins.name("runtime.socket", "TANUKI_SOCKET");
    }
    out
}

fn choose(out: &mut RuntimePreference, kind: RuntimeKind) {
    if out.kind != kind {
        *out = RuntimePreference { kind, socket: None };
    }
}
