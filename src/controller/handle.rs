//! How the rest of the program speaks to a controller, in this process or another.

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{Accepted, LogQuery, OutputLine, Rejected, Request, Snapshot};

/// Requests that may wait to be taken before senders wait too.
const QUEUE: usize = 64;

/// Lines of output that may wait to be taken before who sends them waits too.
const LINES: usize = 1024;

/// What is asked of a controller, with where the answer goes. Nobody may be listening any more.
#[derive(Debug)]
pub enum Envelope {
    /// Do something.
    Request {
        /// What is asked.
        request: Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Accepted, Rejected>>,
    },
    /// Send output.
    Logs {
        /// Whose, and which part.
        query: LogQuery,
        /// Where its lines go; dropped when all are sent.
        lines: mpsc::Sender<OutputLine>,
    },
}

/// Why a request got no good answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandleError {
    /// The controller refused it.
    #[error("{}", rejection(.0))]
    Rejected(Rejected),
    /// The controller is gone.
    #[error("the controller is gone")]
    Gone,
}

fn rejection(rejected: &Rejected) -> String {
    match rejected {
        Rejected::UnknownService { name, .. } => format!("no service is named '{name}'"),
        Rejected::UnknownAgent { name, .. } => format!("no agent is named '{name}'"),
        Rejected::UnknownTask { id, .. } => format!("no task has the id '{id}'"),
        Rejected::NotPossible { message }
        | Rejected::VerifyFailed { message }
        | Rejected::Failed { message }
        | Rejected::Invalid { message, .. }
        | Rejected::Conflicts { message, .. } => message.clone(),
        Rejected::ShuttingDown => "the controller is shutting down".to_owned(),
    }
}

/// A client's end: bounded requests with a reply, and the newest snapshot.
///
/// The same type whether the controller runs in this process or behind its socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Envelope>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Handle {
    /// A handle, and the end that takes its requests.
    pub fn new(snapshots: watch::Receiver<Arc<Snapshot>>) -> (Self, mpsc::Receiver<Envelope>) {
        let (requests, inbox) = mpsc::channel(QUEUE);
        (Self { requests, snapshots }, inbox)
    }

    /// Asks for something and waits until it is taken down (not until it is so: watch the snapshots for that).
    ///
    /// # Errors
    ///
    /// [`HandleError::Rejected`] when the controller refuses, [`HandleError::Gone`] when it does not answer.
    pub async fn request(&self, request: Request) -> Result<Accepted, HandleError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Envelope::Request { request, reply }).await.map_err(|_gone| HandleError::Gone)?;
        answer.await.map_err(|_gone| HandleError::Gone)?.map_err(HandleError::Rejected)
    }

    /// Output of agents or a service, as it is asked for. Ends when all is sent, or with the controller; dropping the
    /// receiver ends the sending. What is not taken makes the sender wait.
    pub fn logs(&self, query: LogQuery) -> mpsc::Receiver<OutputLine> {
        let (lines, receiver) = mpsc::channel(LINES);
        let requests = self.requests.clone();
        // Where the controller is gone, the lines end at once.
        drop(tokio::spawn(async move { requests.send(Envelope::Logs { query, lines }).await }));
        receiver
    }

    /// The newest snapshot, and every later one. Clone what is needed out at once; never hold a borrow over an await.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }
}
