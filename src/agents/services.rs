//! What services there are decides what agents are told: followed beside the loop, which need not know.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Agents;

/// Follows services until `shutdown`, and makes the environment of agents anew when they change.
pub async fn follow_services(agents: Arc<Agents>, shutdown: CancellationToken) {
    let mut snapshots = agents.deps.publisher.subscribe();
    let work = async {
        loop {
            snapshots.mark_unchanged();
            agents.look_at_services();
            if snapshots.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}
