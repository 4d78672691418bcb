//! Mounts, ports and names.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::lab::Lab;
use super::{Broken, Outcome, fails, holds};
use crate::{ErrorKind, ListFilter, Mount, MountSource, NetworkAttachment, PortBinding};

fn mount(target: &str, source: MountSource) -> Mount {
    Mount { target: target.to_owned(), source, read_only: false }
}

/// A directory of the host that every user may read, removed when dropped.
struct HostDirectory(PathBuf);

impl HostDirectory {
    fn new() -> Result<Self, Broken> {
        let path = std::env::temp_dir().join(format!("tnk-contract-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&path).map_err(|error| Broken(format!("{}: {error}", path.display())))?;
        Ok(Self(path))
    }

    fn source(&self) -> MountSource {
        MountSource::Bind { path: self.0.clone(), relabel_shared: Some(false) }
    }
}

impl Drop for HostDirectory {
    fn drop(&mut self) {
        // Left-overs in the temporary directory do no harm.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn a_tmpfs_is_empty_and_bounded(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.mounts = vec![mount("/scratch", MountSource::Tmpfs(Some(4 << 20)))];
    let id = lab.start(&spec).await?;
    let found = lab.shell(&id, "stat -f -c '%T' /scratch; ls -A /scratch | wc -l").await?;
    holds!(found == "tmpfs\n0", "{found}");
    lab.shell(&id, "head -c 1000000 /dev/zero > /scratch/small").await?;
    let output = lab.exec(&id, &["sh", "-c", "head -c 8000000 /dev/zero > /scratch/large"]).await?;
    holds!(output.exit_code != 0, "8 MB fit into 4 MiB");
    Ok(())
}

pub(super) async fn shared_memory_has_its_size(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.shm_size = Some(128 << 20);
    let id = lab.start(&spec).await?;
    let found = lab.shell(&id, "echo $(($(stat -f -c '%b * %S' /dev/shm)))").await?;
    holds!(found == (128 << 20).to_string(), "{found}");
    Ok(())
}

pub(super) async fn volume_data_outlives_the_container(lab: &Lab) -> Outcome {
    let volume = lab.volume();
    lab.runtime.ensure_volume(&volume).await?;
    for round in 0..2 {
        let mut spec = lab.spec();
        spec.mounts = vec![mount("/data", MountSource::Volume(volume.name.clone()))];
        let id = lab.start(&spec).await?;
        if round == 0 {
            lab.shell(&id, "echo kept > /data/file").await?;
        } else {
            let found = lab.shell(&id, "cat /data/file").await?;
            holds!(found == "kept", "{found}");
        }
        lab.runtime.remove(&id).await?;
    }
    Ok(())
}

pub(super) async fn anonymous_volumes_go_with_the_container(lab: &Lab) -> Outcome {
    let Some(image) = &lab.images.with_volume else { return Ok(()) };
    let mut spec = lab.spec_running(&["infinity"]);
    spec.image.clone_from(image);
    spec.entrypoint = Some(vec!["sleep".to_owned()]);
    let id = lab.start(&spec).await?;
    let volumes = lab.runtime.inspect(&id).await?.volumes;
    holds!(volumes.len() == 1, "its volumes are {volumes:?}");
    lab.runtime.remove(&id).await?;
    let everything = ListFilter { networks_and_volumes: true, ..ListFilter::default() };
    let left = lab.runtime.list(&everything).await?.volumes;
    holds!(left.iter().all(|volume| volume.name != volumes[0]), "{} is left behind", volumes[0]);
    Ok(())
}

pub(super) async fn a_bind_mount_shows_the_host(lab: &Lab) -> Outcome {
    let host = HostDirectory::new()?;
    std::fs::write(host.0.join("file"), "from the host\n").map_err(|error| Broken(error.to_string()))?;
    let mut spec = lab.spec();
    spec.mounts = vec![mount("/shown", host.source())];
    let id = lab.start(&spec).await?;
    let found = lab.shell(&id, "cat /shown/file").await?;
    holds!(found == "from the host", "{found}");
    Ok(())
}

pub(super) async fn a_read_only_mount_refuses_writes(lab: &Lab) -> Outcome {
    let host = HostDirectory::new()?;
    let volume = lab.volume();
    lab.runtime.ensure_volume(&volume).await?;
    let mut spec = lab.spec();
    spec.mounts = vec![
        Mount { read_only: true, ..mount("/shown", host.source()) },
        Mount { read_only: true, ..mount("/data", MountSource::Volume(volume.name.clone())) },
    ];
    let id = lab.start(&spec).await?;
    for directory in ["/shown", "/data"] {
        let script = format!("touch {directory}/file 2>&1");
        let output = lab.exec(&id, &["sh", "-c", &script]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        holds!(output.exit_code != 0 && text.contains("Read-only"), "{directory}: {text}");
    }
    Ok(())
}

pub(super) async fn a_missing_bind_source_is_an_error(lab: &Lab) -> Outcome {
    let host = HostDirectory::new()?;
    let missing = host.0.join("missing");
    for relabel_shared in [None, Some(true)] {
        let mut spec = lab.spec();
        spec.mounts = vec![mount("/shown", MountSource::Bind { path: missing.clone(), relabel_shared })];
        let outcome = match lab.runtime.create(&spec).await {
            Ok(id) => lab.runtime.start(&id).await,
            Err(error) => Err(error),
        };
        fails!(outcome, ErrorKind::Invalid | ErrorKind::NotFound, "a host path that is not there");
        holds!(!missing.exists(), "the engine made it");
    }
    Ok(())
}

pub(super) async fn a_published_port_answers(lab: &Lab) -> Outcome {
    let script = "import socket\n\
                  s = socket.create_server(('0.0.0.0', 8080))\n\
                  while True:\n  c, _ = s.accept(); c.sendall(b'hello'); c.close()\n";
    let mut spec = lab.spec_running(&["python3", "-c", script]);
    let port = lab.free_port()?;
    spec.ports = vec![PortBinding::loopback(8080, port)];
    lab.start(&spec).await?;
    lab.until("the port answers", async || {
        let read = async {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await.map(|_count| text)
        };
        // The engine's proxy may take the connection before there is anybody behind it.
        let read = tokio::time::timeout(Duration::from_secs(2), read).await;
        Ok(matches!(read, Ok(Ok(text)) if text == "hello").then_some(()))
    })
    .await
}

pub(super) async fn aliases_resolve(lab: &Lab) -> Outcome {
    let network = lab.network();
    lab.runtime.ensure_network(&network).await?;
    let attach = |aliases: &[&str]| {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Some(NetworkAttachment { network: network.name.clone(), aliases })
    };
    let mut named = lab.spec();
    named.network = attach(&["database"]);
    lab.start(&named).await?;
    let mut asking = lab.spec();
    asking.network = attach(&[]);
    let asking = lab.start(&asking).await?;
    for name in ["database", &named.name] {
        lab.until(&format!("{name} resolves"), async || {
            let output = lab.exec(&asking, &["getent", "hosts", name]).await?;
            Ok((output.exit_code == 0).then_some(()))
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn an_unreachable_registry_is_told(lab: &Lab) -> Outcome {
    // Nobody listens on port 1.
    let outcome = match lab.runtime.pull("127.0.0.1:1/tanuki-test/there-is-none:1").await {
        Ok(records) => super::lab::collect(records, super::Check::LIMIT).await?.into_iter().collect(),
        Err(error) => Err(error),
    };
    let outcome: crate::Result<Vec<_>> = outcome;
    fails!(outcome, ErrorKind::Unavailable, "a registry that does not answer");
    Ok(())
}
