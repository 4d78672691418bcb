//! What the model does, as the prompt says it: one step per line.
//!
//! ```text
//! STUB: write NAME TEXT     writes a line to a file of the workspace, with the CLI's tool for it or its shell
//! STUB: run COMMAND         runs a shell command with the CLI's tool
//! STUB: say TEXT            ends the turn with this; without it a turn ends with "Done."
//! STUB: say-bytes N         ends the turn with a single line of so many bytes
//! STUB: garble TEXT         the same as `say`, with bytes in it that are no UTF-8
//! STUB: status N            answers with this HTTP status, however often it is asked
//! STUB: unless WORD N       answers with this HTTP status while the last tool's result does not have the word
//! STUB: hang                never answers
//! ```

/// How a line of the script begins.
const MARK: &str = "STUB:";

/// What stands for bytes that are no UTF-8, until they are sent.
const GARBLE: &str = "\u{f8ff}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Write { path: String, text: String },
    Run(String),
    Say(String),
    Status(u16),
    Unless { word: String, status: u16 },
    Hang,
}

/// What the model answers to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// With a call of the tool that does this step: a [`Step::Write`] or a [`Step::Run`].
    Call(Step),
    Say(String),
    Status(u16),
    Hang,
}

/// The steps in a prompt; what else it says does not matter.
pub(crate) fn steps(prompt: &str) -> Vec<Step> {
    prompt.lines().filter_map(|line| Some(step(line.trim().strip_prefix(MARK)?.trim()))).collect()
}

fn step(line: &str) -> Step {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "write" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            Step::Write { path: path.to_owned(), text: text.to_owned() }
        }
        "run" => Step::Run(rest.to_owned()),
        "say" => Step::Say(rest.to_owned()),
        "say-bytes" => Step::Say("x".repeat(rest.parse().unwrap_or_default())),
        "garble" => Step::Say(format!("{GARBLE}{rest}")),
        "status" => Step::Status(rest.parse().unwrap_or(500)),
        "unless" => {
            let (word, status) = rest.split_once(' ').unwrap_or((rest, ""));
            Step::Unless { word: word.to_owned(), status: status.parse().unwrap_or(500) }
        }
        "hang" => Step::Hang,
        _ => Step::Say(format!("I do not know how to `{line}`.")),
    }
}

/// What is sent for a text: what [`Step::Say`] cannot hold is put in its place.
pub(crate) fn garbled(text: &str) -> Vec<u8> {
    text.split(GARBLE).map(str::as_bytes).collect::<Vec<_>>().join(&b"\xff\xfe"[..])
}

/// What comes after so many calls of tools, the last of which had this result.
pub(crate) fn turn(steps: &[Step], calls: usize, result: &str) -> Turn {
    let mut left = calls;
    for step in steps {
        match step {
            Step::Write { .. } | Step::Run(_) if left > 0 => left -= 1,
            Step::Write { .. } | Step::Run(_) => return Turn::Call(step.clone()),
            // One that comes before a call that has been made was passed.
            _ if left > 0 => {}
            Step::Say(text) => return Turn::Say(text.clone()),
            Step::Status(status) => return Turn::Status(*status),
            Step::Unless { word, .. } if result.contains(word.as_str()) => {}
            Step::Unless { status, .. } => return Turn::Status(*status),
            Step::Hang => return Turn::Hang,
        }
    }
    Turn::Say("Done.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_followed_step_by_step() {
        let steps = steps("Please.\nSTUB: write a.txt one two\n  STUB: run git status\nSTUB: say All done\n");
        let write = Step::Write { path: "a.txt".to_owned(), text: "one two".to_owned() };
        assert_eq!(turn(&steps, 0, ""), Turn::Call(write));
        assert_eq!(turn(&steps, 1, ""), Turn::Call(Step::Run("git status".to_owned())));
        assert_eq!(turn(&steps, 2, ""), Turn::Say("All done".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text_are_sent_as_they_are() {
        let Turn::Say(text) = turn(&steps("STUB: garble end"), 0, "") else { panic!("it says nothing") };
        assert_eq!(garbled(&format!("a {text}")), b"a \xff\xfeend");
        assert_eq!(garbled("whole"), b"whole");
    }

    #[test]
    fn a_fault_comes_where_it_stands() {
        let steps = steps("STUB: run true\nSTUB: status 429\nSTUB: hang");
        assert_eq!(turn(&steps, 0, ""), Turn::Call(Step::Run("true".to_owned())));
        assert_eq!(turn(&steps, 1, ""), Turn::Status(429));
        assert_eq!(turn(&[], 0, ""), Turn::Say("Done.".to_owned()));
    }

    #[test]
    fn a_fault_can_end() {
        let steps = steps("STUB: run cat bill\nSTUB: unless paid 402\nSTUB: say Thanks");
        assert_eq!(turn(&steps, 1, "no such file"), Turn::Status(402));
        assert_eq!(turn(&steps, 1, "it is paid"), Turn::Say("Thanks".to_owned()));
    }
}
