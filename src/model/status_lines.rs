//! The lines of a task file that Tanuki writes, told from all others.
//!
//! A task file's front matter is between two lines `---`. Its keys `status` and `assigned_to`, with the lines that
//! continue their values, are Tanuki's to write; everything else is the person's.

/// The keys that Tanuki writes.
const KEYS: [&str; 2] = ["status", "assigned_to"];

/// A part of a task file. All parts together are the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'t> {
    /// Lines of one of [`KEYS`].
    Own(usize, &'t str),
    /// A line of the person's.
    Other(&'t str),
    /// The line that ends the front matter, and all after it.
    Rest(&'t str),
}

/// The parts of a text; nothing where it has no front matter.
fn parts(text: &str) -> Option<Vec<Part<'_>>> {
    let is_fence = |line: &str| line.trim_start_matches('\u{feff}').trim_end() == "---";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| is_fence(line))?;
    let mut parts = vec![Part::Other(first)];
    let mut at = first.len();
    for line in lines {
        if line.trim_end() == "---" {
            parts.push(Part::Rest(&text[at..]));
            return Some(parts);
        }
        let start = at;
        at += line.len();
        let part = match (key_of(line), parts.last()) {
            (Some(key), _) => Part::Own(key, line),
            // Blank lines and comments belong to whatever comes next.
            (None, Some(Part::Own(key, value))) if continues(line) => {
                let begin = start - value.len();
                let part = Part::Own(*key, &text[begin..at]);
                parts.pop();
                part
            }
            _ => Part::Other(line),
        };
        parts.push(part);
    }
    None
}

fn continues(line: &str) -> bool {
    let said = line.trim();
    !said.is_empty() && !said.starts_with('#') && (line.starts_with([' ', '\t']) || line.starts_with("- "))
}

fn key_of(line: &str) -> Option<usize> {
    KEYS.iter().position(|key| {
        let forms = [(*key).to_owned(), format!("\"{key}\""), format!("'{key}'")];
        let after = forms.iter().find_map(|form| line.strip_prefix(form.as_str()));
        let value = after.and_then(|after| after.trim_start_matches([' ', '\t']).strip_prefix(':'));
        value.is_some_and(|value| value.is_empty() || value.starts_with(char::is_whitespace))
    })
}

/// Whether two task files differ in nothing, or only in what Tanuki writes. Ends of lines do not count.
pub fn same_but_for_status(one: &str, other: &str) -> bool {
    let theirs = |text: &str| -> Option<Vec<String>> {
        let others = parts(text)?.into_iter().filter_map(|part| match part {
            Part::Own(..) => None,
            Part::Other(text) | Part::Rest(text) => Some(text.replace("\r\n", "\n")),
        });
        Some(others.collect())
    };
    one == other || matches!((theirs(one), theirs(other)), (Some(one), Some(other)) if one == other)
}

/// The text of one task file with what Tanuki wrote into another. Nothing where one of them is no task file.
pub fn with_status_of(text: &str, of: &str) -> Option<String> {
    let of = parts(of)?;
    let written = |key: usize| {
        of.iter().find_map(|part| match part {
            Part::Own(own, text) if *own == key => Some(*text),
            _ => None,
        })
    };
    let mut out = String::with_capacity(text.len());
    let mut put = [false; KEYS.len()];
    for part in parts(text)? {
        match part {
            Part::Own(key, _) => {
                if !std::mem::replace(&mut put[key], true) {
                    out.push_str(written(key).unwrap_or_default());
                }
            }
            Part::Other(text) => out.push_str(text),
            Part::Rest(text) => {
                for key in (0..KEYS.len()).filter(|key| !put[*key]) {
                    out.push_str(written(key).unwrap_or_default());
                }
                out.push_str(text);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "---\nid: a\nstatus: pending # mine\nx: [1,  2]\n---\nDo it.\nstatus: of mind\n";

    #[test]
    fn only_what_tanuki_writes_may_differ() {
        let same = [
            "---\nid: a\nstatus: complete # mine\nx: [1,  2]\nassigned_to: api\n---\nDo it.\nstatus: of mind\n",
            "---\nid: a\n\"status\":\n  complete\nx: [1,  2]\n---\nDo it.\nstatus: of mind\n",
            "---\r\nid: a\r\nx: [1,  2]\r\n---\r\nDo it.\r\nstatus: of mind\r\n",
        ];
        for other in same {
            assert!(same_but_for_status(FILE, other) && same_but_for_status(other, FILE), "{other:?}");
        }
        let others = [
            "---\nid: b\nstatus: pending # mine\nx: [1,  2]\n---\nDo it.\nstatus: of mind\n",
            "---\nid: a\nstatus: pending # mine\nx: [1, 2]\n---\nDo it.\nstatus: of mind\n",
            "---\nid: a\nstatus: pending # mine\n# new\nx: [1,  2]\n---\nDo it.\nstatus: of mind\n",
            "---\nid: a\nstatus: pending # mine\nx: [1,  2]\n---\nDo it.\nstatus: complete\n",
            "status: pending\n",
            "",
        ];
        for other in others {
            assert!(!same_but_for_status(FILE, other) && !same_but_for_status(other, FILE), "{other:?}");
        }
        assert!(same_but_for_status("no task", "no task"));
    }

    #[test]
    fn what_tanuki_wrote_stays_over_a_new_text() {
        let ours = "---\nid: a\nstatus: complete # mine\nx: [1,  2]\nassigned_to: api\n---\nDo it.\nstatus: of mind\n";
        let new = "---\nid: a\nstatus: failed\n---\nDone.\n";
        let kept = "---\nid: a\nstatus: complete # mine\nassigned_to: api\n---\nDone.\n";
        assert_eq!(with_status_of(new, ours).as_deref(), Some(kept));
        // A status that nobody has written here is not taken from the new text.
        let bare = "---\nid: a\n---\nDo it.\n";
        assert_eq!(with_status_of(new, bare).as_deref(), Some("---\nid: a\n---\nDone.\n"));
        assert_eq!(with_status_of(bare, ours).as_deref(), Some(kept.replace("Done", "Do it").as_str()));
        assert_eq!(with_status_of("no task", ours), None);
    }
}
