//! How clients reach a service: connection facts, and the environment variables agents (or the host) are given.
//!
//! Order, highest first: `inject.env` templates, then the variables generated from the service's name and type.
//! Two services that would set one variable to different values are an error naming both.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use thiserror::Error;

use crate::model::{Names, ServiceSpec, ServiceType};

/// Everything but RFC 3986's unreserved characters is encoded in a URI's user, password and path.
const URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Whose view it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A container on the project's network: DNS name and container port.
    Agent,
    /// The host: 127.0.0.1 and the published port.
    Host,
}

/// How a client reaches a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Host name or address.
    pub host: String,
    /// Port; absent when the service has none, or none on this side.
    pub port: Option<u16>,
    /// User, where the type knows one.
    pub user: Option<String>,
    /// Password, where the type knows one.
    pub password: Option<String>,
    /// Database, where the type knows one.
    pub database: Option<String>,
    /// Scheme of its URI, where the type has one.
    pub scheme: Option<&'static str>,
}

/// A variable and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value; secret ones are redacted by whoever shows them.
    pub value: String,
    /// The service it describes.
    pub service: String,
    /// Whether the value holds a password.
    pub secret: bool,
}

/// Why there is no environment.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EnvError {
    /// Two services claim one variable.
    #[error(
        "services '{first}' and '{second}' would set {variable} to different values; set inject.prefix or \
         inject.env of one of them"
    )]
    Conflict {
        /// The variable.
        variable: String,
        /// One service.
        first: String,
        /// The other.
        second: String,
    },
    /// A template asks for something this service does not have.
    #[error("inject.env.{variable} of service '{service}' uses {{{placeholder}}}, which it does not have")]
    Placeholder {
        /// The service.
        service: String,
        /// The variable.
        variable: String,
        /// What is in the braces.
        placeholder: String,
    },
}

/// How a client on `side` reaches the service. `host_port` is the port published now.
pub fn connection(spec: &ServiceSpec, side: Side, host_port: Option<u16>) -> Connection {
    let env = |keys: &[&str]| keys.iter().find_map(|key| spec.environment.get(*key)).cloned();
    let (user, password, database, scheme) = match spec.service_type {
        ServiceType::Postgres => {
            let user = env(&["POSTGRES_USER"]).unwrap_or_else(|| "postgres".into());
            let database = env(&["POSTGRES_DB"]).unwrap_or_else(|| user.clone());
            (Some(user), env(&["POSTGRES_PASSWORD"]), Some(database), Some("postgres"))
        }
        ServiceType::Redis => {
            (None, env(&["REDIS_PASSWORD"]).or_else(|| requirepass(spec)), None, Some("redis"))
        }
        ServiceType::Mysql => {
            let user = env(&["MYSQL_USER", "MARIADB_USER"]);
            let password = match user {
                Some(_) => env(&["MYSQL_PASSWORD", "MARIADB_PASSWORD"]),
                None => env(&["MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD"]),
            };
            let user = user.unwrap_or_else(|| "root".into());
            (Some(user), password, env(&["MYSQL_DATABASE", "MARIADB_DATABASE"]), Some("mysql"))
        }
        ServiceType::Custom => (None, None, None, None),
    };
    let (host, port) = match (&spec.external, side) {
        (Some(external), _) => (external.host.clone(), spec.port),
        (None, Side::Agent) => (Names::service_host(&spec.name), spec.port),
        (None, Side::Host) => ("127.0.0.1".to_owned(), host_port),
    };
    Connection { host, port, user, password, database, scheme }
}

/// The password in `redis-server --requirepass PASSWORD`.
fn requirepass(spec: &ServiceSpec) -> Option<String> {
    let command = spec.command.as_ref()?;
    let flag = command.iter().position(|word| word == "--requirepass")?;
    command.get(flag + 1).cloned()
}

impl Connection {
    /// `host:port`, or the host alone.
    pub fn address(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The URI a client library takes, with user, password and database percent-encoded.
    pub fn uri(&self) -> Option<String> {
        let scheme = self.scheme?;
        let encode = |text: &str| utf8_percent_encode(text, URI).to_string();
        let credentials = match (&self.user, &self.password) {
            (Some(user), Some(password)) => format!("{}:{}@", encode(user), encode(password)),
            (Some(user), None) => format!("{}@", encode(user)),
            (None, Some(password)) => format!(":{}@", encode(password)),
            (None, None) => String::new(),
        };
        let database = self.database.as_deref().map(|name| format!("/{}", encode(name))).unwrap_or_default();
        Some(format!("{scheme}://{credentials}{}{database}", self.address()))
    }

    fn placeholder(&self, name: &str) -> Option<String> {
        let encode = |text: &String| utf8_percent_encode(text, URI).to_string();
        match name {
            "host" => Some(self.host.clone()),
            "port" => self.port.map(|port| port.to_string()),
            "user" => self.user.as_ref().map(encode),
            "password" => self.password.as_ref().map(encode),
            "database" => self.database.as_ref().map(encode),
            "url" => Some(self.address()),
            "dsn" => self.uri(),
            _ => None,
        }
    }
}

/// The variables for all of `services` on `side`, sorted by name. `host_ports` are the ports published now.
///
/// # Errors
///
/// A variable claimed twice, or a template that asks for what is not there.
pub fn variables<'a>(
    services: impl IntoIterator<Item = &'a ServiceSpec>,
    side: Side,
    host_ports: &BTreeMap<String, u16>,
) -> Result<Vec<Variable>, EnvError> {
    let services: Vec<&ServiceSpec> = services.into_iter().collect();
    let mut generated = BTreeMap::new();
    let mut templated = BTreeMap::new();
    for spec in &services {
        let connection = connection(spec, side, host_ports.get(&spec.name).copied());
        let own = own_variables(spec, &connection, is_default(spec, &services));
        for (name, template) in &spec.inject.env {
            let value = expand(spec, name, template, &connection)?;
            let secret = template.contains("{password}")
                || (template.contains("{dsn}") && connection.password.is_some());
            claim(
                &mut templated,
                Variable { name: name.clone(), value, service: spec.name.clone(), secret },
            )?;
        }
        for variable in own.into_iter().filter(|variable| !spec.inject.env.contains_key(&variable.name)) {
            claim(&mut generated, variable)?;
        }
    }
    generated.extend(templated);
    Ok(generated.into_values().collect())
}

fn claim(variables: &mut BTreeMap<String, Variable>, variable: Variable) -> Result<(), EnvError> {
    if let Some(other) = variables.get(&variable.name)
        && other.value != variable.value
    {
        return Err(EnvError::Conflict {
            variable: variable.name,
            first: other.service.clone(),
            second: variable.service,
        });
    }
    variables.insert(variable.name.clone(), variable);
    Ok(())
}

/// The service clients find without being told its name: the one named like its type, else the first by name.
fn is_default(spec: &ServiceSpec, services: &[&ServiceSpec]) -> bool {
    let mut names: Vec<&str> = services
        .iter()
        .filter(|other| other.service_type == spec.service_type)
        .map(|other| other.name.as_str())
        .collect();
    names.sort_unstable();
    let type_name = spec.service_type.to_string();
    let default = names.iter().find(|name| **name == type_name).or(names.first());
    spec.service_type != ServiceType::Custom && default.is_some_and(|name| *name == spec.name)
}

fn own_variables(spec: &ServiceSpec, connection: &Connection, default: bool) -> Vec<Variable> {
    let prefix = spec.inject.prefix.clone().unwrap_or_else(|| prefix(&spec.name));
    let mut variables = Vec::new();
    let mut add = |name: String, value: Option<String>, secret: bool| {
        if let Some(value) = value {
            variables.push(Variable { name, value, service: spec.name.clone(), secret });
        }
    };
    let port = connection.port.map(|port| port.to_string());
    let has_password = connection.password.is_some();
    add(format!("{prefix}_HOST"), Some(connection.host.clone()), false);
    add(format!("{prefix}_PORT"), port.clone(), false);
    add(format!("{prefix}_URL"), Some(connection.address()), false);
    add(format!("{prefix}_USER"), connection.user.clone(), false);
    add(format!("{prefix}_PASSWORD"), connection.password.clone(), true);
    add(format!("{prefix}_DATABASE"), connection.database.clone(), false);
    add(format!("{prefix}_DSN"), connection.uri(), has_password);
    if default && spec.service_type == ServiceType::Postgres {
        add("PGHOST".into(), Some(connection.host.clone()), false);
        add("PGPORT".into(), port, false);
        add("PGUSER".into(), connection.user.clone(), false);
        add("PGPASSWORD".into(), connection.password.clone(), true);
        add("PGDATABASE".into(), connection.database.clone(), false);
        add("DATABASE_URL".into(), connection.uri(), has_password);
    }
    variables
}

/// A service's name as the beginning of variable names: upper case, everything else `_`.
pub fn prefix(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// `{placeholder}` is replaced; `{{` and `}}` are braces.
fn expand(
    spec: &ServiceSpec,
    variable: &str,
    template: &str,
    connection: &Connection,
) -> Result<String, EnvError> {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(after) = tail.strip_prefix("{{") {
            text.push('{');
            rest = after;
        } else if let Some(after) = tail.strip_prefix("}}") {
            text.push('}');
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix('{').and_then(|tail| tail.split_once('}')) {
            text.push_str(&connection.placeholder(name).ok_or_else(|| EnvError::Placeholder {
                service: spec.name.clone(),
                variable: variable.to_owned(),
                placeholder: name.to_owned(),
            })?);
            rest = after;
        } else {
            text.push_str(&tail[..1]);
            rest = &tail[1..];
        }
    }
    text.push_str(rest);
    Ok(text)
}
