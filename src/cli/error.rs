//! The one error of the command line: what a person is told, and how the process ends.
//!
//! An error names the thing (`message`), says why (`causes`, outermost first) and what to do next (`hints`). The
//! parts below have their own small errors; they become this one where a command calls them.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use tanuki_runtimes::ErrorKind as EngineErrorKind;

use super::text;
use crate::config::{ConfigError, Diagnostic, Severity};
use crate::model::Rejected;

/// What a command comes to.
pub type Result<T = Exit, E = CliError> = std::result::Result<T, E>;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Everything asked for is done.
    pub const DONE: Self = Self(0);
    /// It failed; for `plan`, something is to be done.
    pub const FAILED: Self = Self(1);
    /// The arguments or the configuration are wrong.
    pub const USAGE: Self = Self(2);
    /// No engine can be reached.
    pub const ENGINE: Self = Self(3);
    /// It was not done in time.
    pub const TIMED_OUT: Self = Self(4);
    /// A run used up all its iterations.
    pub const LIMIT: Self = Self(5);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

/// What kind of trouble; decides the exit code and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// It failed.
    Failed,
    /// The arguments or the configuration are wrong.
    Usage,
    /// No engine can be reached.
    Engine,
    /// It was not done in time.
    TimedOut,
    /// A run used up all its iterations.
    LimitReached,
    /// Nobody reads the output any more; silent, and no failure.
    BrokenPipe,
}

/// Why a command did not do what it was asked.
///
/// Serialised where a controller that cannot start tells the command that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: ErrorKind,
    /// What went wrong with which thing.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// Text of several lines shown as it is between causes and hints: a source snippet, probe output.
    pub detail: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// What is wrong with the configuration; shown instead of all the rest, with the lines it is about.
    #[serde(skip)]
    pub config: Option<Box<ConfigError>>,
}

impl CliError {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            detail: None,
            hints: Vec::new(),
            config: None,
        }
    }

    /// It failed (1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The arguments or the configuration are wrong (2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// No engine can be reached (3).
    pub fn engine(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Engine, message)
    }

    /// It was not done in time (4).
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TimedOut, message)
    }

    /// Adds an error and everything below it as causes. What a cause says a second time is left out.
    #[must_use]
    pub fn because(mut self, error: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let cause = error.to_string();
            let said = self.causes.last().is_some_and(|last| last.contains(&cause));
            if !said {
                self.causes.push(cause);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Sets the text of several lines.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// No service has this name.
    pub fn unknown_service<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let error = Self::usage(format!("no service is named '{}'", text::shorten(name, 80)));
        if known.is_empty() {
            return error.hint("tanuki.yaml has no services; add one under `services:`");
        }
        match text::nearest(name, known.iter().copied()) {
            Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
            None => error.hint(format!("services in tanuki.yaml: {}", known.join(", "))),
        }
    }

    /// No agent has this name.
    pub fn unknown_agent<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let error = Self::usage(format!("no agent is named '{}'", text::shorten(name, 80)));
        if known.is_empty() {
            return error.hint("there are no agents yet; `tanuki spawn <name>` makes one");
        }
        match text::nearest(name, known.iter().copied()) {
            Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
            None => error.hint(format!("agents: {}", known.join(", "))),
        }
    }

    /// No task has this id.
    pub(super) fn unknown_task(id: &str, known: &[String]) -> Self {
        let error = Self::usage(format!("no task has the id '{}'", text::shorten(id, 80)));
        match text::nearest(id, known.iter().map(String::as_str)) {
            Some(nearest) => error.hint(format!("did you mean '{nearest}'?")),
            None => error.hint("`tanuki task list` shows all tasks"),
        }
    }

    /// The controller refused a request.
    pub fn rejected(rejected: &Rejected) -> Self {
        match rejected {
            Rejected::UnknownService { name, known } => {
                Self::unknown_service(name, known.iter().map(String::as_str))
            }
            Rejected::UnknownAgent { name, known } => {
                Self::unknown_agent(name, known.iter().map(String::as_str))
            }
            Rejected::UnknownTask { id, known } => Self::unknown_task(id, known),
            Rejected::Invalid { message, hint } => {
                let error = Self::usage(message.clone());
                if hint.is_empty() { error } else { error.hint(hint.clone()) }
            }
            Rejected::Conflicts { message, files } => {
                let error = Self::failed(message.clone());
                if files.is_empty() {
                    return error;
                }
                let files: String =
                    files.iter().map(|file| format!("    {}\n", text::one_line(file))).collect();
                error.with_detail(format!("  files in conflict:\n{files}"))
            }
            Rejected::NotPossible { message } | Rejected::VerifyFailed { message } => {
                Self::failed(message.clone())
            }
            Rejected::Failed { message } => {
                Self::failed(message.clone()).hint("the controller's log is .tanuki/state/controller.log")
            }
            Rejected::ShuttingDown => {
                Self::failed("the controller is shutting down").hint("run the command again")
            }
        }
    }

    /// How the process ends after this.
    pub fn exit(&self) -> Exit {
        match self.kind {
            ErrorKind::Failed => Exit::FAILED,
            ErrorKind::Usage => Exit::USAGE,
            ErrorKind::Engine => Exit::ENGINE,
            ErrorKind::TimedOut => Exit::TIMED_OUT,
            ErrorKind::LimitReached => Exit::LIMIT,
            ErrorKind::BrokenPipe => Exit::DONE,
        }
    }

    /// The error for people: `error: …`, its causes, its detail, its hints. Ends with a newline.
    ///
    /// `colour` is for the lines of a configuration; the rest is coloured by who prints it.
    pub fn render(&self, colour: bool) -> String {
        if let Some(config) = &self.config {
            return format!("{}\n", config.render(colour));
        }
        let mut text = format!("error: {}\n", text::one_line(&self.message));
        for cause in &self.causes {
            // Writing to a string cannot fail.
            _ = writeln!(text, "  because: {}", text::one_line(cause));
        }
        if let Some(detail) = &self.detail {
            text.push_str(text::block(detail).trim_end_matches('\n'));
            text.push('\n');
        }
        for hint in &self.hints {
            _ = writeln!(text, "hint: {}", text::one_line(hint));
        }
        text
    }
}

/// An error of writing to our own output.
impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(ErrorKind::BrokenPipe, "nobody reads the output");
        }
        Self::failed("cannot write the output").because(&error)
    }
}

/// A configuration that cannot be used.
impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let mut converted = Self::usage(error.to_string());
        let located = |diagnostic: &Diagnostic| diagnostic.line.is_some();
        if let [only] = error.diagnostics.as_slice()
            && !located(only)
        {
            // About no line of a file: an error like any other.
            converted.hints.extend(only.help.clone());
            return converted;
        }
        let errors = error.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        converted.hints = errors.filter_map(|diagnostic| diagnostic.help.clone()).take(1).collect();
        Self { config: Some(Box::new(error)), ..converted }
    }
}

/// A failed engine call.
impl From<tanuki_runtimes::Error> for CliError {
    fn from(error: tanuki_runtimes::Error) -> Self {
        let message = format!("cannot {} {}", error.operation, error.subject);
        let failed = |kind| {
            let failed = Self::new(kind, message.clone());
            if error.detail.is_empty() { failed } else { failed.cause(error.detail.clone()) }
        };
        match &error.kind {
            EngineErrorKind::Unavailable => failed(ErrorKind::Engine)
                .hint("start the container engine; `tanuki doctor` shows what is wrong with it"),
            EngineErrorKind::Denied => failed(ErrorKind::Engine)
                .hint("this user may not use the engine; `tanuki doctor` shows what to do about it"),
            EngineErrorKind::Timeout => failed(ErrorKind::Engine)
                .hint("the engine does not answer in time; restart it, or try again when it is less busy"),
            EngineErrorKind::NameTaken(holder) => {
                let failed = failed(ErrorKind::Failed);
                match holder.labels.get(tanuki_runtimes::Labels::PROJECT_PATH) {
                    Some(path) => failed.hint(format!("the name belongs to the project in {path}")),
                    None => failed.hint("somebody else made the object of that name; rename or remove it"),
                }
            }
            EngineErrorKind::ImageMissing => {
                failed(ErrorKind::Failed).hint("check `image:` in tanuki.yaml, or pull the image yourself")
            }
            EngineErrorKind::DiskFull => failed(ErrorKind::Failed)
                .hint("make room where the engine keeps its data; `tanuki doctor` tells where"),
            _ => failed(ErrorKind::Failed),
        }
    }
}
