//! The only place that prints.
//!
//! Results go to standard output, errors and remarks to standard error. Colour only where a terminal reads it and
//! `NO_COLOR` is not set. A closed pipe surfaces as an error that ends the command quietly.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::{CliError, Env, ErrorKind, Exit};

/// How much is said beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Results and errors only.
    Quiet,
    /// Also progress and remarks.
    #[default]
    Normal,
    /// Also what goes on below.
    Verbose,
}

/// What a piece of text means, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Bad,
    /// Beside the point.
    Faint,
    /// What the rest is about.
    Strong,
    /// Says where one is.
    Note,
    /// Nothing in particular.
    Plain,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Note => AnsiColor::Cyan.on_default(),
            Self::Plain => Style::new(),
        }
    }
}

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Output {
    verbosity: Verbosity,
    stdout: Stream,
    stderr: Stream,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    terminal: bool,
    colour: bool,
}

impl Stream {
    fn new(terminal: bool, env: &Env) -> Self {
        let colour = terminal && env.var("NO_COLOR").is_none() && env.var("TERM") != Some("dumb");
        Self { terminal, colour }
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || tone == Tone::Plain {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

impl Output {
    /// The process's own streams.
    pub fn of_process(env: &Env) -> Self {
        Self {
            verbosity: Verbosity::default(),
            stdout: Stream::new(io::stdout().is_terminal(), env),
            stderr: Stream::new(io::stderr().is_terminal(), env),
        }
    }

    /// The same, saying more or less.
    #[must_use]
    pub fn with_verbosity(self, verbosity: Verbosity) -> Self {
        Self { verbosity, ..self }
    }

    /// How much is said.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Whether a terminal reads the results.
    pub fn is_terminal(&self) -> bool {
        self.stdout.terminal
    }

    /// Whether results have colours.
    pub fn is_coloured(&self) -> bool {
        self.stdout.colour
    }

    /// Text in the colour of its tone, where standard output has colours.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        self.stdout.paint(tone, text)
    }

    /// Prints a result as it is; it brings its own newlines.
    ///
    /// # Errors
    ///
    /// A closed pipe, or a full disk behind a redirection.
    pub fn result(&self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    /// Prints bytes of a result as they are.
    ///
    /// # Errors
    ///
    /// A closed pipe, or a full disk behind a redirection.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// Passes on what a program wrote to its standard error.
    ///
    /// # Errors
    ///
    /// A closed pipe.
    pub fn error_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        io::stderr().lock().write_all(bytes)?;
        Ok(())
    }

    /// Prints one line of a result.
    ///
    /// # Errors
    ///
    /// As [`Output::result`].
    pub fn line(&self, line: &str) -> Result<(), CliError> {
        self.result(&format!("{line}\n"))
    }

    /// Prints a result as JSON, for people and machines: indented.
    ///
    /// # Errors
    ///
    /// As [`Output::result`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let json = serde_json::to_string_pretty(value)
            .map_err(|error| CliError::failed("cannot write JSON").because(&error))?;
        self.line(&json)
    }

    /// Prints one JSON document on a line of its own, where results stream.
    ///
    /// # Errors
    ///
    /// As [`Output::result`].
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), CliError> {
        let json = serde_json::to_string(value)
            .map_err(|error| CliError::failed("cannot write JSON").because(&error))?;
        self.line(&json)
    }

    /// Asks a question, on standard error so that results stay clean.
    ///
    /// # Errors
    ///
    /// Nobody can read it.
    pub fn prompt(&self, question: &str) -> Result<(), CliError> {
        io::stderr().lock().write_all(super::text::one_line(question).as_bytes())?;
        Ok(())
    }

    /// Says something that is not the result: on standard error, not when quiet.
    pub fn remark(&self, tone: Tone, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.to_stderr(&format!("{}\n", self.stderr.paint(tone, &super::text::one_line(text))));
        }
    }

    /// Warns, even when quiet.
    pub fn warning(&self, text: &str) {
        let label = self.stderr.paint(Tone::Warning, "warning:");
        self.to_stderr(&format!("{label} {}\n", super::text::one_line(text)));
    }

    /// Prints an error for people.
    pub fn error(&self, error: &CliError) {
        if error.kind == ErrorKind::BrokenPipe {
            return;
        }
        let text = error.render(self.stderr.colour);
        let coloured: String = if error.config.is_some() {
            text
        } else {
            text.split_inclusive('\n')
                .map(|line| match line.split_once(' ') {
                    Some((label @ "error:", rest)) => {
                        format!("{} {rest}", self.stderr.paint(Tone::Bad, label))
                    }
                    Some((label @ "hint:", rest)) => {
                        format!("{} {rest}", self.stderr.paint(Tone::Good, label))
                    }
                    _ => line.to_owned(),
                })
                .collect()
        };
        self.to_stderr(&coloured);
    }

    /// Prints what clap has to say: help and versions are results, the rest are usage errors.
    pub fn clap(&self, error: &clap::Error) -> Exit {
        let rendered = error.render();
        let stream = if error.use_stderr() { self.stderr } else { self.stdout };
        let text = if stream.colour { rendered.ansi().to_string() } else { rendered.to_string() };
        if error.use_stderr() {
            self.to_stderr(&text);
            return Exit::USAGE;
        }
        match self.result(&text) {
            Ok(()) => Exit::DONE,
            Err(error) => error.exit(),
        }
    }

    fn to_stderr(&self, text: &str) {
        // Where even this fails there is nobody left to tell.
        drop(io::stderr().lock().write_all(text.as_bytes()));
    }
}
