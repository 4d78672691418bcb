//! Which program `service connect` runs inside a service's container.
//!
//! Credentials come from the environment of the container and go to the client through its environment: they are in
//! no argument list, neither here nor inside.

use std::collections::BTreeMap;

use tanuki_runtimes::ExecSpec;

use crate::model::{ServiceSpec, ServiceType};
use crate::services::env::{Side, connection};

const PSQL: &str = r#"
PGUSER=${POSTGRES_USER:-postgres}
PGDATABASE=${POSTGRES_DB:-$PGUSER}
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ] && [ -r "$POSTGRES_PASSWORD_FILE" ]; then
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
else
    PGPASSWORD=${POSTGRES_PASSWORD:-}
fi
export PGUSER PGDATABASE PGPASSWORD
exec psql "$@"
"#;

const REDIS_CLI: &str = r#"
if [ -n "${REDIS_PASSWORD:-}" ]; then
    REDISCLI_AUTH=$REDIS_PASSWORD
    export REDISCLI_AUTH
fi
exec redis-cli -h 127.0.0.1 -p "$TANUKI_PORT" "$@"
"#;

const MYSQL: &str = r#"
user=${MYSQL_USER:-${MARIADB_USER:-}}
MYSQL_PWD=${MYSQL_PASSWORD:-${MARIADB_PASSWORD:-}}
if [ -z "$user" ]; then
    user=root
    MYSQL_PWD=${MYSQL_ROOT_PASSWORD:-${MARIADB_ROOT_PASSWORD:-}}
fi
database=${MYSQL_DATABASE:-${MARIADB_DATABASE:-}}
export MYSQL_PWD
client=mysql
command -v mysql >/dev/null 2>&1 || client=mariadb
exec "$client" -h 127.0.0.1 -P "$TANUKI_PORT" -u "$user" ${database:+"--database=$database"} "$@"
"#;

const SHELL: &str = r#"
if command -v bash >/dev/null 2>&1; then exec bash "$@"; fi
exec sh "$@"
"#;

/// The command that connects to a service from inside its container. `term` is the user's `TERM`, where the command
/// gets a terminal.
pub fn command(spec: &ServiceSpec, args: &[String], term: Option<&str>) -> ExecSpec {
    let mut env = BTreeMap::new();
    if let Some(term) = term {
        env.insert("TERM".to_owned(), term.to_owned());
    }
    let mut add_port = |key: &str, default: u16| {
        env.insert(key.to_owned(), spec.port.unwrap_or(default).to_string());
    };
    let script = match spec.service_type {
        ServiceType::Postgres => {
            add_port("PGPORT", 5432);
            env.insert("PGHOST".to_owned(), "127.0.0.1".to_owned());
            PSQL
        }
        ServiceType::Redis => {
            add_port("TANUKI_PORT", 6379);
            // A password on the server's command line is in no variable of the container.
            if let Some(password) = connection(spec, Side::Agent, None).password {
                env.insert("REDISCLI_AUTH".to_owned(), password);
            }
            REDIS_CLI
        }
        ServiceType::Mysql => {
            add_port("TANUKI_PORT", 3306);
            MYSQL
        }
        ServiceType::Custom => SHELL,
    };
    let mut command = vec!["sh".to_owned(), "-c".to_owned(), script.trim().to_owned(), "tanuki".to_owned()];
    command.extend(args.iter().cloned());
    ExecSpec { command, env, ..ExecSpec::default() }
}
