//! Runs: what was asked for, how it went, and what a controller that comes later needs to go on.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};
use crate::model::RunRecord;

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRun {
    /// What is told of it.
    pub record: RunRecord,
    /// What the controller remembers of it, as it was saved.
    pub memory: String,
}

impl Store {
    /// Adds a run that is not over. `make` gets the agent's next number, which only goes up and is above `above`.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn add_run(
        &self,
        agent: &str,
        above: u64,
        make: impl FnOnce(u64) -> (RunRecord, String),
    ) -> Result<RunRecord, StoreError> {
        let connection = self.lock();
        let above = i64::try_from(above).unwrap_or(i64::MAX - 1);
        let sql = "SELECT MAX(COALESCE(MAX(number), 0), ?2) + 1 FROM runs WHERE agent = ?1";
        let number: i64 =
            connection.prepare_cached(sql)?.query_row(params![agent, above], |row| row.get(0))?;
        let (record, memory) = make(number.unsigned_abs());
        connection.execute(
            "INSERT INTO runs (id, agent, number, live, spec, record) VALUES (?1, ?2, ?3, 1, ?4, ?5)",
            params![record.id, agent, number, memory, json(&record)],
        )?;
        Ok(record)
    }

    /// Saves how far a run is. One that is over is not changed any more: false then.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn save_run(&self, record: &RunRecord, memory: &str) -> Result<bool, StoreError> {
        let live = !record.state.is_over();
        let changed = self.lock().execute(
            "UPDATE runs SET live = ?2, spec = ?3, record = ?4 WHERE id = ?1 AND live = 1",
            params![record.id, live, memory, json(record)],
        )?;
        Ok(changed > 0)
    }

    /// Runs that are not over, in the order they were asked for.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn live_runs(&self) -> Result<Vec<StoredRun>, StoreError> {
        self.stored("WHERE live = 1 ORDER BY rowid", None, -1)
    }

    /// The last runs of an agent that are over, newest first.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn ended_runs(&self, agent: &str, limit: u32) -> Result<Vec<StoredRun>, StoreError> {
        self.stored(
            "WHERE agent = ?1 AND live = 0 ORDER BY number DESC LIMIT ?2",
            Some(agent),
            i64::from(limit),
        )
    }

    /// The last runs of an agent, or of all agents, newest first.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn runs(&self, agent: Option<&str>, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let order = "WHERE ?1 IS NULL OR agent = ?1 ORDER BY rowid DESC LIMIT ?2";
        let runs = self.stored(order, agent, i64::from(limit))?;
        Ok(runs.into_iter().map(|run| run.record).collect())
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn run(&self, id: &str) -> Result<Option<RunRecord>, StoreError> {
        let sql = "SELECT record FROM runs WHERE id = ?1";
        let text: Option<String> =
            self.lock().prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn stored(&self, order: &str, agent: Option<&str>, limit: i64) -> Result<Vec<StoredRun>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("SELECT record, spec FROM runs {order}"))?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let rows = match statement.parameter_count() {
            0 => statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()?,
            _ => statement.query_map(params![agent, limit], row)?.collect::<Result<Vec<_>, _>>()?,
        };
        // One that cannot be read was written by another version; it is as if it had been forgotten.
        let read = |(record, memory): (String, String)| {
            Some(StoredRun { record: serde_json::from_str(&record).ok()?, memory })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }
}

fn json(record: &RunRecord) -> String {
    serde_json::to_string(record).unwrap_or_default()
}
