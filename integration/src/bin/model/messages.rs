//! The API called Messages, as claude uses it.

use serde_json::{Value, json};

use crate::Interface;
use crate::conversation::{Conversation, Said, Tool, list, text_of};
use crate::script::Turn;

pub(crate) const INTERFACE: Interface = Interface { read, events, error };

fn read(request: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    for message in list(&request["messages"]) {
        let content = &message["content"];
        if message["role"] == "user" {
            conversation.said.push(Said::User(text_of(content)));
            let results = list(content).iter().filter(|block| block["type"] == "tool_result");
            conversation.said.extend(results.map(|block| Said::Result(text_of(&block["content"]))));
        } else {
            let calls = list(content).iter().filter(|block| block["type"] == "tool_use").count();
            conversation.said.push(Said::Calls(calls));
        }
    }
    for tool in list(&request["tools"]) {
        conversation.tools.extend(tool["name"].as_str().map(|name| Tool {
            name: name.to_owned(),
            parameters: tool["input_schema"].clone(),
            namespace: None,
        }));
    }
    conversation
}

fn events(request: &Value, conversation: &Conversation, turn: &Turn, number: u64) -> Vec<Value> {
    let (block, delta, reason) = match turn {
        Turn::Call(step) => {
            let (name, input) = match conversation.call(step) {
                Some((tool, input)) => (tool.name.as_str(), input),
                None => ("", Value::Null),
            };
            let id = format!("toolu_{number:06}");
            (
                json!({ "type": "tool_use", "id": id, "name": name, "input": {} }),
                json!({ "type": "input_json_delta", "partial_json": input.to_string() }),
                "tool_use",
            )
        }
        Turn::Say(text) => {
            (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }), "end_turn")
        }
        Turn::Status(_) | Turn::Hang => return Vec::new(),
    };
    let usage = |output: u32| {
        json!({
            "input_tokens": 100, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20,
            "output_tokens": output,
        })
    };
    let message = json!({
        "id": format!("msg_{number:06}"), "type": "message", "role": "assistant", "model": request["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(1),
    });
    vec![
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({
            "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
            "usage": usage(10),
        }),
        json!({ "type": "message_stop" }),
    ]
}

fn error(status: u16) -> Value {
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": format!("the stand-in says {status}") } })
}
