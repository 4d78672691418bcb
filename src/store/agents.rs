//! Agents: what was asked for, how far it is, and what the controller remembers of each.
//!
//! The stage is the journal of what takes several steps: a row that says `creating` or `removing` when a controller
//! starts is something that another one did not finish.

use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};

use super::{Store, StoreError, desired_text, parse_desired};
use crate::model::{AgentSpec, Desired};

/// How far an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Being made; rolled back if nobody goes on.
    Creating,
    /// There.
    Made,
    /// Its work is saved, and it is being removed; finished if nobody goes on.
    Removing,
    /// Gone; kept to restore it.
    Removed,
}

impl Stage {
    const fn text(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Made => "made",
            Self::Removing => "removing",
            Self::Removed => "removed",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "creating" => Self::Creating,
            "removing" => Self::Removing,
            "removed" => Self::Removed,
            _ => Self::Made,
        }
    }
}

/// An agent, as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// As it was asked for.
    pub spec: AgentSpec,
    /// How far it is.
    pub stage: Stage,
    /// What it should be.
    pub desired: Desired,
    /// How often what is wanted has changed.
    pub generation: u64,
    /// What the controller remembers of it, as it was saved.
    pub memory: Option<String>,
}

/// How the claim of a name ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The name is taken down as an agent's that is being made.
    Taken,
    /// Another agent has the name.
    InUse,
    /// There are as many agents as there may be.
    Full {
        /// How many there are.
        agents: u32,
    },
}

const SELECT: &str = "SELECT spec, stage, desired, generation, memory FROM agents";

impl Store {
    /// All agents by name, those that are gone included.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
        let rows = statement.query_map([], from_row)?.collect::<Result<Vec<_>, _>>()?;
        // A row that cannot be read is another version's: what it stands for is left alone.
        Ok(rows.into_iter().flatten().collect())
    }

    /// One agent.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn agent(&self, name: &str) -> Result<Option<AgentRow>, StoreError> {
        let sql = format!("{SELECT} WHERE name = ?1");
        Ok(self.lock().prepare_cached(&sql)?.query_row([name], from_row).optional()?.flatten())
    }

    /// Takes a name for an agent that is to be made, in one step with the count of agents.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn claim_agent(&self, spec: &AgentSpec, memory: &str, most: u32) -> Result<Claim, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let agents: u32 =
            transaction
                .query_row("SELECT count(*) FROM agents WHERE stage <> 'removed'", [], |row| row.get(0))?;
        if agents >= most {
            return Ok(Claim::Full { agents });
        }
        let taken = transaction.execute(
            "INSERT INTO agents (name, spec, stage, desired, generation, memory)
             VALUES (?1, ?2, 'creating', 'running', 1, ?3)
             ON CONFLICT (name) DO UPDATE
             SET spec = ?2, stage = 'creating', desired = 'running', generation = generation + 1, memory = ?3
             WHERE stage = 'removed'",
            params![spec.name, json(spec)?, memory],
        )?;
        transaction.commit()?;
        Ok(if taken == 0 { Claim::InUse } else { Claim::Taken })
    }

    /// Writes an agent down that is there and is not known. One that is known stays as it is.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn adopt_agent(&self, spec: &AgentSpec, desired: Desired, memory: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO agents (name, spec, stage, desired, generation, memory)
                   VALUES (?1, ?2, 'made', ?3, 1, ?4) ON CONFLICT (name) DO NOTHING";
        self.lock().execute(sql, params![spec.name, json(spec)?, desired_text(desired), memory])?;
        Ok(())
    }

    /// Changes an agent's specification, after it was made anew.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn set_agent_spec(&self, spec: &AgentSpec) -> Result<(), StoreError> {
        let sql = "UPDATE agents SET spec = ?2, generation = generation + 1 WHERE name = ?1";
        self.lock().execute(sql, params![spec.name, json(spec)?])?;
        Ok(())
    }

    /// Sets how far an agent is.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn set_agent_stage(&self, name: &str, stage: Stage) -> Result<(), StoreError> {
        self.lock().execute("UPDATE agents SET stage = ?2 WHERE name = ?1", params![name, stage.text()])?;
        Ok(())
    }

    /// Sets what an agent should be.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn set_agent_desired(&self, name: &str, desired: Desired) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE agents SET desired = ?2, generation = generation + (desired <> ?2) WHERE name = ?1",
            params![name, desired_text(desired)],
        )?;
        Ok(())
    }

    /// Saves what the controller remembers of an agent.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn save_agent_memory(&self, name: &str, memory: &str) -> Result<(), StoreError> {
        self.lock().execute("UPDATE agents SET memory = ?2 WHERE name = ?1", [name, memory])?;
        Ok(())
    }

    /// Forgets an agent, as if it had never been asked for.
    ///
    /// # Errors
    ///
    /// SQLite failed.
    pub fn forget_agent(&self, name: &str) -> Result<(), StoreError> {
        self.lock().execute("DELETE FROM agents WHERE name = ?1", [name])?;
        Ok(())
    }
}

fn json(spec: &AgentSpec) -> Result<String, StoreError> {
    serde_json::to_string(spec)
        .map_err(|error| StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<AgentRow>> {
    let Ok(spec) = serde_json::from_str(&row.get::<_, String>(0)?) else { return Ok(None) };
    Ok(Some(AgentRow {
        spec,
        stage: Stage::parse(&row.get::<_, String>(1)?),
        desired: parse_desired(&row.get::<_, String>(2)?),
        generation: row.get::<_, i64>(3)?.unsigned_abs(),
        memory: row.get(4)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Resources, Time};

    fn spec(name: &str) -> AgentSpec {
        AgentSpec {
            name: name.into(),
            role: None,
            workstream: None,
            adapter: "claude".into(),
            image: "image".into(),
            model: None,
            branch: format!("tanuki/{name}"),
            base: "refs/heads/main".into(),
            base_commit: "0".repeat(40),
            resources: Resources::default(),
            created_at: Time(1),
        }
    }

    #[test]
    fn a_name_is_claimed_once_within_the_limit_and_again_after_its_removal() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.claim_agent(&spec("api"), "", 2).unwrap(), Claim::Taken);
        assert_eq!(store.claim_agent(&spec("api"), "", 2).unwrap(), Claim::InUse);
        assert_eq!(store.claim_agent(&spec("web"), "", 2).unwrap(), Claim::Taken);
        assert_eq!(store.claim_agent(&spec("ops"), "", 2).unwrap(), Claim::Full { agents: 2 });
        store.set_agent_stage("api", Stage::Removed).unwrap();
        assert_eq!(store.claim_agent(&spec("api"), "", 2).unwrap(), Claim::Taken);
        let row = store.agent("api").unwrap().unwrap();
        assert_eq!((row.stage, row.generation), (Stage::Creating, 2));
        store.forget_agent("web").unwrap();
        assert_eq!(store.agents().unwrap().len(), 1);
    }
}
