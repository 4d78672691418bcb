//! A small HTTP client for the libpod API: one connection per request.
//!
//! # Guarantees
//!
//! * A request is written once, and never repeated by this module.
//! * Dropping a reply or the future that waits for it closes the connection, so the engine sees the hang-up.
//! * Every answer outside 2xx is a [`Failure::Api`] with the engine's own words; 304 is told apart by its status.
//! * Nothing here has a time limit: callers wrap calls in [`super::within`].

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::error::Failure;

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A socket file on this machine.
    Unix(PathBuf),
    /// `host:port`, without encryption.
    Tcp(String),
}

impl Endpoint {
    /// Parses `unix://path`, `tcp://host:port` and `http://host:port`.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let rest = rest.strip_suffix('/').filter(|_| scheme != "unix").unwrap_or(rest);
        match scheme {
            _ if rest.is_empty() => None,
            "unix" => Some(Self::Unix(PathBuf::from(rest))),
            "tcp" | "http" => Some(Self::Tcp(rest.to_owned())),
            _ => None,
        }
    }
}

/// The client. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    endpoint: Endpoint,
    /// `/v4.3.1/libpod`: the version podman-api speaks, so that both kinds of call see the same answers.
    prefix: String,
}

/// A reply whose body is still to come, and the connection it comes on.
pub(super) struct Reply {
    response: Response<Incoming>,
    connection: AbortOnDropHandle<()>,
}

/// A connection that was taken over for raw bytes in both directions.
pub(super) type Raw = TokioIo<hyper::upgrade::Upgraded>;

impl Client {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, prefix: format!("/v{}/libpod", podman_api::LATEST_API_VERSION) }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends a request and waits for the answer's head. `body` is sent as JSON.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, Failure> {
        let request = self.request(method, target, body)?;
        self.exchange(request).await?.checked().await
    }

    /// A call whose answer is a JSON document.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, Failure> {
        let bytes = self.send(method, target, body).await?.bytes().await?;
        serde_json::from_slice(&bytes).map_err(Failure::garbled)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, Failure> {
        self.json(Method::GET, target, None).await
    }

    /// A call whose answer has nothing to say; "not modified" is success: the wanted state was there already.
    pub(super) async fn done(&self, method: Method, target: &str) -> Result<Bytes, Failure> {
        match self.send(method, target, None).await {
            Ok(reply) => reply.bytes().await,
            Err(Failure::Api { status, .. }) if status == StatusCode::NOT_MODIFIED => Ok(Bytes::new()),
            Err(failure) => Err(failure),
        }
    }

    /// Sends a request that takes the connection over.
    pub(super) async fn hijack(&self, target: &str, body: Vec<u8>) -> Result<Raw, Failure> {
        let mut request = self.request(Method::POST, target, Some(body))?;
        let headers = request.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, header::HeaderValue::from_static("tcp"));
        let reply = self.exchange(request).await?;
        if reply.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            // Not an error status, yet no upgrade either: nothing can be made of it.
            let reply = reply.checked().await?;
            return Err(Failure::garbled(format!("no upgrade but {}", reply.response.status())));
        }
        let raw = hyper::upgrade::on(reply.response).await.map_err(Failure::broken)?;
        // The connection's task ends by itself once it has handed the socket over.
        drop(reply.connection.detach());
        Ok(TokioIo::new(raw))
    }

    /// A round trip outside the versioned API.
    pub(super) async fn ping(&self) -> Result<Response<()>, Failure> {
        let request = Request::get("/_ping")
            .header(header::HOST, "podman")
            .body(Full::default())
            .map_err(Failure::garbled)?;
        let reply = self.exchange(request).await?.checked().await?;
        let (parts, _body) = reply.response.into_parts();
        Ok(Response::from_parts(parts, ()))
    }

    fn request(
        &self,
        method: Method,
        target: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.prefix))
            .header(header::HOST, "podman");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(Failure::garbled)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        match &self.endpoint {
            Endpoint::Unix(path) => {
                exchange(UnixStream::connect(path).await.map_err(Failure::Connect)?, request).await
            }
            Endpoint::Tcp(host) => {
                exchange(TcpStream::connect(host).await.map_err(Failure::Connect)?, request).await
            }
        }
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Failure::broken)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        // What goes wrong on the connection is reported to whoever reads the reply.
        let _ended = connection.with_upgrades().await;
    }));
    let response = sender.send_request(request).await.map_err(Failure::broken)?;
    Ok(Reply { response, connection })
}

impl Reply {
    /// Turns an answer outside 2xx and 101 into the error it carries.
    async fn checked(self) -> Result<Self, Failure> {
        let status = self.response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(self);
        }
        let bytes = self.bytes().await.unwrap_or_default();
        Err(Failure::Api { status, message: message(status, &bytes) })
    }

    pub(super) async fn bytes(self) -> Result<Bytes, Failure> {
        let _connection = self.connection;
        Ok(self.response.into_body().collect().await.map_err(Failure::broken)?.to_bytes())
    }

    /// The next piece of the body, `None` at its end.
    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            match self.response.body_mut().frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(Failure::broken(error))),
            }
        }
    }
}

/// The engine's words in an error answer.
fn message(status: StatusCode, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        message: String,
        #[serde(default)]
        cause: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) if body.message.contains(&body.cause) => body.message,
        Ok(body) => format!("{}: {}", body.message, body.cause),
        Err(_) if body.is_empty() => status.to_string(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Builds the path and query of a request, with the values encoded.
pub(super) struct Target(String);

impl Target {
    /// A path: `segments` joined by slashes, each encoded.
    pub(super) fn new(segments: &[&str]) -> Self {
        let mut target = String::new();
        for segment in segments {
            target.push('/');
            encode(segment, &mut target);
        }
        Self(target)
    }

    pub(super) fn query(mut self, key: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(key);
        self.0.push('=');
        encode(value, &mut self.0);
        self
    }
}

impl std::ops::Deref for Target {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A name for a path of podman-api's: it encodes nothing itself, and panics on what is no URL.
pub(super) fn encoded(name: &str) -> String {
    let mut text = String::new();
    encode(name, &mut text);
    text
}

fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _infallible = write!(into, "%{byte:02X}");
        }
    }
}

/// Whether the socket file refuses us or is not there, for an error without a round trip.
pub(super) fn connect_error(error: &io::Error) -> crate::ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => crate::ErrorKind::Denied,
        _ => crate::ErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(Endpoint::parse("unix:///run/p.sock"), Some(Endpoint::Unix("/run/p.sock".into())));
        assert_eq!(Endpoint::parse("tcp://h:1/"), Some(Endpoint::Tcp("h:1".into())));
        assert_eq!(Endpoint::parse("ssh://h"), None);
        assert_eq!(Endpoint::parse("unix://"), None);
        assert_eq!(Endpoint::parse("/run/p.sock"), None);
    }

    #[test]
    fn targets_are_encoded() {
        let target =
            Target::new(&["images", "localhost/a b:1", "json"]).query("filters", "{\"a\":1}").query("x", "");
        assert_eq!(&*target, "/images/localhost%2Fa%20b%3A1/json?filters=%7B%22a%22%3A1%7D&x=");
    }

    #[test]
    fn messages() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(message(status, br#"{"cause":"b","message":"a: b","response":500}"#), "a: b");
        assert_eq!(message(status, br#"{"cause":"b","message":"a"}"#), "a: b");
        assert_eq!(message(status, b"Not Found"), "Not Found");
        assert_eq!(message(status, b""), "500 Internal Server Error");
    }
}
