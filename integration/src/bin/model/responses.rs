//! The API called Responses, as codex uses it.

use serde_json::{Value, json};

use crate::Interface;
use crate::conversation::{Conversation, Said, Tool, list, text_of};
use crate::script::Turn;

pub(crate) const INTERFACE: Interface = Interface { read, events, error };

fn read(request: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    if let Some(text) = request["input"].as_str() {
        conversation.said.push(Said::User(text.to_owned()));
    }
    for item in list(&request["input"]) {
        match item["type"].as_str().unwrap_or("message") {
            "message" if item["role"] == "user" => {
                conversation.said.push(Said::User(text_of(&item["content"])));
            }
            "function_call" => conversation.said.push(Said::Calls(1)),
            "function_call_output" => {
                let output = &item["output"];
                let text = output.as_str().map_or_else(|| output.to_string(), ToOwned::to_owned);
                conversation.said.push(Said::Result(text));
            }
            _ => {}
        }
    }
    for tool in list(&request["tools"]) {
        if tool["type"] == "namespace" {
            let namespace = tool["name"].as_str();
            conversation
                .tools
                .extend(list(&tool["tools"]).iter().filter_map(|tool| function(tool, namespace)));
        } else {
            conversation.tools.extend(function(tool, None));
        }
    }
    conversation
}

fn function(tool: &Value, namespace: Option<&str>) -> Option<Tool> {
    (tool["type"] == "function").then(|| Tool {
        name: tool["name"].as_str().unwrap_or_default().to_owned(),
        parameters: tool["parameters"].clone(),
        namespace: namespace.map(ToOwned::to_owned),
    })
}

fn events(request: &Value, conversation: &Conversation, turn: &Turn, number: u64) -> Vec<Value> {
    let (item, pieces) = match turn {
        Turn::Call(step) => call(conversation.call(step), number),
        Turn::Say(text) => message(text, number),
        Turn::Status(_) | Turn::Hang => return Vec::new(),
    };
    let mut unfinished = item.clone();
    unfinished["status"] = "in_progress".into();
    for (key, empty) in [("content", json!([])), ("arguments", json!(""))] {
        if unfinished.get(key).is_some() {
            unfinished[key] = empty;
        }
    }
    let response = |status: &str, output: Value, usage: Value| {
        json!({
            "id": format!("resp_{number}"), "object": "response", "created_at": 0, "status": status,
            "model": request["model"], "output": output, "usage": usage, "error": null,
            "parallel_tool_calls": false, "tool_choice": "auto", "tools": [],
        })
    };
    let mut events = vec![
        json!({ "type": "response.created", "response": response("in_progress", json!([]), Value::Null) }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": unfinished }),
    ];
    events.extend(pieces);
    events.push(json!({ "type": "response.output_item.done", "output_index": 0, "item": item }));
    let usage = json!({
        "input_tokens": 100, "input_tokens_details": { "cached_tokens": 20 },
        "output_tokens": 10, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 110,
    });
    events.push(json!({
        "type": "response.completed", "response": response("completed", json!([item]), usage),
    }));
    for (sequence, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = sequence.into();
    }
    events
}

/// A call's item, and the events by which it arrives.
fn call(found: Option<(&Tool, Value)>, number: u64) -> (Value, Vec<Value>) {
    let (tool, arguments) =
        found.map_or_else(Default::default, |(tool, arguments)| (tool.clone(), arguments));
    let (id, arguments) = (format!("fc_{number}"), arguments.to_string());
    let mut item = json!({
        "type": "function_call", "id": id, "call_id": format!("call_{number}"), "name": tool.name,
        "arguments": arguments, "status": "completed",
    });
    if let Some(namespace) = &tool.namespace {
        item["namespace"] = namespace.as_str().into();
    }
    let event = |kind: &str, key: &str| {
        let mut event = json!({ "type": format!("response.function_call_arguments.{kind}") });
        event["item_id"] = id.as_str().into();
        event["output_index"] = 0.into();
        event[key] = arguments.as_str().into();
        event
    };
    let pieces = vec![event("delta", "delta"), event("done", "arguments")];
    (item, pieces)
}

/// A message's item, and the events by which it arrives.
fn message(text: &str, number: u64) -> (Value, Vec<Value>) {
    let id = format!("msg_{number}");
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    let event = |kind: &str, key: &str, value: Value| {
        let mut event = json!({ "type": format!("response.{kind}"), "item_id": id, "output_index": 0 });
        event["content_index"] = 0.into();
        event[key] = value;
        event
    };
    let pieces = vec![
        event("content_part.added", "part", part("")),
        event("output_text.delta", "delta", text.into()),
        event("output_text.done", "text", text.into()),
        event("content_part.done", "part", part(text)),
    ];
    let item = json!({
        "type": "message", "id": id, "role": "assistant", "status": "completed", "content": [part(text)],
    });
    (item, pieces)
}

fn error(status: u16) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "invalid_api_key"),
        402 => ("insufficient_quota", "insufficient_quota"),
        429 => ("rate_limit_error", "rate_limit_exceeded"),
        _ => ("server_error", "server_error"),
    };
    json!({ "error": { "message": format!("the stand-in says {status}"), "type": kind, "code": code } })
}
