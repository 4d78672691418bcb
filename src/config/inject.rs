//! Reads `inject`: how agents are told of a service.

use super::env_file::is_variable;
use super::keys::nearest;
use super::reader::{At, Reader, clipped};
use crate::model::Inject;

/// Placeholders of `inject.env`.
const PLACEHOLDERS: &[&str] = &["host", "port", "user", "password", "database"];

/// Reads the prefix, normalised, and the templates, checked.
pub(super) fn inject(reader: &mut Reader, at: At<'_>) -> Inject {
    let mut inject = Inject::default();
    let Some(at) = reader.map(at) else { return inject };
    if let Some(at) = at.get("prefix")
        && let Some(text) = reader.text(&at)
    {
        let prefix: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        if prefix.starts_with(|c: char| c.is_ascii_digit()) {
            reader.error(&at, "a prefix cannot begin with a digit", "begin it with a letter");
        }
        inject.prefix = Some(prefix);
    }
    let Some(env) = at.get("env").and_then(|at| reader.map(at)) else { return inject };
    for at in env.entries() {
        if !is_variable(at.name) {
            let message = format!("`{}` cannot be the name of a variable", clipped(at.name));
            reader.error_at(at.mark(), &at.path, message, "use letters, digits and `_`");
        } else if let Some(text) = reader.scalar(&at) {
            placeholders(reader, &at, &text);
            inject.env.insert(at.name.to_owned(), text);
        }
    }
    inject
}

/// Checks that a template only uses what there is. `{{` and `}}` stand for braces.
fn placeholders(reader: &mut Reader, at: &At<'_>, template: &str) {
    let plain = template.replace("{{", "").replace("}}", "");
    for word in plain.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(word, _)| word) {
        if PLACEHOLDERS.contains(&word) {
            continue;
        }
        let help = match nearest(word, PLACEHOLDERS) {
            Some(near) => format!("did you mean `{{{near}}}`?"),
            None => "there are {host}, {port}, {user}, {password} and {database}; `{{` is a brace".to_owned(),
        };
        reader.error(at, format!("`{{{}}}` is not a placeholder", clipped(word)), help);
    }
}
