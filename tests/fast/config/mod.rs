//! The configuration: what loads, what is refused and in which words.

mod commands;
mod loads;
mod refuses;
mod shows;
mod starts;
mod survives;

use std::path::{Path, PathBuf};

use tanuki::config::{Config, ConfigError, Env, Overrides, ProjectPaths, load};
use tempfile::TempDir;

/// A project in a scratch directory, and the user's environment.
pub(crate) struct Project {
    pub(crate) dir: TempDir,
    pub(crate) env: Env,
    pub(crate) overrides: Overrides,
}

impl Project {
    pub(crate) fn new(yaml: impl AsRef<[u8]>) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("tanuki.yaml"), yaml).unwrap();
        let env = Env { home: Some(dir.path().join("home")), ..Env::default() };
        Self { dir, env, overrides: Overrides::default() }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        load(&ProjectPaths::new(self.root()), &self.env, &self.overrides)
    }

    /// Loads what must load.
    #[track_caller]
    pub(crate) fn ok(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{}", error.render(false)))
    }

    /// The words with which it is refused.
    #[track_caller]
    pub(crate) fn refusal(&self) -> String {
        match self.load() {
            Ok(config) => panic!("it loads: {config:?}"),
            Err(error) => error.render(false).replace(&self.root().display().to_string(), "[project]"),
        }
    }
}
