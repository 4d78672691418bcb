//! A stand-in for the model services that agent CLIs talk to: `model [address]`, by default on every address of port
//! 8080. It speaks the APIs called Responses (codex), Messages (claude) and generateContent (gemini); it needs no
//! account and no network.
//!
//! What the model does is written in the prompt ([`script`]), so it keeps no state: any number of agents may use it at
//! once, and a session that is resumed goes on where it was. `GET /requests` tells the last requests, for tests of
//! what a CLI is told.

mod conversation;
mod generate;
mod messages;
mod responses;
mod script;

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};

use crate::conversation::Conversation;
use crate::script::Turn;

/// How many requests are remembered.
const REMEMBERED: usize = 20;

#[derive(Default)]
struct Model {
    requests: Mutex<VecDeque<Value>>,
    answers: AtomicU64,
}

/// What one interface makes of a request and of an answer.
struct Interface {
    read: fn(&Value) -> Conversation,
    /// The answer's events, each with its name; `number` makes ids unique.
    events: fn(&Value, &Conversation, &Turn, number: u64) -> Vec<Value>,
    error: fn(status: u16) -> Value,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let router = Router::new()
        .fallback(answer)
        .layer(DefaultBodyLimit::max(1 << 30))
        .with_state(Arc::new(Model::default()));
    axum::serve(listener, router).await?;
    Ok(())
}

async fn answer(State(model): State<Arc<Model>>, method: Method, uri: Uri, body: String) -> Response {
    let path = uri.path();
    if method == Method::GET && path == "/requests" {
        let requests = model.requests.lock().unwrap_or_else(PoisonError::into_inner);
        return Json(requests.iter().cloned().collect::<Vec<_>>()).into_response();
    }
    if method != Method::POST {
        // Codex asks for a WebSocket first, and goes on without one when it is told to.
        let status = if path.ends_with("/responses") { StatusCode::UPGRADE_REQUIRED } else { StatusCode::OK };
        return (status, Json(json!({}))).into_response();
    }
    let interface = match path.rsplit('/').next() {
        Some("responses") => responses::INTERFACE,
        Some("messages") => messages::INTERFACE,
        Some("count_tokens") => return Json(json!({ "input_tokens": 100 })).into_response(),
        Some(call) if call.ends_with(":streamGenerateContent") => generate::INTERFACE,
        _ => return (StatusCode::NOT_FOUND, format!("the stand-in has no {path}")).into_response(),
    };
    let Ok(request) = serde_json::from_str::<Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "this is not JSON").into_response();
    };
    model.remember(&request);
    let conversation = (interface.read)(&request);
    let turn = conversation.turn();
    match turn {
        Turn::Hang => std::future::pending().await,
        Turn::Status(status) => {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (code, Json((interface.error)(status))).into_response()
        }
        Turn::Call(_) | Turn::Say(_) => {
            let number = model.answers.fetch_add(1, Ordering::Relaxed);
            stream_of((interface.events)(&request, &conversation, &turn, number))
        }
    }
}

/// Events as the services send them: each with its type as name too, where it has one.
fn stream_of(events: Vec<Value>) -> Response {
    let pieces = events.into_iter().map(|event| {
        let name = event.get("type").and_then(Value::as_str);
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        Ok::<_, std::convert::Infallible>(script::garbled(&format!("{name}data: {event}\n\n")))
    });
    let body = Body::from_stream(stream::iter(pieces));
    ([(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

impl Model {
    fn remember(&self, request: &Value) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push_back(request.clone());
        if requests.len() > REMEMBERED {
            requests.pop_front();
        }
    }
}
