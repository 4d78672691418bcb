//! One immutable snapshot on a watch channel; the only way state leaves a controller.

use std::sync::Arc;

use tokio::sync::watch;

/// Publishes snapshots. Cheap to clone; changes are applied one after another.
#[derive(Debug, Clone)]
pub struct Publisher<S> {
    sender: Arc<watch::Sender<Arc<S>>>,
}

impl<S: Clone + PartialEq + Send + Sync> Publisher<S> {
    /// Publishes `initial`.
    pub fn new(initial: S) -> Self {
        Self { sender: Arc::new(watch::Sender::new(Arc::new(initial))) }
    }

    /// Publishes a changed copy; receivers hear nothing when `change` changed nothing.
    pub fn update(&self, change: impl FnOnce(&mut S)) {
        self.sender.send_if_modified(|current| {
            let mut next = S::clone(current);
            change(&mut next);
            let changed = next != **current;
            if changed {
                *current = Arc::new(next);
            }
            changed
        });
    }

    /// The newest snapshot.
    pub fn current(&self) -> Arc<S> {
        Arc::clone(&self.sender.borrow())
    }

    /// The newest snapshot and all later ones.
    pub fn subscribe(&self) -> watch::Receiver<Arc<S>> {
        self.sender.subscribe()
    }
}
