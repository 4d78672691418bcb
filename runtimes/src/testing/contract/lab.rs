//! What a check works with: an engine, unique names, and a memory of what it made.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::{sleep, timeout};

use super::{Broken, ContractImages, Outcome};
use crate::{
    Container, ContainerRuntime, ContainerSpec, ContainerState, ExecOutput, ExecSpec, Labels, ListFilter,
    LogLine, LogOptions, NetworkSpec, VolumeSpec,
};

/// How long something may take that should happen at once.
pub(super) const SOON: Duration = Duration::from_secs(15);

pub(super) struct Lab {
    pub(super) runtime: Arc<dyn ContainerRuntime>,
    pub(super) images: ContractImages,
    id: String,
    count: AtomicU64,
    made: Mutex<Vec<Made>>,
}

enum Made {
    Container(String),
    Network(String),
    Volume(String),
}

impl Lab {
    pub(super) fn new(runtime: Arc<dyn ContainerRuntime>, images: ContractImages) -> Self {
        let id = format!("tnk{:08x}", fastrand::u32(..));
        Self { runtime, images, id, count: AtomicU64::new(0), made: Mutex::default() }
    }

    /// The labels of everything this check makes.
    pub(super) fn labels(&self) -> Labels {
        self.labels_of(&self.id)
    }

    /// The labels of another project.
    pub(super) fn foreign_labels(&self) -> Labels {
        self.labels_of(&format!("{}-other", self.id))
    }

    fn labels_of(&self, project: &str) -> Labels {
        [(Labels::MANAGED, "true"), (Labels::PROJECT, project), ("contract", &self.id)].into_iter().collect()
    }

    fn name(&self) -> String {
        format!("{}-{}", self.id, self.count.fetch_add(1, Ordering::Relaxed))
    }

    fn note(&self, made: Made) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }

    /// A container that idles.
    pub(super) fn spec(&self) -> ContainerSpec {
        self.spec_running(&["sleep", "infinity"])
    }

    /// A container that runs a command.
    pub(super) fn spec_running(&self, command: &[&str]) -> ContainerSpec {
        let name = self.name();
        self.note(Made::Container(name.clone()));
        ContainerSpec {
            name,
            image: self.images.plain.clone(),
            command: Some(words(command)),
            labels: self.labels(),
            ..ContainerSpec::default()
        }
    }

    pub(super) fn network(&self) -> NetworkSpec {
        let name = self.name();
        self.note(Made::Network(name.clone()));
        NetworkSpec { name, labels: self.labels() }
    }

    pub(super) fn volume(&self) -> VolumeSpec {
        let name = self.name();
        self.note(Made::Volume(name.clone()));
        VolumeSpec { name, labels: self.labels() }
    }

    /// Creates and starts; the id.
    pub(super) async fn start(&self, spec: &ContainerSpec) -> Result<String, Broken> {
        let id = self.runtime.create(spec).await?;
        self.runtime.start(&id).await?;
        Ok(id)
    }

    /// An idling container; its id.
    pub(super) async fn idle(&self) -> Result<String, Broken> {
        self.start(&self.spec()).await
    }

    /// Waits until a container has ended; as it is then.
    pub(super) async fn ended(&self, id: &str) -> Result<Container, Broken> {
        self.until("the container ends", async || {
            let found = self.runtime.inspect(id).await?;
            Ok((found.state == ContainerState::Exited).then_some(found))
        })
        .await
    }

    /// Asks again until there is an answer.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        ask: impl AsyncFn() -> Result<Option<T>, Broken>,
    ) -> Result<T, Broken> {
        let asked = timeout(SOON, async {
            loop {
                if let Some(answer) = ask().await? {
                    return Ok(answer);
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        asked.await.map_err(|_elapsed| Broken(format!("{what}: not in {} s", SOON.as_secs())))?
    }

    /// The check's own container of this id, as a list tells it.
    pub(super) async fn listed(&self, id: &str) -> Result<Option<Container>, Broken> {
        let filter = ListFilter { labels: self.labels(), networks_and_volumes: false };
        Ok(self.runtime.list(&filter).await?.containers.into_iter().find(|container| container.id == id))
    }

    /// Runs a command that is bound to end.
    pub(super) async fn exec(&self, id: &str, command: &[&str]) -> Result<ExecOutput, Broken> {
        let spec = ExecSpec { command: words(command), timeout: Some(SOON), ..ExecSpec::default() };
        Ok(self.runtime.exec(id, &spec).await?)
    }

    /// Runs a shell script that must succeed; its output without the white space around it.
    pub(super) async fn shell(&self, id: &str, script: &str) -> Result<String, Broken> {
        let output = self.exec(id, &["sh", "-c", script]).await?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.exit_code != 0 {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Broken(format!("`{script}` ended with {}: {text} {errors}", output.exit_code)));
        }
        Ok(text)
    }

    /// All lines of a log that ends.
    pub(super) async fn log(&self, id: &str, options: &LogOptions) -> Result<Vec<LogLine>, Broken> {
        let lines = self.runtime.logs(id, options).await?;
        let lines = collect(lines, SOON).await?;
        lines.into_iter().collect::<Result<_, _>>().map_err(Into::into)
    }

    /// A port of this host that was free a moment ago, outside of what the system gives out by itself.
    pub(super) fn free_port(&self) -> Result<u16, Broken> {
        for _attempt in 0..100 {
            let port = fastrand::u16(18_000..32_000);
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        Err(Broken("no free port".to_owned()))
    }

    /// Removes what was made: containers first, since they use the rest.
    pub(super) async fn clean_up(&self) -> Outcome {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut outcome = Ok(());
        let mut keep = |result: crate::Result<()>| {
            if let Err(error) = result
                && outcome.is_ok()
            {
                outcome = Err(Broken(format!("cleaning up: {error}")));
            }
        };
        for made in &made {
            if let Made::Container(name) = made {
                keep(self.runtime.remove(name).await);
            }
        }
        for made in &made {
            match made {
                Made::Container(_) => {}
                Made::Network(name) => keep(self.runtime.remove_network(name).await),
                Made::Volume(name) => keep(self.runtime.remove_volume(name).await),
            }
        }
        outcome
    }
}

/// A stream that must end within `limit`.
pub(super) async fn collect<T>(stream: impl Stream<Item = T>, limit: Duration) -> Result<Vec<T>, Broken> {
    let collected = timeout(limit, stream.collect::<Vec<_>>());
    collected.await.map_err(|_elapsed| Broken(format!("the stream did not end in {} s", limit.as_secs())))
}

/// The next item of a stream that must have one soon.
pub(super) async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> Result<T, Broken> {
    let item = timeout(SOON, stream.next()).await;
    item.map_err(|_elapsed| Broken(format!("nothing came in {} s", SOON.as_secs())))?
        .ok_or_else(|| Broken("the stream ended".to_owned()))
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Lines as text.
pub(super) fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
}
