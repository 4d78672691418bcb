//! The environment of a service: `env_file`, then `environment` over it, names without value passed through.

use std::collections::BTreeMap;

use super::env::Env;
use super::interpolate::{Stray, interpolate};
use super::reader::{At, Reader, clipped};
use super::service::Around;
use super::yaml::{self, Value};

/// Whether this can be the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.len() <= 256 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads `env_file` and `environment` of a service.
pub(super) fn environment(
    reader: &mut Reader,
    service: &At<'_>,
    around: Around<'_>,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let base = super::keys::join(&service.path, "environment");
    if let Some(at) = service.get("env_file") {
        for item in reader.text_or_list(&at) {
            for (key, value) in file(reader, &item, around) {
                reader.note(&format!("{base}.{key}"), &item);
                out.insert(key, value);
            }
        }
    }
    let Some(at) = service.get("environment").and_then(|at| reader.map(at)) else { return out };
    for at in at.entries() {
        if at.name.is_empty() || at.name.contains(['=', '\0']) {
            let message = format!("`{}` cannot be the name of a variable", clipped(at.name));
            reader.error_at(at.mark(), &at.path, message, "use letters, digits and `_`");
        } else if at.node.value == Value::Null {
            pass_through(reader, &at, around.env, &mut out);
        } else if let Some(value) = reader.scalar(&at) {
            out.insert(at.name.to_owned(), value);
        }
    }
    out
}

/// As in Compose, a name without a value takes the user's, and is left out where the user has none.
fn pass_through(reader: &mut Reader, at: &At<'_>, env: &Env, out: &mut BTreeMap<String, String>) {
    match env.get(at.name) {
        Some(value) => {
            reader.note(&at.path, at);
            out.insert(at.name.to_owned(), value.to_owned());
        }
        None => {
            out.remove(at.name);
            let message = format!("{} has no value here and is not set in your environment", at.name);
            reader.warn_at(at.mark(), &at.path, message, "set it, or give it a value");
        }
    }
}

fn file(reader: &mut Reader, at: &At<'_>, around: Around<'_>) -> Vec<(String, String)> {
    let (path_at, required) = match at.node.value {
        Value::Map(_) => {
            let required = at.get("required").and_then(|at| reader.bool(&at)).unwrap_or(true);
            match at.get("path") {
                Some(path) => (path, required),
                None => {
                    reader.error(at, "an env file needs `path`", "");
                    return Vec::new();
                }
            }
        }
        _ => (at.clone(), true),
    };
    let Some(text) = reader.text(&path_at) else { return Vec::new() };
    let path = match (text.strip_prefix("~/"), &around.env.home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => around.root.join(&text),
    };
    reader.files.push(path.clone());
    match super::load::read_file(&path) {
        Ok(bytes) => {
            let shown = clipped(&text);
            match yaml::decode(&bytes)
                .map_err(|problem| problem.message)
                .and_then(|text| parse(text, around.env))
            {
                Ok(pairs) => pairs,
                Err(why) => {
                    reader.error(&path_at, format!("cannot use {shown}: {why}"), "write lines as NAME=value");
                    Vec::new()
                }
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Vec::new(),
        Err(error) => {
            let why = super::load::why(&error);
            let message = format!("cannot read {}: {why}", clipped(&text));
            reader.error(&path_at, message, "paths are relative to the directory of tanuki.yaml");
            Vec::new()
        }
    }
}

/// Parses lines of `NAME=value`, `export NAME=value`, `NAME` (passed through), and `#` comments. Values in single
/// quotes are literal; others are interpolated; double quotes take `\n`, `\t`, `\"`, `\\` and `\$`.
fn parse(text: &str, env: &Env) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (line, None),
        };
        if !is_variable(name) {
            return Err(format!("line {number} does not begin with the name of a variable"));
        }
        let value = match value {
            Some(value) => self::value(value, env).map_err(|why| format!("line {number}: {why}"))?,
            None => match env.get(name) {
                Some(value) => value.to_owned(),
                None => continue,
            },
        };
        if value.contains('\0') {
            return Err(format!("line {number} has a NUL character"));
        }
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

fn value(text: &str, env: &Env) -> Result<String, String> {
    if let Some(rest) = text.strip_prefix('\'') {
        return match rest.find('\'') {
            Some(end) => Ok(rest[..end].to_owned()),
            None => Err("a quotation mark is not closed".to_owned()),
        };
    }
    if let Some(rest) = text.strip_prefix('"') {
        return expand(&unescape(rest)?, env);
    }
    let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
    expand(text[..end].trim_end(), env)
}

fn expand(text: &str, env: &Env) -> Result<String, String> {
    interpolate(text, env, Stray::Kept).map(|out| out.text).map_err(|refused| refused.message)
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(out),
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                // Kept apart from a reference for the interpolation that follows.
                Some('$') => out.push_str("$$"),
                Some(c @ ('"' | '\\')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a quotation mark is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_env_file_forms() {
        let vars = [("A", "a"), ("PASS", "p")];
        let env =
            Env { vars: vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), home: None };
        let text = "# comment\n\nX=1\nexport Y = two words # tail\nZ='$A #'\nW=\"$A\\n\\$A\"\nPASS\nNONE\nE=\nU=a#b$\r\n";
        let pairs = parse(text, &env).unwrap();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let want = [
            ("X", "1"),
            ("Y", "two words"),
            ("Z", "$A #"),
            ("W", "a\n$A"),
            ("PASS", "p"),
            ("E", ""),
            ("U", "a#b$"),
        ];
        assert_eq!(pairs, want);
        for text in ["1A=x", "A='x", "A=\"x", "=x", "a b"] {
            assert!(parse(text, &env).is_err(), "{text}");
        }
    }
}
