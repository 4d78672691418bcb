//! Where effective values came from. Lines are looked up only when somebody asks, since each costs a reading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reader::{Reader, Seen};
use super::source::Sources;
use super::yaml;

/// Where an effective value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A file as people know it, a template, a variable, a flag.
    pub source: String,
    /// Line in the file, from 1.
    pub line: Option<usize>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Origins of the values of a configuration that are not built in.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    sources: Sources,
    seen: BTreeMap<String, Seen>,
    named: BTreeMap<String, &'static str>,
}

impl Origins {
    /// Says that a value comes from a variable or flag.
    pub(super) fn name(&mut self, path: &str, source: &'static str) {
        self.named.insert(path.to_owned(), source);
    }

    /// Takes what a reader knows.
    pub(super) fn take(&mut self, reader: Reader) {
        self.sources = reader.sources;
        self.seen = reader.seen;
    }

    /// Whether a value holds a secret of the environment.
    pub(super) fn is_secret(&self, path: &str) -> bool {
        let below = self.seen.range(path.to_owned()..).take_while(|(key, _)| key.starts_with(path));
        below
            .filter(|(key, _)| key.len() == path.len() || key[path.len()..].starts_with('['))
            .any(|(_, seen)| seen.secret)
    }

    /// Where the value of a path came from, as `services.postgres.port`; none when it is built in.
    pub fn get(&self, path: &str) -> Option<Origin> {
        if let Some(source) = self.named.get(path) {
            return Some(Origin { source: (*source).to_owned(), line: None });
        }
        // A short form stands for several values: `runtime: docker` for `runtime.kind`.
        let parents =
            std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(parent, _)| parent));
        let seen = parents.take(2).find_map(|path| self.seen.get(path))?;
        let source = self.sources.get(seen.mark.source)?;
        // A template's text is ours; its lines tell nobody anything.
        let position = source.path.as_ref().and_then(|_| yaml::locate(&source.text, seen.mark.node));
        Some(Origin { source: source.label.clone(), line: position.map(|position| position.line) })
    }
}
