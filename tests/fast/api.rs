//! The controller's socket, both ends in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tanuki::api::{Client, Clients, Server};
use tanuki::controller::{Envelope, Handle};
use tanuki::model::{
    Accepted, ControllerInfo, EngineSummary, LogQuery, OutputKind, OutputLine, ProjectId, ProjectStatus,
    Request, Snapshot, Time,
};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn snapshot() -> Snapshot {
    Snapshot {
        project: ProjectId("0123456789ab".into()),
        path: "/p".into(),
        controller: ControllerInfo { version: "1".into(), pid: 1, started_at: Time(0) },
        engine: EngineSummary {
            kind: "docker".into(),
            version: String::new(),
            endpoint: String::new(),
            rootless: false,
        },
        services: BTreeMap::new(),
        agents: BTreeMap::new(),
        tasks: BTreeMap::new(),
        work: ProjectStatus::default(),
        conditions: Vec::new(),
        events: Vec::new(),
        observed_at: None,
    }
}

/// A served socket and what is asked over it.
struct Scene {
    _dir: tempfile::TempDir,
    _snapshots: watch::Sender<Arc<Snapshot>>,
    inbox: mpsc::Receiver<Envelope>,
    clients: Clients,
    handle: Handle,
}

async fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("private").join("s.sock");
    let server = Server::bind(&socket).unwrap();
    let (snapshots, receiver) = watch::channel(Arc::new(snapshot()));
    let (served, inbox) = Handle::new(receiver);
    let clients = Clients::default();
    drop(tokio::spawn(server.serve(served, clients.clone(), CancellationToken::new())));
    let handle = Client::new(&socket).connect().await.unwrap();
    Scene { _dir: dir, _snapshots: snapshots, inbox, clients, handle }
}

fn line(number: usize) -> OutputLine {
    let text = format!("line {number}");
    OutputLine { source: "api".into(), run: Some("api-1".into()), time: None, kind: OutputKind::Text, text }
}

#[tokio::test]
async fn output_comes_over_the_socket_in_order_and_to_its_end() {
    let mut scene = scene().await;
    let query = LogQuery { agents: vec!["api".into()], tail: Some(5), ..LogQuery::default() };
    let mut lines = scene.handle.logs(query.clone());
    let Some(Envelope::Logs { query: asked, lines: sender }) = scene.inbox.recv().await else { panic!() };
    assert_eq!(asked, query);
    drop(tokio::spawn(async move {
        for number in 0..5000 {
            sender.send(line(number)).await.unwrap();
        }
    }));
    for number in 0..5000 {
        assert_eq!(lines.recv().await, Some(line(number)));
    }
    assert_eq!(lines.recv().await, None);
}

#[tokio::test]
async fn who_does_not_read_makes_the_sender_wait_and_who_goes_away_ends_it() {
    let mut scene = scene().await;
    let lines = scene.handle.logs(LogQuery { follow: true, ..LogQuery::default() });
    let Some(Envelope::Logs { lines: sender, .. }) = scene.inbox.recv().await else { panic!() };
    let long = OutputLine { text: "x".repeat(10_000), ..line(0) };
    let mut sent = 0;
    while timeout(Duration::from_millis(300), sender.send(long.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 20_000, "nothing holds the sender back");
    }
    drop(lines);
    timeout(Duration::from_secs(5), sender.closed()).await.unwrap();
    // The watcher is still connected; the reader is not.
    let mut clients = scene.clients.subscribe();
    timeout(Duration::from_secs(5), clients.wait_for(|count| *count == 1)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_is_waited_for_and_others_are_not_held_up() {
    let mut scene = scene().await;
    let handle = scene.handle.clone();
    let slow = tokio::spawn(async move { handle.request(Request::AgentStop { names: Vec::new() }).await });
    let Some(Envelope::Request { reply, .. }) = scene.inbox.recv().await else { panic!() };
    let handle = scene.handle.clone();
    let quick = tokio::spawn(async move { handle.request(Request::ProjectStop {}).await });
    let Some(Envelope::Request { reply: other, .. }) = scene.inbox.recv().await else { panic!() };
    other.send(Ok(Accepted::default())).unwrap();
    quick.await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    reply.send(Ok(Accepted { text: "done".into(), ..Accepted::default() })).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().text, "done");
}
