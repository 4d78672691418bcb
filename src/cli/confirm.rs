//! A question to the person at the terminal, where something is about to go.

use std::io::{self, BufRead as _, IsTerminal as _};

use super::{CliError, Context, Output, Result};

/// What is asked about.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The question itself, without the choices.
    pub(super) text: String,
    /// What is said where there is nobody to ask.
    pub(super) unattended: String,
    /// Why it matters, told with it.
    pub(super) because: String,
    /// What is said when the answer was not yes.
    pub(super) refused: &'static str,
}

impl Question {
    /// Asks, unless `--yes` answers. Without somebody to ask, `--yes` has to say so.
    ///
    /// # Errors
    ///
    /// The answer is not yes, or there is none.
    pub(super) fn ask(self, context: &Context, out: &Output) -> Result<()> {
        if context.global.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(CliError::usage(self.unattended)
                .cause(self.because)
                .hint("add --yes if that is meant"));
        }
        out.prompt(&format!("{} [y/N] ", self.text))?;
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| CliError::failed("cannot read the answer").because(&error))?;
        if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") {
            return Ok(());
        }
        Err(CliError::failed(self.refused).cause("the answer was not yes"))
    }
}
