//! What the world cannot tell: what is wanted, how often it failed, what happened. One SQLite file per project.
//!
//! Owned by the controller, which is the single writer; others only read. Everything else is re-derived from the
//! engine. Losing the file loses wishes and history, never data: containers, volumes and branches are found again by
//! their labels and refs.

mod agents;
mod runs;
mod tasks;

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;

use crate::model::{Desired, EventRecord, EventType, Time};

pub use agents::{AgentRow, Claim, Stage};
pub use runs::StoredRun;

/// Version of the tables. Raised with each change that an older binary could not read.
const SCHEMA: i64 = 2;

/// Events kept.
const EVENTS: i64 = 10_000;

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be made or opened.
    #[error("cannot open {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A newer Tanuki wrote it.
    #[error("{path} was written by a newer tanuki (tables {found}, this one knows {SCHEMA}); update tanuki")]
    Newer {
        /// The file.
        path: String,
        /// The version found.
        found: i64,
    },
    /// The file is not what was written.
    #[error("the project's state is broken: {0}")]
    Broken(String),
    /// SQLite failed: a full disk, a broken file.
    #[error("cannot use the project's state: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether the file is there and cannot be read by anybody.
    pub fn is_broken(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Broken(_) => true,
            Self::Sqlite(error) => {
                matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Open { .. } | Self::Newer { .. } => false,
        }
    }
}

/// What a person asked of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it should be.
    pub desired: Desired,
    /// How often what is wanted has changed.
    pub generation: u64,
    /// A restart was asked for and has not happened yet.
    pub restart: bool,
}

/// The project's store.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the store, making it (mode 0600) when it is not there.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, is broken, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.display().to_string(), source };
        // SQLite would make it with the umask's mode; it can hold secrets.
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).map_err(open)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(open)?;
        Self::prepare(Connection::open(path)?, &path.display().to_string())
    }

    /// Opens the store like [`open`](Self::open). One that cannot be read is set aside, and a new one begun: what it
    /// knew is wishes and history, while what there is says so itself. Where the old one is, and why, is told then.
    /// Only for the one writer.
    ///
    /// # Errors
    ///
    /// Like those of [`open`](Self::open), but for a broken file.
    pub fn open_or_renew(path: &Path, now: Time) -> Result<(Self, Option<(PathBuf, String)>), StoreError> {
        let why = match Self::open(path).and_then(Self::whole) {
            Err(error) if error.is_broken() => error.to_string(),
            opened => return Ok((opened?, None)),
        };
        let beside = |end: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let aside = beside(&format!(".broken-{}", now.0));
        let open = |source| StoreError::Open { path: path.display().to_string(), source };
        for end in ["-wal", "-shm"] {
            match std::fs::rename(beside(end), beside(&format!(".broken-{}{end}", now.0))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(open(error)),
                _ => {}
            }
        }
        std::fs::rename(path, &aside).map_err(open)?;
        Ok((Self::open(path)?, Some((aside, why))))
    }

    /// Looks whether all of the file can be read.
    fn whole(self) -> Result<Self, StoreError> {
        let said: String = self.lock().pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if said == "ok" { Ok(self) } else { Err(StoreError::Broken(said)) }
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, "memory")
    }

    fn prepare(connection: Connection, path: &str) -> Result<Self, StoreError> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), found });
        }
        if found < SCHEMA {
            connection.execute_batch(
                "BEGIN IMMEDIATE;
                 CREATE TABLE IF NOT EXISTS services (
                     name TEXT PRIMARY KEY,
                     desired TEXT NOT NULL,
                     generation INTEGER NOT NULL,
                     restart INTEGER NOT NULL DEFAULT 0,
                     spec_hash TEXT,
                     memory TEXT
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS events (
                     id INTEGER PRIMARY KEY AUTOINCREMENT,
                     time INTEGER NOT NULL,
                     type TEXT NOT NULL,
                     object TEXT NOT NULL,
                     reason TEXT NOT NULL,
                     message TEXT NOT NULL,
                     count INTEGER NOT NULL DEFAULT 1
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
                 CREATE TABLE IF NOT EXISTS agents (
                     name TEXT PRIMARY KEY,
                     spec TEXT NOT NULL,
                     stage TEXT NOT NULL,
                     desired TEXT NOT NULL,
                     generation INTEGER NOT NULL,
                     memory TEXT
                 ) STRICT;
                 CREATE TABLE IF NOT EXISTS runs (
                     id TEXT PRIMARY KEY,
                     agent TEXT NOT NULL,
                     number INTEGER NOT NULL,
                     live INTEGER NOT NULL,
                     spec TEXT NOT NULL,
                     record TEXT NOT NULL
                 ) STRICT;
                 CREATE INDEX IF NOT EXISTS runs_by_agent ON runs (agent, number);
                 CREATE TABLE IF NOT EXISTS tasks (id TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT;
                 PRAGMA user_version = 2;
                 COMMIT;",
            )?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic between two statements leaves the database consistent: every change is one statement.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted of a service, if anybody ever said.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn wish(&self, service: &str) -> Result<Option<Wish>, StoreError> {
        let sql = "SELECT desired, generation, restart FROM services WHERE name = ?1";
        Ok(self
            .lock()
            .prepare_cached(sql)?
            .query_row([service], |row| {
                Ok(Wish {
                    desired: parse_desired(&row.get::<_, String>(0)?),
                    generation: row.get::<_, i64>(1)?.unsigned_abs(),
                    restart: row.get(2)?,
                })
            })
            .optional()?)
    }

    /// Names of the services somebody wants running.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn wanted_running(&self) -> Result<Vec<String>, StoreError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached("SELECT name FROM services WHERE desired = 'running' ORDER BY name")?;
        let names = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    /// Sets what is wanted and returns the new generation.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn set_desired(&self, service: &str, desired: Desired, restart: bool) -> Result<u64, StoreError> {
        let sql = "INSERT INTO services (name, desired, generation, restart) VALUES (?1, ?2, 1, ?3)
                   ON CONFLICT (name) DO UPDATE SET desired = ?2, generation = generation + 1, restart = ?3
                   RETURNING generation";
        let generation: i64 = self
            .lock()
            .prepare_cached(sql)?
            .query_row(params![service, desired_text(desired), restart], |row| row.get(0))?;
        Ok(generation.unsigned_abs())
    }

    /// The restart that was asked for has happened.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn clear_restart(&self, service: &str) -> Result<(), StoreError> {
        self.lock().execute("UPDATE services SET restart = 0 WHERE name = ?1", [service])?;
        Ok(())
    }

    /// Notes the digest of a service's specification; another one than before is a new generation.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn note_spec(&self, service: &str, spec_hash: &str) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE services SET generation = generation + (spec_hash IS NOT NULL), spec_hash = ?2
             WHERE name = ?1 AND spec_hash IS NOT ?2",
            [service, spec_hash],
        )?;
        Ok(())
    }

    /// What the controller remembers of a service's runs, as it was saved.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn memory(&self, service: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT memory FROM services WHERE name = ?1";
        Ok(self.lock().prepare_cached(sql)?.query_row([service], |row| row.get(0)).optional()?.flatten())
    }

    /// Saves what the controller remembers of a service's runs.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn save_memory(&self, service: &str, memory: &str) -> Result<(), StoreError> {
        self.lock().execute("UPDATE services SET memory = ?2 WHERE name = ?1", [service, memory])?;
        Ok(())
    }

    /// A value of the project as a whole.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        Ok(self.lock().prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Sets a value of the project as a whole.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.lock().execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            [key, value],
        )?;
        Ok(())
    }

    /// Records that something happened. The same as the newest of its object raises that one's count instead.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn add_event(
        &self,
        time: Time,
        kind: EventType,
        object: &str,
        reason: &str,
        message: &str,
    ) -> Result<EventRecord, StoreError> {
        let connection = self.lock();
        let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
        let newest: Option<EventRecord> = connection
            .prepare_cached(&format!("{SELECT_EVENT} WHERE object = ?1 ORDER BY id DESC LIMIT 1"))?
            .query_row([object], event_from_row)
            .optional()?;
        if let Some(mut event) = newest
            && (event.kind, event.reason.as_str(), event.message.as_str()) == (kind, reason, message)
        {
            connection.execute(
                "UPDATE events SET count = count + 1, time = ?2 WHERE id = ?1",
                [event.id, millis],
            )?;
            event.count += 1;
            event.time = time;
            return Ok(event);
        }
        connection.execute(
            "INSERT INTO events (time, type, object, reason, message) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![millis, event_type_text(kind), object, reason, message],
        )?;
        let id = connection.last_insert_rowid();
        if id % 256 == 0 {
            connection.execute("DELETE FROM events WHERE id <= ?1", [id - EVENTS])?;
        }
        let (object, reason, message) = (object.to_owned(), reason.to_owned(), message.to_owned());
        Ok(EventRecord { id, time, kind, object, reason, message, count: 1 })
    }

    /// The last `limit` events, oldest first.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn events(&self, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare_cached(&format!("{SELECT_EVENT} ORDER BY time DESC, id DESC LIMIT ?1"))?;
        let mut events: Vec<EventRecord> =
            statement.query_map([limit], event_from_row)?.collect::<Result<_, _>>()?;
        events.reverse();
        Ok(events)
    }
}

const SELECT_EVENT: &str = "SELECT id, time, type, object, reason, message, count FROM events";

fn event_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<EventRecord> {
    Ok(EventRecord {
        id: row.get(0)?,
        time: Time(row.get::<_, i64>(1)?.unsigned_abs()),
        kind: if row.get::<_, String>(2)? == "Warning" { EventType::Warning } else { EventType::Normal },
        object: row.get(3)?,
        reason: row.get(4)?,
        message: row.get(5)?,
        count: row.get(6)?,
    })
}

const fn event_type_text(kind: EventType) -> &'static str {
    match kind {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    }
}

const fn desired_text(desired: Desired) -> &'static str {
    match desired {
        Desired::Running => "running",
        Desired::Stopped => "stopped",
        Desired::Absent => "absent",
    }
}

fn parse_desired(text: &str) -> Desired {
    match text {
        "running" => Desired::Running,
        "absent" => Desired::Absent,
        _ => Desired::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_only_go_up() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.wish("pg").unwrap(), None);
        assert_eq!(store.set_desired("pg", Desired::Running, false).unwrap(), 1);
        assert_eq!(store.set_desired("pg", Desired::Stopped, false).unwrap(), 2);
        store.note_spec("pg", "a").unwrap();
        store.note_spec("pg", "a").unwrap();
        assert_eq!(store.wish("pg").unwrap().unwrap().generation, 2);
        store.note_spec("pg", "b").unwrap();
        assert_eq!(
            store.wish("pg").unwrap(),
            Some(Wish { desired: Desired::Stopped, generation: 3, restart: false })
        );
    }

    #[test]
    fn a_repeated_event_raises_the_count() {
        let store = Store::in_memory().unwrap();
        let add = |time, message: &str| {
            store.add_event(Time(time), EventType::Warning, "service/pg", "Died", message).unwrap()
        };
        add(1, "exit code 1");
        assert_eq!(add(2, "exit code 1").count, 2);
        assert_eq!(add(3, "exit code 2").count, 1);
        let events = store.events(10).unwrap();
        assert_eq!(
            events.iter().map(|event| (event.time.0, event.count)).collect::<Vec<_>>(),
            [(2, 2), (3, 1)]
        );
    }

    #[test]
    fn a_broken_file_is_set_aside_and_a_whole_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let (store, aside) = Store::open_or_renew(&path, Time(7)).unwrap();
        assert_eq!(aside, None);
        for number in 0..2000 {
            store.set_meta(&format!("key-{number}"), &"x".repeat(100)).unwrap();
        }
        drop(store);
        let (store, aside) = Store::open_or_renew(&path, Time(7)).unwrap();
        assert_eq!((aside, store.meta("key-1").unwrap()), (None, Some("x".repeat(100))));
        drop(store);
        let whole = std::fs::read(&path).unwrap();

        // No database at all; one whose pages are somebody else's; one that was cut off.
        let mut overwritten = whole.clone();
        overwritten[4096..40_960].fill(0x5a);
        for (at, broken) in
            [b"junk".repeat(5000), overwritten, whole[..whole.len() / 2].to_vec()].iter().enumerate()
        {
            std::fs::write(&path, broken).unwrap();
            let (store, aside) = Store::open_or_renew(&path, Time(8 + at as u64)).unwrap();
            let (aside, why) = aside.expect("a broken file was taken for a whole one");
            assert_eq!(&std::fs::read(aside).unwrap(), broken, "{why}");
            assert_eq!(store.meta("key-1").unwrap(), None);
            store.set_meta("key-1", "new").unwrap();
            drop(store);
            assert_eq!(Store::open(&path).unwrap().meta("key-1").unwrap().as_deref(), Some("new"));
        }
    }

    #[test]
    fn the_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let _store = Store::open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
