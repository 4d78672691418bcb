//! What a controller costs while nothing happens, with few and with many services.

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::process::{cpu, resident};
use crate::project::{Project, postgres_and_redis};
use crate::proxy::{Counts, Proxy};
use crate::table::Row;
use crate::tools::{PLAIN, Tools};

/// After the start, before it counts as idle.
const SETTLE: Duration = Duration::from_secs(10);
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(60);
/// Most calls a minute that are no probes: a list of containers, networks and volumes twice, and some slack.
const OTHER_CALLS: f64 = 10.0;

/// Services that do nothing, with a probe that costs nothing, each asked as often as a usual service.
fn many(services: usize) -> String {
    let mut yaml = String::from("services:\n");
    for number in 0..services {
        yaml.push_str(&format!(
            "  s{number:02}:\n    image: {PLAIN}\n    port: 9\n    host_port: none\n    command: [sleep, infinity]\n    stop_signal: SIGKILL\n    \
             healthcheck: {{ command: [\"true\"], interval: 10s }}\n"
        ));
    }
    yaml
}

fn tell(counts: &Counts) -> String {
    counts.iter().map(|(request, count)| format!("{count} {request}")).collect::<Vec<_>>().join(", ")
}

/// Watches a controller do nothing.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (what, yaml) in [("2 services", postgres_and_redis()), ("50 services", many(50))] {
        let proxy = Proxy::new(Path::new("/var/run/docker.sock"))?;
        let project = Project::new(tools, &yaml, Some(&proxy.socket()))?;
        project.timed(&["service", "start"])?;
        std::thread::sleep(SETTLE);
        let pid = project.controller()?;
        let before = cpu(pid)?;
        proxy.take();
        std::thread::sleep(WATCH);
        let counts = proxy.take();
        let used = (cpu(pid)? - before) / WATCH.as_secs_f64() * 100.0;
        let (probes, others): (Counts, Counts) =
            counts.into_iter().partition(|(request, _)| request.contains("exec"));
        let calls =
            |counts: &Counts| counts.values().map(|count| u32::try_from(*count).unwrap_or(u32::MAX)).sum();
        let (probing, other): (u32, u32) = (calls(&probes), calls(&others));
        let mut row = |figure: f64, unit, target, ours: String| {
            rows.push(Row {
                what: format!("controller idle with {what}"),
                ours,
                theirs: String::new(),
                figure,
                unit,
                target: Some(target),
            });
        };
        row(
            used,
            "% of a core",
            0.5,
            format!("{:.2} s in {} s", used / 100.0 * WATCH.as_secs_f64(), WATCH.as_secs()),
        );
        row(resident(pid)?, "MB", 30.0, "resident".to_owned());
        row(
            f64::from(other),
            "calls a minute besides probes",
            OTHER_CALLS,
            format!("{}; and {probing} calls for probes", tell(&others)),
        );
    }
    Ok(rows)
}
