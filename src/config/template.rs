//! Templates: what a service named or typed postgres or redis has where nothing else is said.

use super::layers;
use super::reader::{At, Reader};
use super::service;
use super::source::{Source, Sources};
use super::yaml::{self, Node, Value};
use crate::model::ServiceType;

/// Puts the templates under all services that have one.
pub(super) fn apply(reader: &mut Reader, root: &mut Node) {
    let Value::Map(entries) = &mut root.value else { return };
    let services =
        entries.iter_mut().find(|entry| entry.key == "services").map(|entry| &mut entry.node.value);
    let Some(Value::Map(services)) = services else { return };
    for entry in services {
        if entry.node.value == Value::Null {
            entry.node.value = Value::Map(Vec::new());
        }
        // Looks without reporting: the service is read, and its errors reported, later.
        let at = At::root(&entry.node);
        let kind = service::service_type(&mut Reader::default(), &entry.key, &at);
        let image = at.get("image").and_then(|at| match &at.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        let external = service::is_external(&at);
        let Value::Map(_) = entry.node.value else { continue };
        let mark = entry.node.mark;
        if let Some(mut low) = template(&mut reader.sources, &entry.key, kind, image.as_deref(), external) {
            let high = std::mem::replace(&mut entry.node, Node { mark, value: Value::Null, secret: false });
            layers::merge_service(&mut low, high);
            entry.node = low;
        }
    }
}

/// The template of a service, as a source of its own so that values can say where they come from.
///
/// An external service only takes the port: its image and credentials are not ours to guess.
fn template(
    sources: &mut Sources,
    name: &str,
    kind: ServiceType,
    image: Option<&str>,
    external: bool,
) -> Option<Node> {
    let text = match kind {
        ServiceType::Postgres if external => "port: 5432\n".to_owned(),
        ServiceType::Redis if external => "port: 6379\n".to_owned(),
        ServiceType::Mysql => "port: 3306\n".to_owned(),
        ServiceType::Postgres => format!(
            "image: postgres:16\n\
             port: 5432\n\
             environment:\n  POSTGRES_USER: tanuki\n  POSTGRES_PASSWORD: tanuki\n  POSTGRES_DB: tanuki_dev\n\
             volumes: [\"tanuki-{name}:{}\"]\n",
            postgres_data(image.unwrap_or("postgres:16")),
        ),
        ServiceType::Redis => {
            format!("image: redis:7\nport: 6379\nvolumes: [\"tanuki-{name}:/data\"]\n")
        }
        ServiceType::Custom => return None,
    };
    let source = sources.add(Source { label: format!("{kind} template"), path: None, text });
    yaml::parse(&sources.get(source)?.text, source).ok()
}

/// Where an image of PostgreSQL keeps its data: since version 18 a volume belongs one directory further up.
fn postgres_data(image: &str) -> &'static str {
    match postgres_major(image) {
        Some(major) if major < 18 => "/var/lib/postgresql/data",
        Some(_) => "/var/lib/postgresql",
        // A tag without a number is the newest.
        None if matches!(tag(image), None | Some("latest" | "alpine" | "bookworm" | "trixie")) => {
            "/var/lib/postgresql"
        }
        None => "/var/lib/postgresql/data",
    }
}

/// The tag of an image reference, if it has one and no digest.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').map(|(_, tag)| tag)
}

/// The major version that a tag tells: `16`, `16.2-alpine`, `pg17`, `latest-pg17`, `v18`.
fn postgres_major(image: &str) -> Option<u32> {
    let tag = tag(image)?;
    let after_pg = tag.match_indices("pg").map(|(index, _)| &tag[index + 2..]);
    after_pg.chain([tag.strip_prefix('v').unwrap_or(tag)]).find_map(leading_number)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_template_follows_the_image_to_its_data() {
        let old = "/var/lib/postgresql/data";
        let new = "/var/lib/postgresql";
        let table = [
            ("postgres:16", old),
            ("postgres:9.6-alpine", old),
            ("docker.io/library/postgres:17.2", old),
            ("postgres:18", new),
            ("localhost:5000/postgres:18.1-alpine", new),
            ("pgvector/pgvector:pg17", old),
            ("pgvector/pgvector:pg18-trixie", new),
            ("timescale/timescaledb:latest-pg16", old),
            ("postgres", new),
            ("postgres:latest", new),
            ("localhost:5000/postgres", new),
            ("mine:stable", old),
        ];
        for (image, want) in table {
            assert_eq!(postgres_data(image), want, "{image}");
        }
    }
}
