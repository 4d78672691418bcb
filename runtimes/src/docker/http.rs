//! Requests that `bollard` cannot make: hijacked connections, streams whose headers are awaited, raw bodies.
//!
//! One connection per request over the engine's socket, HTTP/1.1, paths without a version prefix (an engine then
//! answers in its own version, whatever that is).

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::errors::Failure;

/// Longest answer or record held in memory.
const MAX_BODY: usize = 8 << 20;

/// Where the engine listens.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`, plain HTTP.
    Tcp(String),
}

impl Target {
    /// From `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if let Some(path) = url.strip_prefix("unix://") {
            return path.starts_with('/').then(|| Self::Unix(PathBuf::from(path)));
        }
        let rest = url.strip_prefix("tcp://").or_else(|| url.strip_prefix("http://"))?;
        let address = rest.trim_end_matches('/');
        (!address.is_empty() && !address.contains('/')).then(|| Self::Tcp(address.to_owned()))
    }

    async fn open(&self) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address.as_str()).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }
}

/// Both directions of a connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// One request. `headers` bounds the time until the answer's headers, not the body.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, String)],
    pub(super) body: Option<Value>,
    pub(super) hijack: bool,
    pub(super) headers: Option<Duration>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, String)], headers: Option<Duration>) -> Self {
        Self { method: Method::GET, path, query, body: None, hijack: false, headers }
    }

    pub(super) fn post(path: &'a str, query: &'a [(&'a str, String)], body: Option<Value>) -> Self {
        Self { method: Method::POST, path, query, body, hijack: false, headers: None }
    }
}

/// Sends the request and returns the answer once its headers are there; a refusal is a [`Failure`] with its text.
pub(super) async fn send(target: &Target, call: Call<'_>) -> Result<Response<Incoming>, Failure> {
    let limit = call.headers;
    let sent = send_unbounded(target, call);
    match limit {
        Some(limit) => tokio::time::timeout(limit, sent).await.map_err(|_elapsed| Failure::timeout(limit))?,
        None => sent.await,
    }
}

async fn send_unbounded(target: &Target, call: Call<'_>) -> Result<Response<Incoming>, Failure> {
    let io = target.open().await.map_err(|error| Failure::io(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io))
        .await
        .map_err(|error| Failure::http(&error))?;
    // Ends by itself once the answer's body is read or dropped, or the connection was taken over.
    tokio::spawn(connection.with_upgrades());

    let mut uri = call.path.to_owned();
    for (index, (key, value)) in call.query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(key);
        uri.push('=');
        uri.push_str(&encode(value));
    }
    let mut request = Request::builder().method(call.method).uri(uri).header("Host", "localhost");
    if call.hijack {
        request = request.header("Connection", "Upgrade").header("Upgrade", "tcp");
    }
    let body = match call.body {
        Some(json) => {
            request = request.header("Content-Type", "application/json");
            Bytes::from(json.to_string())
        }
        None => Bytes::new(),
    };
    let request = request.body(Full::new(body)).map_err(|error| Failure::other(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| Failure::http(&error))?;
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let text = read(response.into_body()).await.unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&text)
        .ok()
        .and_then(|json| json.get("message").and_then(Value::as_str).map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
    Err(Failure::answer(status.as_u16(), message))
}

/// Reads a whole body.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|error| Failure::http(&error))?.into_data() {
            bytes.extend_from_slice(&data);
            if bytes.len() > MAX_BODY {
                return Err(Failure::other("the answer is too long".to_owned()));
            }
        }
    }
    Ok(bytes)
}

/// The body's bytes as they come.
pub(super) fn chunks(response: Response<Incoming>) -> BoxStream<'static, Result<Bytes, Failure>> {
    response.into_body().into_data_stream().map(|chunk| chunk.map_err(|error| Failure::http(&error))).boxed()
}

/// The body as one JSON document per line, however it was cut into chunks.
pub(super) fn documents(response: Response<Incoming>) -> BoxStream<'static, Result<Value, Failure>> {
    struct Reader {
        chunks: BoxStream<'static, Result<Bytes, Failure>>,
        held: Vec<u8>,
        done: bool,
    }
    let reader = Reader { chunks: chunks(response), held: Vec::new(), done: false };
    stream::unfold(reader, |mut reader| async move {
        loop {
            let line = match reader.held.iter().position(|byte| *byte == b'\n') {
                Some(end) => reader.held.drain(..=end).collect::<Vec<_>>(),
                None if reader.done => std::mem::take(&mut reader.held),
                None => match reader.chunks.next().await {
                    Some(Ok(chunk)) => {
                        reader.held.extend_from_slice(&chunk);
                        if reader.held.len() > MAX_BODY {
                            reader.done = true;
                            reader.held.clear();
                            return Some((Err(Failure::other("a record is too long".to_owned())), reader));
                        }
                        continue;
                    }
                    Some(Err(failure)) => {
                        reader.done = true;
                        reader.held.clear();
                        return Some((Err(failure), reader));
                    }
                    None => {
                        reader.done = true;
                        continue;
                    }
                },
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                if reader.done && reader.held.is_empty() {
                    return None;
                }
                continue;
            }
            let document = serde_json::from_slice(&line)
                .map_err(|error| Failure::other(format!("unreadable record: {error}")));
            return Some((document, reader));
        }
    })
    .boxed()
}

/// Takes the connection over after a 101 (or, from very old engines, a 200).
pub(super) async fn hijack(response: Response<Incoming>) -> Result<impl Io, Failure> {
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| Failure::http(&error))?;
    Ok(TokioIo::new(upgraded))
}

/// Percent-encodes a query value.
fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encode(r#"{"a":["b c"]}"#), "%7B%22a%22%3A%5B%22b%20c%22%5D%7D");
    }

    #[test]
    fn targets() {
        assert!(
            matches!(Target::parse("unix:///run/x.sock"), Some(Target::Unix(path)) if path.ends_with("x.sock"))
        );
        assert!(
            matches!(Target::parse("tcp://127.0.0.1:2375/"), Some(Target::Tcp(host)) if host == "127.0.0.1:2375")
        );
        assert!(Target::parse("ssh://host").is_none());
        assert!(Target::parse("/run/x.sock").is_none());
    }
}
