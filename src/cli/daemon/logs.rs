//! Output that clients ask for: whose it is decides who sends it.

use tokio::sync::mpsc;

use super::Kinds;
use crate::model::{LogQuery, OutputKind, OutputLine};

/// Sends what is asked for until all is sent or nobody takes it any more.
pub(super) async fn send(kinds: Kinds, query: LogQuery, lines: mpsc::Sender<OutputLine>) {
    if query.service.is_some() {
        kinds.services.logs(&query, &lines).await;
    } else if let Err(rejected) = kinds.runs.logs(query, lines.clone()).await {
        let text = crate::controller::HandleError::Rejected(rejected).to_string();
        let line = OutputLine { source: String::new(), run: None, time: None, kind: OutputKind::Error, text };
        let _unheard = lines.send(line).await;
    }
}
