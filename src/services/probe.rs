//! How a service's health is found out: which command runs inside its container, and what it proves.
//!
//! The built-in probes ask over TCP on 127.0.0.1 with an authenticated query where credentials are known. The
//! official postgres image runs a temporary server on its socket only while it initialises; these are not fooled by
//! it. A configured command is asked in addition to the built-in one, never instead of it.
//!
//! Credentials are read by the command from the container's own environment: they are in no argument list.

use crate::model::{Probe, ServiceSpec, ServiceType};

/// Runs a program under a time limit where the image has one to offer, so that a hung probe leaves nothing behind.
const LIMIT: &str = r#"limit() { if command -v timeout >/dev/null 2>&1; then timeout -s KILL "$seconds" "$@"; else "$@"; fi; }
"#;

/// Waits up to a second until something listens on the port `$hex`, then goes on in any case. A server that starts is so seen
/// within a tenth of a second, at the price of reading a file: entering the container again and again to connect takes
/// time from the very start that is waited for.
const LISTENED: &str = r#"tries=0
while [ $tries -lt 10 ] && ! grep -qs ":$hex [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6; do
tries=$((tries + 1)); sleep 0.1 2>/dev/null || break
done
"#;

/// The command that [`ContainerRuntime::probe`](tanuki_runtimes::ContainerRuntime::probe) runs, in exec form. `None`
/// when the probe does not run inside the container.
pub fn command(spec: &ServiceSpec) -> Option<Vec<String>> {
    if spec.external.is_some() {
        return None;
    }
    let builtin = builtin(spec);
    match (&spec.probe, builtin) {
        (Probe::Disabled | Probe::Http { .. } | Probe::Log(_), _) | (Probe::Builtin, None) => None,
        (Probe::Builtin, Some(builtin)) => Some(shell(&builtin, &[])),
        (Probe::Exec(command), None) => Some(command.clone()),
        (Probe::Exec(command), Some(builtin)) => {
            Some(shell(&format!("{builtin} || exit 1\nlimit \"$@\""), command))
        }
        (Probe::Shell(line), None) => Some(shell(line, &[])),
        (Probe::Shell(line), Some(builtin)) => Some(shell(&format!("{builtin} || exit 1\n{line}"), &[])),
        (Probe::Tcp(port), None) => Some(shell(&listening(*port), &[])),
        (Probe::Tcp(port), Some(builtin)) => {
            Some(shell(&format!("{builtin} || exit 1\n{}", listening(*port)), &[]))
        }
    }
}

/// Whether its health is found out by probing at all; otherwise running is healthy.
pub fn is_probed(spec: &ServiceSpec) -> bool {
    matches!(spec.probe, Probe::Http { .. } | Probe::Log(_)) || command(spec).is_some()
}

fn shell(script: &str, arguments: &[String]) -> Vec<String> {
    let mut command = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    if !arguments.is_empty() {
        command.push("probe".to_owned());
        command.extend_from_slice(arguments);
    }
    command
}

fn builtin(spec: &ServiceSpec) -> Option<String> {
    let port = spec.port?;
    let seconds = spec.health.timeout.as_secs_f64().ceil().max(1.0);
    let header = format!("seconds={seconds} hex={port:04X}\n{LIMIT}{LISTENED}");
    let query = match spec.service_type {
        ServiceType::Postgres => format!(
            r#"export PGCONNECT_TIMEOUT="$seconds" PGPASSWORD="${{POSTGRES_PASSWORD-}}"
if [ -n "${{POSTGRES_PASSWORD_FILE-}}" ]; then PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
user="${{POSTGRES_USER:-postgres}}"
limit psql -X -w -q -h 127.0.0.1 -p {port} -U "$user" -d "${{POSTGRES_DB:-$user}}" -Atc 'select 1'"#
        ),
        ServiceType::Redis => format!(
            r#"if [ -n "${{REDIS_PASSWORD-}}" ]; then export REDISCLI_AUTH="$REDIS_PASSWORD"; fi
answer=$(limit redis-cli -h 127.0.0.1 -p {port} ping 2>&1); echo "$answer"
case "$answer" in PONG|NOAUTH*) true ;; *) false ;; esac"#
        ),
        ServiceType::Mysql => format!(
            r#"client=mysql; command -v mysql >/dev/null 2>&1 || client=mariadb
export MYSQL_PWD="${{MYSQL_ROOT_PASSWORD:-${{MARIADB_ROOT_PASSWORD-}}}}"
limit "$client" --protocol=tcp -h 127.0.0.1 -P {port} -u root -Nse 'select 1'"#
        ),
        ServiceType::Custom => return None,
    };
    Some(format!("{header}{query}"))
}

/// Succeeds when something listens on the port in the container's network namespace. A connection from the host
/// proves nothing: the engines' port forwarders accept for a server that is not there.
fn listening(port: u16) -> String {
    format!(
        "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':{port:04X} [0-9A-F]*:0000 0A ' \
         || {{ echo 'nothing listens on port {port}'; exit 1; }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_looks_for_the_hexadecimal_port_in_listen_state() {
        assert!(listening(5432).contains("':1538 [0-9A-F]*:0000 0A '"));
        assert!(listening(80).contains("':0050 "));
    }
}
