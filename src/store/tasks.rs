//! Tasks: what the controller remembers of each. Which agent has which is claimed here, in one statement.

use rusqlite::params;

use super::{Store, StoreError};

impl Store {
    /// What is remembered of all tasks, by id.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn task_memories(&self) -> Result<Vec<(String, String)>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT id, memory FROM tasks ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Saves what is remembered of a task.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn save_task(&self, id: &str, memory: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO tasks (id, memory) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET memory = ?2";
        self.lock().prepare_cached(sql)?.execute([id, memory])?;
        Ok(())
    }

    /// Saves what is remembered of a task that `agent` gets, unless somebody has the task or the agent has another
    /// one. Tells whether it got it.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn claim_task(&self, id: &str, agent: &str, memory: &str) -> Result<bool, StoreError> {
        let sql = "INSERT INTO tasks (id, memory) SELECT ?1, ?3
                   WHERE NOT EXISTS (
                       SELECT 1 FROM tasks WHERE json_extract(memory, '$.claim.agent') = ?2
                       OR (id = ?1 AND json_extract(memory, '$.claim.agent') IS NOT NULL)
                   )
                   ON CONFLICT (id) DO UPDATE SET memory = ?3";
        Ok(self.lock().prepare_cached(sql)?.execute(params![id, agent, memory])? > 0)
    }

    /// Forgets a task.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn forget_task(&self, id: &str) -> Result<(), StoreError> {
        self.lock().execute("DELETE FROM tasks WHERE id = ?1", [id])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_one_agent_and_an_agent_one_task() {
        let store = Store::in_memory().unwrap();
        let claim = |agent: &str| format!("{{\"claim\":{{\"agent\":\"{agent}\"}}}}");
        store.save_task("a", "{\"claim\":null}").unwrap();
        assert!(store.claim_task("a", "x", &claim("x")).unwrap());
        assert!(!store.claim_task("a", "y", &claim("y")).unwrap());
        assert!(!store.claim_task("b", "x", &claim("x")).unwrap());
        assert!(store.claim_task("b", "y", &claim("y")).unwrap());
        store.save_task("a", "{}").unwrap();
        assert!(store.claim_task("c", "x", &claim("x")).unwrap());
        store.forget_task("b").unwrap();
        let left: Vec<String> = store.task_memories().unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!(left, ["a", "c"]);
    }
}
