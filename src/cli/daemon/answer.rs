//! Requests are answered: what only changes a wish at once, what takes a while in a task of its own.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Kinds, Reload, logs, watch};
use crate::controller::Envelope;
use crate::model::{Accepted, Rejected, Request};

/// Answers until `shutdown`; what comes later is told to ask the next controller.
pub(super) async fn answer(
    mut inbox: mpsc::Receiver<Envelope>,
    reload: Reload,
    kinds: Kinds,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    loop {
        let envelope = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            envelope = inbox.recv() => envelope,
        };
        let (request, reply) = match envelope {
            Some(Envelope::Request { request, reply }) => (request, reply),
            Some(Envelope::Logs { query, lines }) => {
                let sending = logs::send(kinds.clone(), query, lines);
                drop(tokio::spawn(shutdown.clone().run_until_cancelled_owned(sending)));
                continue;
            }
            None => break,
        };
        tracing::info!(?request, "request");
        if request == (Request::Shutdown {}) {
            shutdown.cancel();
            let _unheard = reply.send(Ok(Accepted::default()));
            continue;
        }
        // It is about the configuration as it is now: the watcher may not have told of a change yet.
        watch::apply(&reload, &kinds);
        match request {
            Request::ServiceStart { .. } | Request::ServiceStop { .. } | Request::ServiceRestart { .. } => {
                let _unheard = reply.send(kinds.services.request(&request));
            }
            request => {
                let kinds = kinds.clone();
                // It goes on when nobody listens any more: half of it would be worse.
                tasks.spawn(async move {
                    let answer = Box::pin(of_agents(&kinds, request)).await;
                    let _unheard = reply.send(answer);
                });
            }
        }
    }
    inbox.close();
    while let Some(envelope) = inbox.recv().await {
        if let Envelope::Request { reply, .. } = envelope {
            let _unheard = reply.send(Err(Rejected::ShuttingDown));
        }
    }
}

async fn of_agents(kinds: &Kinds, request: Request) -> Result<Accepted, Rejected> {
    // Runs end before their containers do, so that nothing of their work is lost.
    match &request {
        Request::AgentStop { names }
        | Request::AgentRestart { names }
        | Request::AgentRemove { names, force: true } => {
            kinds.runs.end_all(names).await?;
        }
        Request::Down { .. } => {
            // Otherwise they would be begun anew.
            kinds.tasks.halt().await;
            kinds.runs.end_all(&[]).await?;
        }
        _ => {}
    }
    match request {
        Request::Down { .. } => {
            // Nothing of agents may hold the network.
            kinds.agents.down()?;
            kinds.services.request(&request)
        }
        Request::RunStart { .. } | Request::RunStop { .. } | Request::AgentEnter { .. } => {
            kinds.runs.handle(request).await
        }
        Request::TaskAssign { .. }
        | Request::TaskRetry { .. }
        | Request::TaskApprove { .. }
        | Request::ProjectStart { .. }
        | Request::ProjectStop {}
        | Request::ProjectResume { .. } => kinds.tasks.handle(request).await,
        request => kinds.agents.handle(request).await,
    }
}
