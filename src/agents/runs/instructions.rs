//! What an agent is told beside its task: its role, what its environment holds, and when it is done.

use std::fmt::Write as _;

use crate::agents::Ready;
use crate::agents::roles::Profile;
use crate::model::RunSpec;

/// Names of variables, never values.
pub(super) fn compose(profile: &Profile, ready: &Ready, spec: &RunSpec) -> String {
    let mut out = profile.prompt.trim().to_owned();
    let mut part = |text: &str| {
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        out.push_str(text);
    };
    if !profile.context_files.is_empty() {
        part(&format!("Read these files before you begin: {}.", profile.context_files.join(", ")));
    }
    if !ready.service_variables.is_empty() {
        part(&format!(
            "Shared services run beside this workspace. These environment variables say how they are reached: {}. Use them \
             as they are; do not start services of your own, and write their values into no file.",
            ready.service_variables.join(", ")
        ));
    }
    if !ready.missing_services.is_empty() {
        part(&format!("Not available at the moment: {}.", ready.missing_services.join(", ")));
    }
    let mut done = String::new();
    if let Some(verify) = &spec.verify {
        let _infallible = write!(done, "The work is checked with this command, which must succeed: {verify}");
    }
    if let Some(signal) = &spec.signal {
        let before = if done.is_empty() { "" } else { "\n" };
        let _infallible = write!(
            done,
            "{before}When everything is done, and only then, end your last message with a line that has nothing but: {signal}"
        );
    }
    if !done.is_empty() {
        part(&done);
    }
    out
}

/// Whether the signal stands alone on a line.
pub(super) fn has_signal(message: &str, signal: &str) -> bool {
    message.lines().any(|line| line.trim() == signal.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_only_alone_on_its_line() {
        let table = [
            ("DONE", true),
            ("ok\n  DONE  \nbye", true),
            ("I am DONE", false),
            ("DONE.", false),
            ("done", false),
        ];
        for (message, expected) in table {
            assert_eq!(has_signal(message, "DONE"), expected, "{message}");
        }
    }
}
