//! Finding the engines of this machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use tanuki_integration::engines::Engine;
use tanuki_runtimes::EngineKind;
use tanuki_runtimes::discover::{Env, Preference, Runtime, connect, connect_or_start, start_podman_service};

type Outcome = Result<(), Box<dyn Error>>;

/// This process's environment, with nothing in it but these variables and the search path.
fn env(variables: &[(&str, &str)]) -> Env {
    let process = Env::of_process();
    let mut kept: BTreeMap<String, String> =
        process.variables.into_iter().filter(|(key, _)| key == "PATH").collect();
    kept.extend(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    Env { variables: kept, uid: process.uid, home: None, ..Env::of_process() }
}

#[tokio::test]
async fn docker_host_leads_to_whatever_is_there() -> Outcome {
    for engine in Engine::ALL {
        let url = format!("unix://{}", engine.socket()?.display());
        let found = connect(&env(&[("DOCKER_HOST", &url)]), &Preference::default()).await?;
        let wanted = if engine == Engine::Docker { EngineKind::Docker } else { EngineKind::Podman };
        let info = found.info().await?;
        assert_eq!((info.kind, info.endpoint.as_str()), (wanted, url.as_str()));
        assert_eq!(info.rootless, engine == Engine::PodmanRootless);
    }
    Ok(())
}

#[tokio::test]
async fn without_a_hint_root_gets_docker_and_can_ask_for_podman() -> Outcome {
    let found = connect(&env(&[]), &Preference::default()).await?;
    assert_eq!(found.info().await?.kind, EngineKind::Docker);
    let podman = Preference { runtime: Runtime::Podman, socket: None };
    let found = connect(&env(&[]), &podman).await?;
    assert_eq!(found.info().await?.kind, EngineKind::Podman);
    Ok(())
}

#[tokio::test]
async fn a_podman_service_is_started_once_for_who_needs_it() -> Outcome {
    let directory = tempfile::tempdir()?;
    let runtime_dir = directory.path().display().to_string();
    let env = env(&[("XDG_RUNTIME_DIR", &runtime_dir)]);
    let _ended = EndService(directory.path().to_owned());
    let (one, two) = tokio::join!(start_podman_service(&env), start_podman_service(&env));
    assert_eq!(one?, two?);
    assert_eq!(services(directory.path()).len(), 1);

    // Whoever looks for an engine later finds it.
    let socket = directory.path().join("tanuki/podman.sock").display().to_string();
    let podman = Preference { runtime: Runtime::Podman, socket: Some(socket) };
    let found = connect_or_start(&env, &podman).await?;
    found.ping().await?;
    Ok(())
}

/// Ends the service that a test started below a directory.
struct EndService(std::path::PathBuf);

impl Drop for EndService {
    fn drop(&mut self) {
        for pid in services(&self.0) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
    }
}

/// The processes whose command line names a socket below the directory.
fn services(directory: &Path) -> Vec<i32> {
    let needle = format!("unix://{}/", directory.display());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let names = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&needle))
    };
    pids.filter(names).collect()
}
