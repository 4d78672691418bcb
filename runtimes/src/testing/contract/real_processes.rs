//! What the main process of a container is and sees.

use std::time::Duration;

use tokio::time::Instant;

use super::lab::{Lab, words};
use super::{Outcome, fails, holds};
use crate::{ContainerState, ErrorKind};

/// Waits until the container has said that it is ready, so that its handlers are in place.
async fn ready(lab: &Lab, id: &str) -> Outcome {
    lab.until("it says that it is ready", async || {
        let lines = lab.log(id, &crate::LogOptions::default()).await?;
        Ok(lines.iter().any(|line| line.bytes == b"ready").then_some(()))
    })
    .await
}

pub(super) async fn a_stop_waits_for_the_process(lab: &Lab) -> Outcome {
    let script = "trap 'sleep 1; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let id = lab.start(&lab.spec_running(&["sh", "-c", script])).await?;
    ready(lab, &id).await?;
    let before = Instant::now();
    lab.runtime.stop(&id, Duration::from_secs(20)).await?;
    let took = before.elapsed();
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.state == ContainerState::Exited, "stop returned while it is {:?}", found.state);
    holds!(found.exit_code == Some(9), "it ended with {:?}", found.exit_code);
    holds!(took < Duration::from_secs(15), "it took {took:?}");
    Ok(())
}

pub(super) async fn a_stop_kills_after_its_grace(lab: &Lab) -> Outcome {
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let id = lab.start(&lab.spec_running(&["sh", "-c", script])).await?;
    ready(lab, &id).await?;
    let before = Instant::now();
    lab.runtime.stop(&id, Duration::from_secs(2)).await?;
    let took = before.elapsed();
    holds!(took >= Duration::from_millis(1500) && took < Duration::from_secs(12), "it took {took:?}");
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.exit_code == Some(137), "it ended with {:?}", found.exit_code);
    Ok(())
}

pub(super) async fn the_stop_signal_can_be_chosen(lab: &Lab) -> Outcome {
    let script = "trap 'exit 7' USR1; trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut spec = lab.spec_running(&["sh", "-c", script]);
    spec.stop_signal = Some("SIGUSR1".to_owned());
    let id = lab.start(&spec).await?;
    ready(lab, &id).await?;
    lab.runtime.stop(&id, Duration::from_secs(20)).await?;
    let found = lab.runtime.inspect(&id).await?;
    holds!(found.exit_code == Some(7), "it ended with {:?}", found.exit_code);
    Ok(())
}

pub(super) async fn hardened_ones_have_no_capabilities(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.hardened = true;
    let id = lab.start(&spec).await?;
    let status = lab.shell(&id, "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/1/status").await?;
    for line in status.lines() {
        let (key, value) = line.split_once(':').unwrap_or_default();
        let wanted = if key == "NoNewPrivs" { "1" } else { "0000000000000000" };
        holds!(value.trim() == wanted, "{line}");
    }
    holds!(status.lines().count() == 3, "{status}");
    Ok(())
}

pub(super) async fn an_init_process_is_in_front(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.init = true;
    let id = lab.start(&spec).await?;
    let first = lab.shell(&id, "cat /proc/1/comm").await?;
    let able = lab.runtime.info().await?.capabilities.init;
    holds!(able == (first != "sleep"), "with an init process {able}, process 1 is {first}");
    if able {
        let before = Instant::now();
        lab.runtime.stop(&id, Duration::from_secs(20)).await?;
        holds!(before.elapsed() < Duration::from_secs(10), "the signal is not passed on");
    }
    Ok(())
}

pub(super) async fn limits_are_seen_inside(lab: &Lab) -> Outcome {
    if !lab.runtime.info().await?.capabilities.limits {
        // Asking for one must then not be in the way.
        let mut spec = lab.spec();
        spec.memory = Some(64 << 20);
        let id = lab.start(&spec).await?;
        let state = lab.runtime.inspect(&id).await?.state;
        holds!(state == ContainerState::Running, "with a limit that is ignored it is {state:?}");
        return Ok(());
    }
    let mut spec = lab.spec();
    spec.memory = Some(64 << 20);
    spec.milli_cpus = Some(500);
    spec.pids = Some(64);
    let id = lab.start(&spec).await?;
    let memory =
        "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
    let found = lab.shell(&id, memory).await?;
    holds!(found == (64 << 20).to_string(), "memory is {found}");
    let pids = "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max";
    let found = lab.shell(&id, pids).await?;
    holds!(found == "64", "processes are {found}");
    let cpu = "cat /sys/fs/cgroup/cpu.max 2>/dev/null || \
               cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us";
    let found = lab.shell(&id, cpu).await?;
    let numbers: Vec<u64> = found.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    holds!(matches!(numbers[..], [quota, period] if quota * 2 == period), "processors are {found}");
    Ok(())
}

pub(super) async fn user_and_directory_are_set(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.user = Some("1234:2345".to_owned());
    spec.workdir = Some("/usr/share".to_owned());
    let id = lab.start(&spec).await?;
    let found = lab.shell(&id, "echo $(id -u) $(id -g) $(readlink /proc/1/cwd || pwd) $(pwd)").await?;
    holds!(found == "1234 2345 /usr/share /usr/share", "{found}");
    Ok(())
}

pub(super) async fn environment_and_entrypoint_are_set(lab: &Lab) -> Outcome {
    let mut spec = lab.spec();
    spec.entrypoint = Some(words(&["sh", "-c"]));
    spec.command = Some(words(&["echo \"$FIRST|$SECOND\""]));
    spec.env = [("FIRST", "a b=c"), ("SECOND", "")].map(|(key, value)| (key.into(), value.into())).into();
    let id = lab.start(&spec).await?;
    lab.ended(&id).await?;
    let lines = lab.log(&id, &crate::LogOptions::default()).await?;
    holds!(super::lab::texts(&lines) == ["a b=c|"], "{lines:?}");
    Ok(())
}

pub(super) async fn a_command_that_cannot_be_run_is_told(lab: &Lab) -> Outcome {
    let id = lab.runtime.create(&lab.spec_running(&["there-is-no-such-program"])).await?;
    fails!(lab.runtime.start(&id).await, ErrorKind::Invalid, "a command that cannot be run");
    let state = lab.runtime.inspect(&id).await?.state;
    holds!(state != ContainerState::Running, "it runs");
    Ok(())
}
