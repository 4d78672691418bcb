//! The JSON Schema of `tanuki.yaml`, for editors, made from the table of keys.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

use super::keys::{Key, ROOT, Shape};

/// The JSON Schema (draft 2020-12) of `tanuki.yaml`.
///
/// It is a little wider than the loader: `${NAME}` may stand for any scalar, so scalars also match text with a dollar
/// sign, and what one value says about another is not in it.
pub fn schema() -> Schema {
    let mut schema = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tanuki.yaml",
    });
    for (key, value) in mapping(ROOT) {
        schema.insert(key, value);
    }
    schema
}

fn mapping(keys: &[Key]) -> Map<String, Value> {
    let properties = keys.iter().map(|key| {
        let mut value = shape(&key.shape);
        value["description"] = key.doc.into();
        (key.name.to_owned(), value)
    });
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(["object", "null"]));
    out.insert("properties".to_owned(), Value::Object(properties.collect()));
    out.insert("patternProperties".to_owned(), json!({ "^x-": true, "^<<$": true }));
    out.insert("additionalProperties".to_owned(), false.into());
    out
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Map(keys) => Value::Object(mapping(keys)),
        Shape::Named(inner) => json!({ "type": ["object", "null"], "additionalProperties": shape(inner) }),
        Shape::List(inner) => json!({ "type": ["array", "null"], "items": shape(inner) }),
        Shape::OneOf(shapes) => json!({ "anyOf": shapes.iter().map(shape).collect::<Vec<_>>() }),
        Shape::Text => json!({ "type": ["string", "number", "null"] }),
        Shape::Word(words) => json!({ "anyOf": [{ "enum": with_numbers(words) }, reference()] }),
        Shape::Bool => json!({ "anyOf": [{ "type": ["boolean", "null"] }, reference()] }),
        Shape::Whole(low, high) => json!({ "anyOf": [
            { "type": "integer", "minimum": low, "maximum": high },
            { "type": "null" },
            { "type": "string", "pattern": "^[0-9]+$" },
            reference(),
        ] }),
        Shape::Cpus => json!({ "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "type": "null" },
            { "type": "string", "pattern": "^[0-9.]+$" },
            reference(),
        ] }),
        Shape::Duration => json!({ "anyOf": [
            { "const": 0 },
            { "type": "null" },
            { "type": "string", "pattern": "^ *(0|([0-9.]+ *[a-zµ]+ *)+)$", "examples": ["5s", "1m30s", "500ms"] },
            reference(),
        ] }),
        Shape::Bytes => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "null" },
            { "type": "string", "pattern": "^ *[0-9.]+ *([kKmMgGtT][iI]?)?[bB]? *$", "examples": ["64m", "1g"] },
            reference(),
        ] }),
        Shape::Variables => json!({ "anyOf": [
            { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean", "null"] } },
            { "type": "array", "items": { "type": "string" } },
            { "type": "null" },
        ] }),
    }
}

/// A scalar that the environment decides.
fn reference() -> Value {
    json!({ "type": "string", "pattern": "\\$" })
}

/// The version is written with and without quotes.
fn with_numbers(words: &[&str]) -> Vec<Value> {
    let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
    words.iter().map(|word| Value::from(*word)).chain(numbers).chain([Value::Null]).collect()
}
