//! A socket in front of the engine's that counts requests.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use crate::Result;

/// Requests by method and path, ids left out.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The proxy; its threads end with the process.
pub(crate) struct Proxy {
    directory: TempDir,
    counts: Arc<Mutex<Counts>>,
}

impl Proxy {
    /// Listens.
    pub(crate) fn new(engine: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let counts = Arc::new(Mutex::new(Counts::new()));
        let listener = UnixListener::bind(directory.path().join("engine.sock"))?;
        let (engine, counter) = (engine.to_owned(), Arc::clone(&counts));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (engine, counter) = (engine.clone(), Arc::clone(&counter));
                // A connection that fails is the client's to complain about.
                std::thread::spawn(move || drop(serve(&client, &engine, &counter)));
            }
        });
        Ok(Self { directory, counts })
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    /// What was asked for so far; begins anew.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(client: &UnixStream, engine: &Path, counts: &Mutex<Counts>) -> std::io::Result<()> {
    let engine = UnixStream::connect(engine)?;
    let (mut replies, mut to_client) = (engine.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut replies, &mut to_client));
        drop(to_client.shutdown(Shutdown::Write));
    });
    let (mut from_client, mut to_engine) = (client, &engine);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from_client.read(&mut buffer)?;
        if length == 0 {
            return engine.shutdown(Shutdown::Write);
        }
        count(&buffer[..length], counts);
        to_engine.write_all(&buffer[..length])?;
    }
}

/// Clients send the head of a request in one piece, so request lines are whole.
fn count(sent: &[u8], counts: &Mutex<Counts>) {
    for line in String::from_utf8_lossy(sent).lines() {
        if let Some(request) = line.strip_suffix(" HTTP/1.1") {
            *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(shape(request)).or_default() += 1;
        }
    }
}

/// `GET /containers/<id>/json?x=y` as `GET containers/json`.
fn shape(request: &str) -> String {
    let (method, path) = request.split_once(' ').unwrap_or((request, ""));
    let path = path.split('?').next().unwrap_or_default();
    let is_word = |part: &&str| {
        !part.is_empty() && part.len() < 16 && part.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    format!("{method} {}", path.split('/').filter(is_word).collect::<Vec<_>>().join("/"))
}
