//! What becomes of the controller's answers.

use super::popup::{Confirm, Popup};
use super::state::{Pending, State, Then};
use super::text;
use super::theme::Tone;
use crate::controller::HandleError;
use crate::model::{Accepted, Rejected};

/// Takes an answer in.
pub(super) fn take(state: &mut State, ticket: u64, answer: Result<Accepted, HandleError>) {
    let Some(Pending { what, then }) = state.pending.remove(&ticket) else { return };
    if let Ok(accepted) = &answer {
        for warning in &accepted.warnings {
            state.say(Tone::Warning, text::clean(warning).into_owned());
        }
    }
    match (then, answer) {
        (Then::Tell(done), Ok(accepted)) => state.say(Tone::Good, first_line(&accepted.text, &done)),
        (Then::Tell(_), Err(error)) => state.say(Tone::Bad, failure(&what, &error)),
        (Then::Diff(name), answer) => match &mut state.popup {
            Some(Popup::Diff(diff)) if diff.is_of(&name) => {
                diff.take(answer.map(|accepted| accepted.text).map_err(|error| failure(&what, &error)));
            }
            // It was closed meanwhile.
            _ => {}
        },
        (Then::Forecast(name), answer) => {
            if let Some(Popup::Merge(merge)) = &mut state.popup
                && merge.is_of(&name)
            {
                merge.forecast(answer);
            }
        }
        (Then::Merge(name), answer) => {
            match &answer {
                Ok(accepted) => {
                    state.say(Tone::Good, first_line(&accepted.text, &format!("{name} is merged")));
                }
                Err(error) => state.say(Tone::Bad, failure(&what, error)),
            }
            if let Some(Popup::Merge(merge)) = &mut state.popup
                && merge.is_of(&name)
            {
                merge.done(answer);
            }
        }
        (Then::Remove(name), Ok(accepted)) => {
            // How it is restored; the history keeps it.
            for line in text::block(&accepted.text).skip(1).filter(|line| !line.trim().is_empty()).take(8) {
                state.say(Tone::Plain, line);
            }
            state.say(Tone::Good, first_line(&accepted.text, &format!("{name} is removed")));
        }
        (Then::Remove(name), Err(HandleError::Rejected(Rejected::NotPossible { message })))
            if state.popup.is_none() =>
        {
            state.say(Tone::Warning, first_line(&message, "it is not removed"));
            state.popup = Some(Popup::Confirm(Confirm::forced_removal(&name, &message)));
        }
        (Then::Remove(_), Err(error)) => state.say(Tone::Bad, failure(&what, &error)),
    }
}

/// The first line of what the controller says, or `otherwise`.
fn first_line(said: &str, otherwise: &str) -> String {
    let first = text::block(said).find(|line| !line.trim().is_empty());
    first.map_or_else(|| otherwise.to_owned(), std::borrow::Cow::into_owned)
}

/// Why something did not go well, on one line.
pub(super) fn failure(what: &str, error: &HandleError) -> String {
    let mut message = format!("{what}: {error}");
    match error {
        HandleError::Rejected(Rejected::Conflicts { files, .. }) if !files.is_empty() => {
            message.push_str(&format!(" ({})", files.join(", ")));
        }
        HandleError::Rejected(Rejected::Invalid { hint, .. }) if !hint.is_empty() => {
            message.push_str(&format!("; {hint}"));
        }
        _ => {}
    }
    text::clean(&message.replace('\n', " ")).into_owned()
}
