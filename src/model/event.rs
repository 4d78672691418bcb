//! What happened and why.

use serde::{Deserialize, Serialize};

use super::Time;

/// Whether an event is news or trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Somebody may want to look.
    Warning,
}

/// One thing that happened. Repeats raise `count` instead of adding records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Order of recording; never reused.
    pub id: i64,
    /// When it last happened.
    pub time: Time,
    /// News or trouble.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// What it is about, as `service/postgres`.
    pub object: String,
    /// One CamelCase word.
    pub reason: String,
    /// A sentence. Never holds a secret.
    pub message: String,
    /// How often in a row.
    pub count: u32,
}
