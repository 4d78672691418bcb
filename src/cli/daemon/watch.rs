//! The configuration is read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Kinds, Reload, Wanted};

/// Editors write a file in several steps; what comes within this time is one change.
const SETTLE: Duration = Duration::from_millis(50);

/// Follows changes until `shutdown`. A configuration that is no good changes nothing, but is reported.
pub(super) async fn follow_config(
    files: Vec<PathBuf>,
    reload: Reload,
    kinds: Kinds,
    shutdown: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    // The directories are watched: editors replace files, and a file that is not there yet may come.
    let _watcher = match watcher(&files, Arc::clone(&changed)) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "changes of the configuration are not noticed until a restart");
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = changed.notified() => tokio::time::sleep(SETTLE).await,
        }
        apply(&reload, &kinds);
    }
}

/// Reads the configuration again and takes it, or reports why not.
pub(super) fn apply(reload: &Reload, kinds: &Kinds) {
    match reload() {
        Ok(Wanted { services, agents }) => {
            kinds.services.on_config(None);
            kinds.agents.configure(agents, services.clone());
            kinds.services.configure(services);
        }
        Err(error) => kinds.services.on_config(Some(&error)),
    }
}

fn watcher(files: &[PathBuf], changed: Arc<Notify>) -> notify::Result<impl Watcher + use<>> {
    let watched = files.to_vec();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let relevant = match event {
            Ok(event) => {
                !event.kind.is_access()
                    && event.paths.iter().any(|path| watched.iter().any(|file| file == path))
            }
            // The watcher lost track: look.
            Err(_) => true,
        };
        if relevant {
            changed.notify_one();
        }
    })?;
    let mut directories: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    directories.sort_unstable();
    directories.dedup();
    for directory in directories.into_iter().filter(|directory| directory.is_dir()) {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
