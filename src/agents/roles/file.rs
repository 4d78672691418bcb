//! Role files: YAML between two lines of `---`, then the prompt.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Deserialize;

use super::RoleError;
use crate::model::{Resources, Role};

/// Longest role file.
const LONGEST: u64 = 64 << 10;

/// What a file says of a role.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RoleFile {
    pub(super) role: Role,
    pub(super) context_files: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    description: Option<String>,
    agent: Option<String>,
    image: Option<String>,
    model: Option<String>,
    max_turns: Option<u32>,
    #[serde(default)]
    allowed_tools: Vec<String>,
    #[serde(default)]
    denied_tools: Vec<String>,
    #[serde(default)]
    resources: FrontResources,
    concurrency: Option<u32>,
    #[serde(default)]
    context_files: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontResources {
    memory: Option<String>,
    cpus: Option<f64>,
    pids: Option<i64>,
}

/// Reads a role file; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<RoleFile>, RoleError> {
    let fail = |message: String| RoleError::File { path: path.to_owned(), line: None, message };
    // Without waiting, should it be a pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(format!("cannot read it: {error}"))),
    };
    let kind = file.metadata().map_err(|error| fail(format!("cannot read it: {error}")))?;
    if !kind.is_file() {
        return Err(fail("it is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| fail(format!("cannot read it: {error}")))?;
    if bytes.len() as u64 > LONGEST {
        return Err(fail(format!("it is longer than {} KiB", LONGEST >> 10)));
    }
    let text = String::from_utf8(bytes).map_err(|_error| fail("it is not UTF-8 text".to_owned()))?;
    let parsed = parse(&text);
    parsed.map(Some).map_err(|(line, message)| RoleError::File { path: path.to_owned(), line, message })
}

fn parse(text: &str) -> Result<RoleFile, (Option<usize>, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n');
    let mut front = Front::default();
    let mut body = text;
    if lines.next().is_some_and(|line| line.trim_end() == "---") {
        let start = text.find('\n').map_or(text.len(), |at| at + 1);
        let mut end = start;
        let closed = lines.any(|line| {
            let closes = line.trim_end() == "---";
            if closes {
                body = &text[end + line.len()..];
            } else {
                end += line.len();
            }
            closes
        });
        if !closed {
            return Err((Some(1), "the front matter has no end; close it with a line `---`".to_owned()));
        }
        let yaml = &text[start..end];
        if !yaml.trim().is_empty() {
            front = serde_yaml::from_str(yaml).map_err(|error| {
                let line = error.location().map(|at| at.line() + 1);
                // The place is told apart from the words.
                let words = error.to_string();
                (line, words.split(" at line ").next().unwrap_or(&words).to_owned())
            })?;
        }
    }
    let line_of = |key: &str| {
        text.lines().position(|line| line.trim_start().starts_with(&format!("{key}:"))).map(|at| at + 1)
    };
    if front.max_turns.is_some_and(|turns| !(1..=100_000).contains(&turns)) {
        return Err((line_of("max_turns"), "`max_turns` is a number from 1 to 100000".to_owned()));
    }
    if front.concurrency.is_some_and(|tasks| !(1..=100).contains(&tasks)) {
        return Err((line_of("concurrency"), "`concurrency` is a number from 1 to 100".to_owned()));
    }
    if let Some(file) = front.context_files.iter().find(|file| {
        file.is_empty()
            || Path::new(file).is_absolute()
            || Path::new(file).components().any(|part| part.as_os_str() == "..")
    }) {
        return Err((line_of("context_files"), format!("`{file}` is not a path inside the project")));
    }
    let resources = resources(&front.resources).map_err(|(key, message)| (line_of(key), message))?;
    let prompt = body.trim();
    Ok(RoleFile {
        role: Role {
            description: front.description,
            prompt: (!prompt.is_empty()).then(|| prompt.to_owned()),
            agent: front.agent,
            image: front.image,
            model: front.model,
            max_turns: front.max_turns,
            allowed_tools: front.allowed_tools,
            denied_tools: front.denied_tools,
            resources,
            concurrency: front.concurrency,
        },
        context_files: front.context_files,
    })
}

fn resources(front: &FrontResources) -> Result<Resources, (&'static str, String)> {
    let memory = front.memory.as_ref().map(|text| {
        bytes(text)
            .filter(|bytes| *bytes >= 6 << 20)
            .ok_or_else(|| ("memory", format!("`{text}` is not an amount of memory; write it as `4g`")))
    });
    let milli_cpus = front.cpus.map(|cpus| {
        let fits = cpus > 0.0 && cpus <= 4096.0;
        let milli = (cpus * 1000.0).round().max(1.0) as u64;
        fits.then_some(milli).ok_or_else(|| ("cpus", "`cpus` is a number above 0".to_owned()))
    });
    if front.pids.is_some_and(|pids| pids < 1) {
        return Err(("pids", "`pids` is a number above 0".to_owned()));
    }
    Ok(Resources { memory: memory.transpose()?, milli_cpus: milli_cpus.transpose()?, pids: front.pids })
}

/// `4g`, `512m`, `1.5gb`: powers of 1024, as engines take them.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let shift = match text[end..].trim() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        _ => return None,
    };
    let bytes = number * f64::from(1_u32 << shift);
    (bytes.is_finite() && bytes < 2_f64.powi(50)).then_some(bytes as u64)
}

/// A new role file, to be filled in.
pub fn template(name: &str, description: Option<&str>) -> String {
    let prompt = format!(
        "You are … (say who the agent is as {name}, what it cares about, and what it leaves alone)\n"
    );
    starter(description.unwrap_or("What this role is for"), &prompt)
}

/// A role file with this prompt; what else can be set is there as comments.
pub fn starter(description: &str, prompt: &str) -> String {
    let mut out = String::from("---\n");
    // A JSON string is a YAML scalar, whatever is in it.
    let _infallible = writeln!(out, "description: {}", serde_json::Value::from(description));
    out.push_str(
        "# agent: claude              # an adapter\n\
         # model: name-of-a-model\n\
         # image: name-of-an-image\n\
         # max_turns: 50\n\
         # allowed_tools: [Read, Grep, Glob]\n\
         # denied_tools: [WebFetch]\n\
         # resources: { memory: 4g, cpus: 2, pids: 512 }\n\
         # concurrency: 2             # so many of its tasks at once\n\
         # context_files: [docs/architecture.md]\n\
         ---\n",
    );
    out.push_str(prompt.trim_end());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_and_prompt_are_told_apart() {
        let text = "---\ndescription: d\nmodel: m\nmax_turns: 7\nallowed_tools: [Read]\nresources: { memory: 1.5g, cpus: 0.5 }\n\
                    context_files: [docs/a.md]\n---\n\nYou are x.\n---\nstill the prompt\n";
        let file = parse(text).unwrap();
        assert_eq!(file.role.prompt.as_deref(), Some("You are x.\n---\nstill the prompt"));
        assert_eq!((file.role.model.as_deref(), file.role.max_turns), (Some("m"), Some(7)));
        assert_eq!(file.role.allowed_tools, ["Read"]);
        assert_eq!((file.role.resources.memory, file.role.resources.milli_cpus), (Some(3 << 29), Some(500)));
        assert_eq!(file.context_files, ["docs/a.md"]);
        let plain = parse("Only a prompt\n").unwrap();
        assert_eq!(plain.role.prompt.as_deref(), Some("Only a prompt"));
        assert_eq!(parse(&starter("d", "p")).unwrap().role.prompt.as_deref(), Some("p"));
    }

    #[test]
    fn a_broken_file_says_where() {
        let table = [
            ("---\ndescription: d\n", Some(1), "has no end"),
            ("---\ndescription: d\nmodle: x\n---\np", Some(3), "unknown field `modle`"),
            ("---\nmax_turns: many\n---\np", Some(2), "expected u32"),
            ("---\nmodel: {a: b}\n---\n", Some(2), "expected a string"),
            ("---\nmodel: m\nmax_turns: 0\n---\n", Some(3), "from 1"),
            ("---\nresources:\n  memory: lots\n---\n", Some(3), "as `4g`"),
            ("---\nconcurrency: 0\n---\n", Some(2), "from 1 to 100"),
            ("---\ncontext_files: [../../etc/passwd]\n---\n", Some(2), "inside the project"),
        ];
        for (text, line, words) in table {
            let (at, message) = parse(text).unwrap_err();
            assert_eq!(at, line, "{text}: {message}");
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
