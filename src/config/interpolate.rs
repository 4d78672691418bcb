//! `$NAME`, `${NAME}`, `${NAME:-default}` and the rest of Compose's interpolation.
//!
//! Also `${NAME-default}`, `${NAME:?error}`, `${NAME?error}`, `${NAME:+other}`, `${NAME+other}`, and `$$` for a dollar
//! sign. Defaults may hold further references. The colon counts an empty variable as absent.

use super::env::Env;
use crate::model::ServiceSpec;

/// Deepest nesting of references in defaults.
const MAX_DEPTH: usize = 16;

/// Longest text with its references replaced, in bytes, give or take one variable.
const MAX_LENGTH: usize = 1 << 20;

/// A text with its references replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interpolated {
    /// The text.
    pub(super) text: String,
    /// A variable with a secret's name went into it.
    pub(super) secret: bool,
    /// Variables that are not set and had no default.
    pub(super) missing: Vec<String>,
}

/// Why a text could not be interpolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

/// What a `$` that begins no reference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stray {
    /// An error, as in Compose files.
    Refused,
    /// Itself, as in env files.
    Kept,
}

/// Replaces the references in a text.
///
/// # Errors
/// A `$` that begins no reference, a reference that does not end, or a variable required with `?` that is absent.
pub(super) fn interpolate(text: &str, env: &Env, stray: Stray) -> Result<Interpolated, Refused> {
    let mut out = Interpolated::default();
    expand(text, env, stray, 0, &mut out)?;
    Ok(out)
}

fn expand(text: &str, env: &Env, stray: Stray, depth: usize, out: &mut Interpolated) -> Result<(), Refused> {
    if depth > MAX_DEPTH {
        return Err(refused("references are nested too deeply", ""));
    }
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        if out.text.len() > MAX_LENGTH {
            return Err(refused("the value is too long", ""));
        }
        out.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            // Refused also in env files: looking for the brace again and again would take long.
            match closing_brace(inner) {
                Some(end) => {
                    braced(&inner[..end], env, stray, depth, out)?;
                    rest = &inner[end + 1..];
                }
                None => return Err(refused("`${` has no closing `}`", "write `$$` for a dollar sign")),
            }
        } else {
            let end = name_end(after);
            if end > 0 {
                plain(&after[..end], env, out);
            } else if stray == Stray::Kept {
                out.text.push('$');
            } else {
                return Err(refused("`$` begins no variable", "write `$$` for a dollar sign"));
            }
            rest = &after[end..];
        }
    }
    out.text.push_str(rest);
    Ok(())
}

fn braced(inner: &str, env: &Env, stray: Stray, depth: usize, out: &mut Interpolated) -> Result<(), Refused> {
    let end = name_end(inner);
    let (name, rest) = inner.split_at(end);
    if name.is_empty() {
        let message = format!("`${{{inner}}}` names no variable");
        return Err(refused(message, "a name is letters, digits and `_`, not beginning with a digit"));
    }
    let (colon, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
    let mut operators = rest.chars();
    let (operator, operand) = (operators.next(), operators.as_str());
    let value = env.get(name).filter(|value| !(colon && value.is_empty()));
    match (operator, value) {
        (None, _) if !colon => plain(name, env, out),
        (Some('-' | '?'), Some(_)) => plain(name, env, out),
        (Some('-'), None) | (Some('+'), Some(_)) => expand(operand, env, stray, depth + 1, out)?,
        (Some('+'), None) => {}
        (Some('?'), None) => {
            let mut why = Interpolated::default();
            expand(operand, env, stray, depth + 1, &mut why)?;
            let state = if env.get(name).is_some() { "is empty" } else { "is not set" };
            let message = match why.text.is_empty() || why.secret {
                true => format!("the variable {name} {state}"),
                false => format!("the variable {name} {state}: {}", why.text),
            };
            return Err(refused(message, format!("set {name} in the environment of tanuki")));
        }
        _ => {
            let help = "write `${NAME}`, `${NAME:-default}`, `${NAME:?error}` or `${NAME:+other}`";
            return Err(refused(format!("`${{{inner}}}` is not a reference"), help));
        }
    }
    Ok(())
}

fn plain(name: &str, env: &Env, out: &mut Interpolated) {
    match env.get(name) {
        Some(value) => {
            out.text.push_str(value);
            out.secret |= ServiceSpec::is_secret_key(name);
        }
        None => out.missing.push(name.to_owned()),
    }
}

fn name_end(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The brace that ends a reference, past those of nested ones.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    let mut before = ' ';
    for (index, c) in text.char_indices() {
        match c {
            '{' if before == '$' => open += 1,
            '}' if open == 0 => return Some(index),
            '}' => open -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

fn refused(message: impl Into<String>, help: impl Into<String>) -> Refused {
    Refused { message: message.into(), help: help.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env() -> Env {
        let vars = [("A", "a"), ("EMPTY", ""), ("API_KEY", "k")];
        Env { vars: vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), home: None }
    }

    #[test]
    fn config_interpolates_as_compose_does() {
        let table = [
            ("plain", "plain"),
            ("$A ${A}b $$A", "a ab $A"),
            ("${NO:-d} ${NO-d} ${EMPTY:-d} ${EMPTY-d}|", "d d d |"),
            ("${A:-d} ${A:?e} ${EMPTY?e}|", "a a |"),
            ("${A:+x} ${NO:+x} ${EMPTY+x} ${EMPTY:+x}|", "x  x |"),
            ("${NO:-${NO2:-${A}}}!", "a!"),
            ("${NO:-a:b-c}", "a:b-c"),
            ("é$Aé", "éaé"),
        ];
        for (text, want) in table {
            assert_eq!(
                interpolate(text, &env(), Stray::Refused).map(|out| out.text),
                Ok(want.to_owned()),
                "{text}"
            );
        }
        for text in ["$", "a$ b", "${", "${}", "${1}", "${A!}", "${A:}", "${NO:?}", "${EMPTY:?x}", "$1"] {
            assert!(interpolate(text, &env(), Stray::Refused).is_err(), "{text}");
        }
        assert_eq!(interpolate("a$ $1 $", &env(), Stray::Kept).map(|out| out.text), Ok("a$ $1 $".to_owned()));
        let message = interpolate("${NO:?set it}", &env(), Stray::Refused).map_err(|refused| refused.message);
        assert_eq!(message, Err("the variable NO is not set: set it".to_owned()));
    }

    #[test]
    fn config_interpolation_tells_secrets_and_missing() {
        let out = interpolate("x${API_KEY}${NO}", &env(), Stray::Refused).unwrap();
        assert!(out.secret);
        assert_eq!(out.missing, ["NO"]);
    }
}
