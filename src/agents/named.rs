//! Services' names in an agent's container: waited for before something is started that will use them.
//!
//! Docker answers for a name as soon as its container runs. Podman's name server is told of containers by files, and for
//! some seconds after a service has come it does not know it, or is not there itself.

use std::time::Duration;

use tanuki_runtimes::{EngineKind, ExecSpec};

use super::Ready;
use super::kind::Agents;
use crate::model::ServiceStatus;

/// How often a name is asked for, a fifth of a second apart: 15 seconds in all.
const TRIES: u32 = 75;
/// How long the looking may take in all.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Prints the names that are not found: `$1` is how often all of them together are asked for again. What has no program
/// to ask with cannot be told of.
const LOOK: &str = r#"
left=$1; shift
command -v getent >/dev/null 2>&1 || exit 0
for host in "$@"; do
  until getent hosts "$host" >/dev/null 2>&1; do
    if [ "$left" -le 0 ]; then echo "$host"; break; fi
    left=$((left - 1))
    sleep 0.2 2>/dev/null || sleep 1
  done
done
"#;

/// A service as it runs now: once its name was found there is no need to ask again.
fn key(container: &str, service: &ServiceStatus) -> Option<String> {
    let (id, started) = (service.container_id.as_deref()?, service.started_at?);
    Some(format!("{container} {} {id} {started}", service.host))
}

impl Agents {
    /// Waits for the names of the services that are in the environment. Those that were not found in time.
    pub(super) async fn wait_for_names(&self, agent: &str, ready: &Ready) -> Vec<String> {
        if self.deps.runtime.kind() == EngineKind::Docker {
            return Vec::new();
        }
        let current = self.deps.publisher.current();
        let given = current.services.values().filter(|service| {
            service.enabled && service.is_ready() && !ready.missing_services.contains(&service.name)
        });
        let all: Vec<(String, String)> = given
            .filter_map(|service| Some((service.host.clone(), key(&ready.container, service)?)))
            .collect();
        let new: Vec<&(String, String)> = self.with_record(agent, |record| {
            // What is not there any more need not be remembered.
            record.named.retain(|known| all.iter().any(|(_, key)| key == known));
            all.iter().filter(|(_, key)| !record.named.contains(key)).collect()
        });
        if new.is_empty() {
            return Vec::new();
        }
        let tries = TRIES.to_string();
        let words = ["sh", "-c", LOOK, "tanuki", &tries].into_iter();
        let spec = ExecSpec {
            command: words.chain(new.iter().map(|(host, _)| host.as_str())).map(ToOwned::to_owned).collect(),
            user: ready.user.clone(),
            timeout: Some(TIMEOUT),
            ..ExecSpec::default()
        };
        let unknown: Vec<String> = match self.deps.runtime.exec(&ready.container, &spec).await {
            Ok(output) => String::from_utf8_lossy(&output.stdout).lines().map(ToOwned::to_owned).collect(),
            Err(error) => {
                // Whatever is started next tells what is wrong.
                tracing::debug!(%error, agent, "cannot look for the names of services");
                return Vec::new();
            }
        };
        self.with_record(agent, |record| {
            record
                .named
                .extend(new.iter().filter(|(host, _)| !unknown.contains(host)).map(|(_, key)| key.clone()));
        });
        // What comes from the container names nothing that was not asked for.
        new.into_iter().map(|(host, _)| host.clone()).filter(|host| unknown.contains(host)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn names_are_asked_for_again_until_they_are_there_or_the_tries_are_used_up() {
        let bin = tempfile::tempdir().unwrap();
        let found = |getent: &str, tries: &str| {
            let path = bin.path().join("getent");
            std::fs::write(&path, getent).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let path = format!("{}:/usr/bin:/bin", bin.path().display());
            let mut look = Command::new("sh");
            look.args(["-c", LOOK, "tanuki", tries, "db", "cache"]).env("PATH", path);
            let output = look.current_dir(bin.path()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(found("#!/bin/sh\ntrue", "0"), "");
        assert_eq!(found("#!/bin/sh\n[ \"$2\" = cache ]", "1"), "db\n");
        // There at the third try.
        assert_eq!(found("#!/bin/sh\necho >>tries; [ $(wc -l <tries) -ge 3 ]", "5"), "");
        assert_eq!(found("#!/bin/sh\nfalse", "1"), "db\ncache\n");
    }
}
