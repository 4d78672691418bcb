//! One error for all engines, classified by what the caller does next.

use std::fmt;

/// The result of an engine call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has the name or the port that was wanted, as far as the engine tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Name of the object that holds it, for example a container's.
    pub name: Option<String>,
    /// The holder's labels, where the holder is an engine object.
    pub labels: crate::Labels,
}

/// What went wrong, by what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object is not there: look again, create it.
    NotFound,
    /// Another object has the name; never touch it, tell whose it is.
    NameTaken(Box<Holder>),
    /// The host port is in use: take another, or tell who has it.
    PortTaken {
        /// The port, where the engine's message told.
        port: Option<u16>,
    },
    /// The image is neither local nor in the registry.
    ImageMissing,
    /// Something still uses the object.
    InUse,
    /// The object is in the wrong state for this call.
    Conflict,
    /// No permission.
    Denied,
    /// The engine (or the registry, for a pull) cannot be reached: wait and try again.
    Unavailable,
    /// The engine did not answer in time; the effect may or may not have happened.
    Timeout,
    /// This engine or version cannot do it.
    Unsupported,
    /// The request is malformed; repeating it will not help.
    Invalid,
    /// No space left where the engine keeps its data.
    DiskFull,
    /// Anything else.
    Other,
}

/// A failed engine call: which call, on what, and why.
#[derive(Debug)]
pub struct Error {
    /// What to do next.
    pub kind: ErrorKind,
    /// The call, as a verb phrase: `"start container"`.
    pub operation: &'static str,
    /// What it was about: a name, an id, an image reference.
    pub subject: String,
    /// The engine's own words, on one line; for people only.
    pub detail: String,
}

impl Error {
    /// A new error; `detail` is folded onto one line.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        subject: impl Into<String>,
        detail: impl fmt::Display,
    ) -> Self {
        let detail = detail.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, operation, subject: subject.into(), detail }
    }

    /// Whether the same call may succeed later without anybody doing anything about it.
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            ErrorKind::NotFound
            | ErrorKind::InUse
            | ErrorKind::Conflict
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::DiskFull
            | ErrorKind::Other => true,
            ErrorKind::NameTaken(_)
            | ErrorKind::PortTaken { .. }
            | ErrorKind::ImageMissing
            | ErrorKind::Denied
            | ErrorKind::Unsupported
            | ErrorKind::Invalid => false,
        }
    }

    /// Whether the object was not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::NotFound
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.operation, self.subject)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
