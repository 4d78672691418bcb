//! The controller's side of the socket: HTTP with JSON, for Tanuki's own clients and for `curl --unix-socket`.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/snapshot` | the newest [`Snapshot`](crate::model::Snapshot) |
//! | `GET /v1/watch` | the newest snapshot and every later one, one JSON document per line |
//! | `GET /v1/logs?service=postgres&follow=true` | [`OutputLine`](crate::model::OutputLine)s, one JSON document per line; the other keys are `agent` (more than once), `run`, `tail`, `since` (milliseconds since 1970) and `raw` |
//! | `POST /v1/<request>` | 200 with [`Accepted`](crate::model::Accepted), or 409 with [`Rejected`](crate::model::Rejected) |
//!
//! `<request>` is a variant of [`Request`](crate::model::Request) in kebab case with its fields as the body:
//! `POST /v1/service-start {"names":["postgres"]}`.

use std::convert::Infallible;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Map, Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{query, socket};
use crate::controller::{Handle, HandleError};
use crate::model::{Rejected, Request};

/// Lines of output that are written in one go.
const LINES_AT_ONCE: usize = 256;

/// Counts clients that are connected, so that a controller knows when nobody is.
#[derive(Debug, Clone)]
pub struct Clients {
    count: Arc<watch::Sender<usize>>,
}

impl Default for Clients {
    fn default() -> Self {
        Self { count: Arc::new(watch::Sender::new(0)) }
    }
}

impl Clients {
    /// The number of clients, and every later one.
    pub fn subscribe(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn enter(&self) -> Client {
        self.count.send_modify(|count| *count += 1);
        Client { clients: self.clone() }
    }
}

/// One client, as long as this lives.
#[derive(Debug)]
struct Client {
    clients: Clients,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.clients.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[derive(Debug, Clone)]
struct Shared {
    handle: Handle,
    clients: Clients,
}

/// The socket, bound: the file goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a bound socket, by path and inode: another controller may have put its own there since, after somebody
/// removed the directory with the lock.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            // Gone already is as good; a leftover is replaced by the next controller.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

impl Server {
    /// Binds the socket with mode 0600. The caller holds the project's lock, so a file that is there is a leftover.
    ///
    /// # Errors
    ///
    /// The directory is not private, or the socket cannot be bound.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        socket::prepare_directory(path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let inode = std::fs::symlink_metadata(path)?.ino();
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), inode } })
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub async fn serve(
        self,
        handle: Handle,
        clients: Clients,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let Self { listener, file } = self;
        let router = Router::new()
            .route("/v1/snapshot", get(snapshot))
            .route("/v1/watch", get(watch))
            .route("/v1/logs", get(logs))
            .route("/v1/{request}", post(request))
            .with_state(Shared { handle, clients });
        let serving = axum::serve(listener, router);
        // Streams of watchers never end by themselves: cut them off instead of waiting for them.
        let result = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            result = serving => result,
        };
        drop(file);
        result
    }
}

async fn snapshot(State(shared): State<Shared>) -> Response {
    let snapshot = Arc::clone(&shared.handle.snapshots().borrow());
    Json(snapshot.as_ref()).into_response()
}

async fn watch(State(shared): State<Shared>) -> Response {
    let mut snapshots = shared.handle.snapshots();
    snapshots.mark_changed();
    let client = shared.clients.enter();
    let lines = stream::unfold((snapshots, client), |(mut snapshots, client)| async move {
        snapshots.changed().await.ok()?;
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        // Plain data with string keys always serialises.
        let mut line = serde_json::to_vec(snapshot.as_ref()).ok()?;
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), (snapshots, client)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

async fn logs(State(shared): State<Shared>, RawQuery(text): RawQuery) -> Response {
    let query = match query::read(text.as_deref().unwrap_or_default()) {
        Ok(query) => query,
        Err(message) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response(),
    };
    let client = shared.clients.enter();
    let lines = shared.handle.logs(query);
    // Many lines at once where many are there: a write for each would be most of the work.
    let chunks = stream::unfold((lines, client), |(mut lines, client)| async move {
        let mut taken = Vec::new();
        if lines.recv_many(&mut taken, LINES_AT_ONCE).await == 0 {
            return None;
        }
        let mut chunk = Vec::new();
        for line in taken {
            serde_json::to_writer(&mut chunk, &line).ok()?;
            chunk.push(b'\n');
        }
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (lines, client)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(chunks)).into_response()
}

async fn request(State(shared): State<Shared>, UrlPath(name): UrlPath<String>, body: Bytes) -> Response {
    let _client = shared.clients.enter();
    let request = match parse(name, &body) {
        Ok(request) => request,
        Err(message) => return (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response(),
    };
    match shared.handle.request(request).await {
        Ok(accepted) => Json(accepted).into_response(),
        Err(HandleError::Rejected(rejected)) => (StatusCode::CONFLICT, Json(rejected)).into_response(),
        Err(HandleError::Gone) => (StatusCode::CONFLICT, Json(Rejected::ShuttingDown)).into_response(),
    }
}

fn parse(name: String, body: &[u8]) -> Result<Request, String> {
    let fields = if body.is_empty() {
        Value::Object(Map::new())
    } else {
        serde_json::from_slice(body).map_err(|error| error.to_string())?
    };
    let tagged: Map<String, Value> = [(name, fields)].into_iter().collect();
    serde_json::from_value(Value::Object(tagged)).map_err(|error| error.to_string())
}
