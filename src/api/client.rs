//! The clients' side of the socket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::query;
use crate::controller::{Envelope, Handle};
use crate::model::{Accepted, LogQuery, OutputLine, Rejected, Request, Snapshot};

/// A controller answers from memory; one that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a controller could not be spoken to.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing listens.
    #[error("no controller is running")]
    NotRunning,
    /// The socket failed.
    #[error("cannot reach the controller at {path}: {source}")]
    Io {
        /// The socket.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What came back is no answer.
    #[error("the controller at {path} does not speak this version's language: {detail}")]
    Protocol {
        /// The socket.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// It accepted the connection and says nothing.
    #[error("the controller at {path} does not answer")]
    Silent {
        /// The socket.
        path: String,
    },
}

/// Speaks to the controller behind one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of this socket; nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The newest snapshot.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] when no controller runs.
    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        let answer = self.within(self.send(Method::GET, "/v1/snapshot", Vec::new())).await?;
        let body = self.within(self.collect(answer)).await?;
        serde_json::from_slice(&body).map_err(|error| self.protocol(&error))
    }

    /// Sends a request on its own connection.
    ///
    /// # Errors
    ///
    /// The controller cannot be spoken to. A refusal is an `Ok(Err(_))`.
    pub async fn request(&self, request: &Request) -> Result<Result<Accepted, Rejected>, ClientError> {
        let (name, fields) = split(request).map_err(|error| self.protocol(&error))?;
        let path = format!("/v1/{name}");
        let sending = self.send(Method::POST, &path, fields);
        let answer = if is_answered_at_once(request) { self.within(sending).await? } else { sending.await? };
        let status = answer.status();
        let body = self.within(self.collect(answer)).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map(Ok).map_err(|error| self.protocol(&error)),
            StatusCode::CONFLICT => {
                serde_json::from_slice(&body).map(Err).map_err(|error| self.protocol(&error))
            }
            _ => Err(self.protocol(&String::from_utf8_lossy(&body))),
        }
    }

    /// Connects for good: a handle whose snapshots follow the controller's, until it goes.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotRunning`] when no controller runs.
    pub async fn connect(&self) -> Result<Handle, ClientError> {
        let mut answer = self.within(self.send(Method::GET, "/v1/watch", Vec::new())).await?;
        let mut lines = Lines::default();
        let first = loop {
            if let Some(line) = lines.next() {
                break line;
            }
            match self.within(async { Ok(answer.frame().await) }).await? {
                Some(Ok(frame)) => lines.push(frame.data_ref().map_or(&[][..], |data| data.as_ref())),
                Some(Err(error)) => return Err(self.protocol(&error)),
                None => return Err(ClientError::NotRunning),
            }
        };
        let snapshot: Snapshot = serde_json::from_slice(&first).map_err(|error| self.protocol(&error))?;
        let (sender, snapshots) = watch::channel(Arc::new(snapshot));
        let (handle, inbox) = Handle::new(snapshots);
        // Both end with the handle: the reader when nobody receives, the forwarder when nobody sends.
        drop(tokio::spawn(follow(answer, lines, sender)));
        drop(tokio::spawn(forward(self.clone(), inbox)));
        Ok(handle)
    }

    /// Passes on lines of output, as fast as they are taken, until they end or nobody takes them.
    async fn logs(&self, query: &LogQuery, sender: &mpsc::Sender<OutputLine>) {
        let path = format!("/v1/logs?{}", query::write(query));
        let Ok(mut answer) = self.within(self.send(Method::GET, &path, Vec::new())).await else { return };
        let mut lines = Lines::default();
        loop {
            while let Some(line) = lines.next() {
                // A line this version cannot read is of a newer controller.
                let Ok(line) = serde_json::from_slice(&line) else { return };
                if sender.send(line).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                biased;
                () = sender.closed() => return,
                frame = answer.frame() => match frame {
                    Some(Ok(frame)) => lines.push(frame.data_ref().map_or(&[][..], |data| data.as_ref())),
                    Some(Err(_)) | None => return,
                },
            }
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        timeout(PATIENCE, work)
            .await
            .unwrap_or_else(|_elapsed| Err(ClientError::Silent { path: self.socket.display().to_string() }))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
            _ => ClientError::Io { path: self.socket.display().to_string(), source },
        })?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.protocol(&error))?;
        // Ends with the connection; its error also reaches the body's reader.
        drop(tokio::spawn(connection));
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(hyper::header::HOST, "tanuki")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| self.protocol(&error))?;
        // A controller that goes away between accept and answer is one that is not running.
        sender.send_request(request).await.map_err(|_gone| ClientError::NotRunning)
    }

    async fn collect(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        Ok(answer.into_body().collect().await.map_err(|error| self.protocol(&error))?.to_bytes())
    }

    fn protocol(&self, detail: &impl ToString) -> ClientError {
        ClientError::Protocol { path: self.socket.display().to_string(), detail: detail.to_string() }
    }
}

/// Whether a controller answers before what is asked for is done.
fn is_answered_at_once(request: &Request) -> bool {
    matches!(
        request,
        Request::ServiceStart { .. }
            | Request::ServiceStop { .. }
            | Request::ServiceRestart { .. }
            | Request::Down { .. }
            | Request::Shutdown {}
    )
}

/// A request as the URL's last part and the body.
fn split(request: &Request) -> Result<(String, Vec<u8>), serde_json::Error> {
    let mut name = String::new();
    let mut fields = Vec::new();
    if let Value::Object(tagged) = serde_json::to_value(request)?
        && let Some((tag, value)) = tagged.into_iter().next()
    {
        fields = serde_json::to_vec(&value)?;
        name = tag;
    }
    Ok((name, fields))
}

async fn follow(mut answer: Response<Incoming>, mut lines: Lines, sender: watch::Sender<Arc<Snapshot>>) {
    loop {
        while let Some(line) = lines.next() {
            // A line this version cannot read is of a newer controller: the end of what can be told.
            let Ok(snapshot) = serde_json::from_slice(&line) else { return };
            if sender.send(Arc::new(snapshot)).is_err() {
                return;
            }
        }
        tokio::select! {
            biased;
            () = sender.closed() => return,
            frame = answer.frame() => match frame {
                Some(Ok(frame)) => lines.push(frame.data_ref().map_or(&[][..], |data| data.as_ref())),
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// Passes on what is asked, each on its own connection: an answer may take long.
async fn forward(client: Client, mut inbox: mpsc::Receiver<Envelope>) {
    while let Some(envelope) = inbox.recv().await {
        let client = client.clone();
        drop(tokio::spawn(async move {
            match envelope {
                Envelope::Request { request, reply } => {
                    let answer = match client.request(&request).await {
                        Ok(answer) => answer,
                        Err(error) => Err(Rejected::Failed { message: error.to_string() }),
                    };
                    // Nobody may be waiting any more.
                    let _unheard = reply.send(answer);
                }
                Envelope::Logs { query, lines } => client.logs(&query, &lines).await,
            }
        }));
    }
}

/// Cuts a byte stream into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins: what is before it was handed out.
    start: usize,
    /// There is no end of a line between its beginning and here.
    scanned: usize,
}

impl Lines {
    fn push(&mut self, data: &[u8]) {
        // Once for all lines of a piece: moving the rest for each line would be most of the work.
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(data);
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + end + 1;
        let line = self.buffer[self.start..end].to_vec();
        (self.start, self.scanned) = (end, end);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        let mut lines = Lines::default();
        lines.push(b"a");
        assert_eq!(lines.next(), None);
        lines.push(b"b\nc\nd");
        assert_eq!(lines.next().as_deref(), Some(&b"ab\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"c\n"[..]));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_request_is_its_name_and_its_fields() {
        let (name, fields) = split(&Request::ServiceStart { names: vec!["pg".into()] }).unwrap();
        assert_eq!((name.as_str(), fields.as_slice()), ("service-start", &br#"{"names":["pg"]}"#[..]));
    }
}
