//! How sources say *look again*: without payload, folded, never blocking, in bounded memory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// What is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake<K> {
    /// Everything: observe, and go through all keys.
    All,
    /// One key.
    Key(K),
    /// One key, at once, even if its last pass failed: somebody asked.
    Urgent(K),
}

/// The sources' end. Cheap to clone.
#[derive(Debug)]
pub struct Waker<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    pending: Mutex<BTreeSet<Wake<K>>>,
    notify: Notify,
}

impl<K> Clone for Waker<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Ord> Default for Waker<K> {
    fn default() -> Self {
        Self { shared: Arc::new(Shared { pending: Mutex::new(BTreeSet::new()), notify: Notify::new() }) }
    }
}

impl<K: Ord> Waker<K> {
    /// Asks for another look.
    pub fn wake(&self, wake: Wake<K>) {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(wake);
        self.shared.notify.notify_one();
    }

    /// Waits until somebody asked, and takes all that was asked for. Nothing is lost if this is dropped while it waits.
    pub(super) async fn taken(&self) -> BTreeSet<Wake<K>> {
        loop {
            let taken =
                std::mem::take(&mut *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.shared.notify.notified().await;
        }
    }
}
