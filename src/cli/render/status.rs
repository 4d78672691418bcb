//! `service status`.

use crate::cli::text;
use crate::model::{
    ConditionStatus, Desired, HealthWord, ProbeVerdict, ServiceState, ServiceStatus, Snapshot, Time,
};

/// How the table is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StatusView {
    /// With restarts, reason and container.
    pub wide: bool,
}

/// The table of services, and below it a line for each one that needs an explanation.
pub fn render_status(snapshot: &Snapshot, now: Time, view: StatusView) -> String {
    if snapshot.services.is_empty() {
        return format!("no services in tanuki.yaml\n{}", project_trouble(snapshot));
    }
    let mut header = vec!["SERVICE", "STATUS", "HEALTH", "PORT", "UPTIME"];
    if view.wide {
        header.extend(["RESTARTS", "REASON", "CONTAINER"]);
    }
    let header = header.into_iter().map(ToOwned::to_owned).collect();
    let rows = snapshot.services.values().map(|status| row(status, now, view));
    let mut text = text::table(std::iter::once(header).chain(rows));
    for status in snapshot.services.values().filter(|status| in_trouble(status)) {
        text.push_str(&trouble(status, now));
        text.push('\n');
    }
    text.push_str(&project_trouble(snapshot));
    text
}

fn row(status: &ServiceStatus, now: Time, view: StatusView) -> Vec<String> {
    let mut row = vec![
        status.name.clone(),
        state(status),
        status.health.to_string(),
        port(status),
        uptime(status, now).unwrap_or_else(|| "-".to_owned()),
    ];
    if view.wide {
        let reason = if status.reason.is_empty() { "-" } else { &status.reason };
        let container = if status.state == ServiceState::External { "-" } else { &status.container };
        row.extend([status.restarts.to_string(), reason.to_owned(), container.to_owned()]);
    }
    row
}

fn state(status: &ServiceStatus) -> String {
    match status.state {
        ServiceState::Stopped if !status.enabled => "disabled".to_owned(),
        state => state.to_string(),
    }
}

/// The port a person would use: the host's, and where it differs also the one inside.
fn port(status: &ServiceStatus) -> String {
    match (status.host_port, status.port) {
        (Some(host), Some(inside)) if host != inside => format!("{host}->{inside}"),
        (Some(port), _) | (None, Some(port)) => port.to_string(),
        (None, None) => "-".to_owned(),
    }
}

fn uptime(status: &ServiceStatus, now: Time) -> Option<String> {
    let runs =
        matches!(status.state, ServiceState::Running | ServiceState::Starting | ServiceState::Stopping);
    status.started_at.filter(|_| runs).map(|started| text::duration(now.since(started)))
}

/// Whether the table alone would leave a person wondering.
pub fn in_trouble(status: &ServiceStatus) -> bool {
    match status.state {
        ServiceState::Backoff | ServiceState::Failed | ServiceState::Unknown => true,
        ServiceState::Running | ServiceState::Starting | ServiceState::Stopping => {
            matches!(status.health, HealthWord::Unhealthy | HealthWord::Unknown)
        }
        // Something takes its time or holds it up.
        ServiceState::Pulling => true,
        ServiceState::Pending => {
            status.desired == Desired::Running
                && !status.message.is_empty()
                && !matches!(status.reason.as_str(), "Creating" | "Starting" | "Changing")
        }
        ServiceState::External | ServiceState::Stopped => false,
    }
}

/// Why a service is not as it should be, on one line.
pub fn trouble(status: &ServiceStatus, now: Time) -> String {
    let mut parts = vec![match (status.reason.as_str(), status.message.as_str()) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }];
    let ended = matches!(status.state, ServiceState::Backoff | ServiceState::Failed);
    if let Some(code) = status.last_exit_code.filter(|_| ended)
        && !status.message.contains(&format!("exit code {code}"))
    {
        parts.push(format!("last exit code {code}"));
    }
    if let Some(next) = status.next_try {
        // Rounded up: a try is never sooner than told.
        let seconds = next.since(now).as_millis().div_ceil(1000);
        parts.push(if seconds == 0 { "next try now".to_owned() } else { format!("next try in {seconds}s") });
    }
    if let Some(probe) = &status.last_probe
        && probe.verdict != ProbeVerdict::Success
        && !probe.output.is_empty()
        && !status.message.contains(&probe.output)
    {
        parts.push(format!("last probe: {}", text::shorten(&probe.output, 300)));
    }
    format!("{}: {}", text::one_line(&status.name), text::one_line(&parts.join("; ")))
}

/// What is wrong with the project as a whole: its configuration. An engine that is away is an error of its own.
fn project_trouble(snapshot: &Snapshot) -> String {
    snapshot
        .conditions
        .iter()
        .filter(|condition| condition.kind == "ConfigValid" && condition.status == ConditionStatus::False)
        .map(|condition| {
            let message = text::one_line(&condition.message);
            format!("configuration: {message}; the last good one is in use\n")
        })
        .collect()
}
