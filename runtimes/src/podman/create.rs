//! From a [`ContainerSpec`] to the body of a create request.
//!
//! podman-api's builder makes it, except for two fields it writes under names that the engine does not know, and
//! would pass over: `no_new_privileges` and `log_configuration`. They are added to the finished document.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use podman_api::models;
use podman_api::opts::ContainerCreateOpts;
use serde_json::{Value, json};

use crate::{ContainerSpec, EngineInfo, ErrorKind, Mount, MountSource, PortBinding};

/// Longer than any caller waits for a probe. It only has to be there: with 0, Podman 4 calls every run overdue.
/// Podman 5.5 and later also kill the command then.
const PROBE_LIMIT: Duration = Duration::from_secs(600);

/// A spec that cannot be asked for.
pub(super) type Refused = (ErrorKind, String);

/// The body of `POST /containers/create`. `image` is the name the engine has the image under.
pub(super) fn body(
    spec: &ContainerSpec,
    image: &str,
    engine: &EngineInfo,
    init: bool,
) -> Result<Vec<u8>, Refused> {
    let mut options = ContainerCreateOpts::builder()
        .name(&spec.name)
        .image(image)
        .env(&spec.env)
        .labels(&spec.labels.0)
        .restart_policy(podman_api::opts::ContainerRestartPolicy::No)
        .health_config(health(spec.probe.as_deref()));
    if let Some(entrypoint) = &spec.entrypoint {
        options = options.entrypoint(entrypoint);
    }
    if let Some(command) = &spec.command {
        options = options.command(command);
    }
    if let Some(user) = &spec.user {
        options = options.user(user);
    }
    if let Some(workdir) = &spec.workdir {
        options = options.work_dir(workdir);
    }
    if let Some(place) = &spec.network {
        let options_there = models::PerNetworkOptions {
            aliases: Some(place.aliases.clone()).filter(|aliases| !aliases.is_empty()),
            interface_name: None,
            static_ips: None,
            static_mac: None,
        };
        // Rootless the default is another mode, in which networks cannot be joined.
        options = options.net_namespace(namespace("bridge")).networks([(&place.network, options_there)]);
    }
    if !spec.ports.is_empty() {
        options = options.portmappings(spec.ports.iter().map(port));
    }
    let (volumes, mounts): (Vec<_>, Vec<_>) =
        spec.mounts.iter().partition(|mount| matches!(mount.source, MountSource::Volume(_)));
    if !volumes.is_empty() {
        options = options.volumes(volumes.into_iter().filter_map(volume));
    }
    if !mounts.is_empty() {
        options = options.mounts(mounts.into_iter().filter_map(|it| mount(it, engine.capabilities.selinux)));
    }
    if let Some(size) = spec.shm_size {
        options = options.shm_size(signed(size));
    }
    if let Some(limits) = engine.capabilities.limits.then(|| resources(spec)).flatten() {
        options = options.resource_limits(limits);
    }
    if let Some(name) = &spec.stop_signal {
        let number = signal(name).ok_or_else(|| (ErrorKind::Invalid, format!("no such signal: {name}")))?;
        options = options.stop_signal(number);
    }
    if spec.init && init {
        options = options.init(true);
    }
    if spec.hardened {
        options = options.drop_capabilities(["ALL"]);
    }
    if spec.keep_id && engine.rootless {
        options = options.user_namespace(namespace("keep-id"));
    }
    let text = options.build().serialize().map_err(invalid)?;
    let mut document: BTreeMap<String, Value> = serde_json::from_str(&text).map_err(invalid)?;
    // The journal, the default beside systemd, drops lines in a hurry and shows them only to its group.
    document.insert("log_configuration".into(), json!({ "driver": "k8s-file" }));
    if spec.hardened {
        document.insert("no_new_privileges".into(), Value::Bool(true));
    }
    serde_json::to_vec(&document).map_err(invalid)
}

fn invalid(error: impl std::error::Error) -> Refused {
    (ErrorKind::Invalid, format!("the request cannot be written: {error}"))
}

/// The first bind source that is not there. Podman would create it as an empty directory; so it is looked for here,
/// which holds for an engine on this machine only.
pub(super) async fn missing_source(spec: &ContainerSpec) -> Option<&Path> {
    for mount in &spec.mounts {
        if let MountSource::Bind { path, .. } = &mount.source
            && !tokio::fs::try_exists(path).await.unwrap_or(true)
        {
            return Some(path);
        }
    }
    None
}

/// The health command, never on a timer: an interval of 0 is how Podman says "no timer" (`disable` on its command
/// line). Without a probe the image's own check is switched off too.
fn health(probe: Option<&[String]>) -> models::Schema2HealthConfig {
    let test = match probe {
        Some(command) => [&["CMD".to_owned()], command].concat(),
        None => vec!["NONE".to_owned()],
    };
    models::Schema2HealthConfig {
        test: Some(test),
        interval: Some(0),
        timeout: i64::try_from(PROBE_LIMIT.as_nanos()).ok(),
        // Only what `podman ps` shows depends on it.
        retries: Some(1),
        start_period: Some(0),
    }
}

fn namespace(mode: &str) -> models::Namespace {
    models::Namespace { nsmode: Some(mode.to_owned()), value: None }
}

fn port(port: &PortBinding) -> models::PortMapping {
    models::PortMapping {
        container_port: Some(port.container_port),
        host_ip: Some(port.host_ip.to_string()),
        host_port: Some(port.host_port),
        protocol: Some("tcp".to_owned()),
        range: None,
    }
}

fn volume(mount: &Mount) -> Option<models::NamedVolume> {
    let MountSource::Volume(name) = &mount.source else { return None };
    Some(models::NamedVolume {
        dest: Some(mount.target.clone()),
        is_anonymous: None,
        name: Some(name.clone()),
        options: mount.read_only.then(|| vec!["ro".to_owned()]),
    })
}

fn mount(mount: &Mount, selinux: bool) -> Option<models::ContainerMount> {
    let (kind, source, mut options) = match &mount.source {
        MountSource::Volume(_) => return None,
        MountSource::Bind { path, relabel_shared } => {
            let mut options = vec!["rbind".to_owned()];
            if let Some(shared) = relabel_shared.filter(|_| selinux) {
                options.push(if shared { "z" } else { "Z" }.to_owned());
            }
            ("bind", Some(path.to_string_lossy().into_owned()), options)
        }
        MountSource::Tmpfs(size) => ("tmpfs", None, size.iter().map(|size| format!("size={size}")).collect()),
    };
    options.push(if mount.read_only { "ro" } else { "rw" }.to_owned());
    Some(models::ContainerMount {
        destination: Some(mount.target.clone()),
        options: Some(options),
        source,
        _type: Some(kind.to_owned()),
        uid_mappings: None,
        gid_mappings: None,
    })
}

fn resources(spec: &ContainerSpec) -> Option<models::LinuxResources> {
    if spec.memory.is_none() && spec.milli_cpus.is_none() && spec.pids.is_none() {
        return None;
    }
    let memory = spec.memory.map(|bytes| models::LinuxMemory {
        limit: Some(signed(bytes)),
        // The sum of memory and swap: equal means no swap.
        swap: Some(signed(bytes)),
        disable_oom_killer: None,
        kernel: None,
        kernel_tcp: None,
        reservation: None,
        swappiness: None,
        use_hierarchy: None,
    });
    let cpu = spec.milli_cpus.map(|thousandths| models::LinuxCpu {
        period: Some(100_000),
        quota: Some(signed(thousandths.saturating_mul(100))),
        cpus: None,
        mems: None,
        realtime_period: None,
        realtime_runtime: None,
        shares: None,
    });
    Some(models::LinuxResources {
        memory,
        cpu,
        pids: spec.pids.map(|limit| models::LinuxPids { limit: Some(limit) }),
        block_io: None,
        devices: None,
        hugepage_limits: None,
        network: None,
        rdma: None,
        unified: None,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a signal on Linux, where the engine is; libpod takes numbers only.
fn signal(name: &str) -> Option<i64> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    if let Ok(number) = name.parse::<i64>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = name.to_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = bare.strip_prefix("RTMIN+") {
        return offset
            .parse::<i64>()
            .ok()
            .filter(|offset| (0..=30).contains(offset))
            .map(|offset| 34 + offset);
    }
    (1..).zip(NAMES).find(|(_, known)| *known == bare).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capabilities, EngineKind, NetworkAttachment};

    fn engine(rootless: bool) -> EngineInfo {
        EngineInfo {
            kind: EngineKind::Podman,
            version: String::new(),
            api_version: String::new(),
            rootless,
            endpoint: String::new(),
            data_root: None,
            capabilities: Capabilities { init: true, limits: !rootless, selinux: true },
        }
    }

    fn document(spec: &ContainerSpec, rootless: bool) -> Value {
        serde_json::from_slice(&body(spec, "i", &engine(rootless), true).unwrap()).unwrap()
    }

    fn full() -> ContainerSpec {
        ContainerSpec {
            name: "c".into(),
            image: "i".into(),
            network: Some(NetworkAttachment { network: "n".into(), aliases: vec!["db".into()] }),
            ports: vec![PortBinding::loopback(80, 8080)],
            mounts: vec![
                Mount { target: "/v".into(), source: MountSource::Volume("vol".into()), read_only: true },
                Mount {
                    target: "/b".into(),
                    source: MountSource::Bind { path: "/src".into(), relabel_shared: Some(true) },
                    read_only: false,
                },
                Mount { target: "/t".into(), source: MountSource::Tmpfs(Some(4096)), read_only: false },
            ],
            memory: Some(1 << 20),
            milli_cpus: Some(1500),
            stop_signal: Some("SIGINT".into()),
            probe: Some(vec!["true".into()]),
            init: true,
            hardened: true,
            keep_id: true,
            ..ContainerSpec::default()
        }
    }

    #[test]
    fn a_full_spec() {
        let body = document(&full(), false);
        assert_eq!(body["no_new_privileges"], Value::Bool(true));
        assert_eq!(body["log_configuration"]["driver"], "k8s-file");
        assert_eq!(body["cap_drop"], json!(["ALL"]));
        assert_eq!(body["stop_signal"], 2);
        assert_eq!(body["portmappings"][0]["host_ip"], "127.0.0.1");
        assert_eq!(body["volumes"][0], json!({"Dest": "/v", "Name": "vol", "Options": ["ro"]}));
        assert_eq!(body["mounts"][0]["options"], json!(["rbind", "z", "rw"]));
        assert_eq!(body["mounts"][1]["options"], json!(["size=4096", "rw"]));
        assert_eq!(body["Networks"]["n"]["aliases"], json!(["db"]));
        assert_eq!(body["netns"]["nsmode"], "bridge");
        assert_eq!(body["resource_limits"]["memory"]["swap"], 1 << 20);
        assert_eq!(body["resource_limits"]["cpu"]["quota"], 150_000);
        assert_eq!(body["healthconfig"]["Test"], json!(["CMD", "true"]));
        assert_eq!(body["healthconfig"]["Interval"], 0);
        assert_eq!(body["userns"], Value::Null, "keep-id is refused rootful");
    }

    #[test]
    fn rootless_keeps_ids_and_omits_limits_that_are_ignored() {
        let body = document(&full(), true);
        assert_eq!(body["userns"]["nsmode"], "keep-id");
        assert_eq!(body["resource_limits"], Value::Null);
    }

    #[test]
    fn a_bare_spec_switches_the_images_health_check_off() {
        let body = document(&ContainerSpec { name: "c".into(), ..ContainerSpec::default() }, false);
        assert_eq!(body["healthconfig"]["Test"], json!(["NONE"]));
        for absent in ["netns", "no_new_privileges", "init", "resource_limits", "entrypoint", "command"] {
            assert_eq!(body[absent], Value::Null, "{absent}");
        }
    }

    #[test]
    fn signals() {
        assert_eq!(signal("SIGTERM"), Some(15));
        assert_eq!(signal("quit"), Some(3));
        assert_eq!(signal("9"), Some(9));
        assert_eq!(signal("SIGRTMIN+3"), Some(37));
        assert_eq!(signal("NOPE"), None);
        let spec = ContainerSpec { stop_signal: Some("NOPE".into()), ..ContainerSpec::default() };
        assert_eq!(body(&spec, "i", &engine(false), true).unwrap_err().0, ErrorKind::Invalid);
    }
}
