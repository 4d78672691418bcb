//! Output that clients ask for: whose it is decides who sends it.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::model::{LogQuery, OutputLine};
use crate::services::Services;

/// Sends what is asked for until all is sent or nobody takes it any more.
pub(super) async fn send(services: Arc<Services>, query: LogQuery, lines: mpsc::Sender<OutputLine>) {
    if query.service.is_some() {
        services.logs(&query, &lines).await;
    }
}
