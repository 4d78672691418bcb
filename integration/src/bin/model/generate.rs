//! The API called `generateContent`, as gemini uses it.

use serde_json::{Value, json};

use crate::Interface;
use crate::conversation::{Conversation, Said, Tool, list, text_of};
use crate::script::Turn;

pub(crate) const INTERFACE: Interface = Interface { read, events, error };

fn read(request: &Value) -> Conversation {
    let mut conversation = Conversation::default();
    for content in list(&request["contents"]) {
        let parts = &content["parts"];
        if content["role"] == "model" {
            let calls = list(parts).iter().filter(|part| part.get("functionCall").is_some()).count();
            conversation.said.push(Said::Calls(calls));
        } else {
            conversation.said.push(Said::User(text_of(parts)));
        }
    }
    for tool in list(&request["tools"]) {
        for function in list(&tool["functionDeclarations"]) {
            let schema = function.get("parametersJsonSchema").or(function.get("parameters"));
            conversation.tools.push(Tool {
                name: function["name"].as_str().unwrap_or_default().to_owned(),
                parameters: schema.cloned().unwrap_or_default(),
                namespace: None,
            });
        }
    }
    conversation
}

fn events(request: &Value, conversation: &Conversation, turn: &Turn, number: u64) -> Vec<Value> {
    let part = match turn {
        Turn::Call(step) => match conversation.call(step) {
            Some((tool, arguments)) => {
                json!({ "functionCall": { "name": tool.name, "args": arguments } })
            }
            None => json!({ "text": "" }),
        },
        Turn::Say(text) => json!({ "text": text }),
        Turn::Status(_) | Turn::Hang => return Vec::new(),
    };
    vec![json!({
        "candidates": [
            { "content": { "role": "model", "parts": [part] }, "index": 0, "finishReason": "STOP" },
        ],
        "modelVersion": request["model"], "responseId": format!("resp_{number}"),
        "usageMetadata": {
            "promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110,
            "cachedContentTokenCount": 20,
        },
    })]
}

fn error(status: u16) -> Value {
    let word = match status {
        401 => "UNAUTHENTICATED",
        429 => "RESOURCE_EXHAUSTED",
        _ => "INTERNAL",
    };
    json!({ "error": { "code": status, "message": format!("the stand-in says {status}"), "status": word } })
}
