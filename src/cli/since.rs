//! A moment, as people type it.

use std::time::{Duration, SystemTime};

use super::{Result, now};

/// A moment, as people tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// This long ago.
    Ago(Duration),
    /// At this time.
    At(SystemTime),
}

impl Since {
    /// Reads a duration like `10m`, or a time like `2026-01-31T12:00:00Z`.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = humantime::parse_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let at: Result<jiff::Timestamp, _> = text.parse();
        at.map(|timestamp| Self::At(timestamp.into())).map_err(|_not_a_time| {
            "neither a duration like 10m nor a time like 2026-01-31T12:00:00Z".to_owned()
        })
    }

    /// The moment itself.
    pub(super) fn time(self) -> SystemTime {
        match self {
            Self::Ago(ago) => SystemTime::from(now() - ago),
            Self::At(at) => at,
        }
    }
}
