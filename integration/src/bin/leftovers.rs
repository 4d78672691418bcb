//! Takes away what tests that were killed have left: controllers, containers, networks, volumes, directories.
//! `leftovers [engine...]`; none named means all. While tests run, nothing is left over yet.

use std::error::Error;
use std::path::{Path, PathBuf};

use tanuki_integration::engines::Engine;
use tanuki_integration::project::{DIRECTORY_PREFIX, FOREIGN, kill};
use tanuki_runtimes::{ContainerRuntime, Labels, ListFilter};

/// How the names of the processes of test binaries begin: the binary's name, and a hash.
const TESTS: [&str; 4] = ["e2e-", "contract-", "docker-", "trixie-"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let processes = processes()?;
    if processes.iter().any(Process::is_test) {
        return Ok(());
    }
    for process in processes.iter().filter(|process| process.is_controller_of_test()) {
        kill(process.pid, rustix::process::Signal::KILL);
    }
    for engine in Engine::ALL {
        if named.is_empty() || named.contains(&engine.to_string()) {
            sweep(engine.connect().await?.as_ref()).await;
        }
    }
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(DIRECTORY_PREFIX) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Twice, because Podman removes some containers only after a first try has failed. What stays is not in the way of
/// tests: their names are their own.
async fn sweep(engine: &dyn ContainerRuntime) {
    for _attempt in 0..2 {
        let filter = ListFilter { labels: Labels::default(), networks_and_volumes: true };
        let Ok(there) = engine.list(&filter).await else { return };
        for container in there.containers.iter().filter(|container| is_of_test(&container.labels)) {
            drop(engine.remove(&container.id).await);
        }
        for network in there.networks.iter().filter(|network| is_of_test(&network.labels)) {
            drop(engine.remove_network(&network.name).await);
        }
        for volume in there.volumes.iter().filter(|volume| is_of_test(&volume.labels)) {
            drop(engine.remove_volume(&volume.name).await);
        }
    }
}

fn is_of_test(labels: &Labels) -> bool {
    let temporary = |path: &str| is_temporary(Path::new(path));
    labels.get(FOREIGN).is_some()
        || labels.get("contract").is_some()
        || labels.get(Labels::PROJECT_PATH).is_some_and(temporary)
}

fn is_temporary(path: &Path) -> bool {
    let temporary = std::env::temp_dir().join(DIRECTORY_PREFIX);
    path.as_os_str().as_encoded_bytes().starts_with(temporary.as_os_str().as_encoded_bytes())
}

struct Process {
    pid: u32,
    name: String,
    arguments: Vec<String>,
}

impl Process {
    /// By the hash: there are docker-init and docker-proxy too.
    fn is_test(&self) -> bool {
        let hash = TESTS.iter().find_map(|tests| self.name.strip_prefix(tests));
        hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    fn is_controller_of_test(&self) -> bool {
        self.name == "tanuki" && self.arguments.iter().any(|argument| is_temporary(Path::new(argument)))
    }
}

fn processes() -> std::io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let (path, pid): (PathBuf, _) = (entry.path(), entry.file_name().to_string_lossy().parse());
        // One that ends meanwhile is not there.
        if let (Ok(pid), Ok(name), Ok(line)) =
            (pid, std::fs::read_to_string(path.join("comm")), std::fs::read(path.join("cmdline")))
        {
            let arguments =
                line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
            found.push(Process { pid, name: name.trim_end().to_owned(), arguments: arguments.collect() });
        }
    }
    Ok(found)
}
