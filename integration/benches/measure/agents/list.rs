//! `list` with many agents, with a controller and without one.

use std::path::Path;

use super::project;
use crate::Result;
use crate::proxy::Proxy;
use crate::table::Row;
use crate::tools::{Tools, timed};

/// One is there from the beginning.
const AGENTS: usize = 50;
/// How often it is measured in each round.
const AGAIN: usize = 4;

/// Lists agents and containers in turn.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let project = project(tools, 10, |_| Ok(()))?;
    project.timed(&["spawn", "--count", &(AGENTS - 1).to_string()])?;
    let proxy = Proxy::new(Path::new("/var/run/docker.sock"))?;
    let mut rows = Vec::new();
    for from in ["told by the controller", "no controller running"] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first one after a change of controllers also loads what all later ones find loaded.
        project.timed(&["list"])?;
        for _ in 0..tools.rounds * AGAIN {
            ours.push(project.timed(&["list"])?);
            theirs.push(timed(&mut tools.docker(&["ps"]))?);
        }
        let what = format!("`list` of {AGENTS} agents, {from}");
        rows.push(Row::ratio(&what, &ours, "`docker ps`", &theirs, 1.5));
        proxy.take();
        timed(&mut project.through(&proxy.socket(), &["list"]))?;
        let calls = proxy.take();
        // Asking an engine for its version is how a client gets to know it.
        let asked =
            calls.iter().filter(|(request, _)| !request.ends_with("_ping") && !request.ends_with("version"));
        let (words, counts): (Vec<String>, Vec<u64>) =
            asked.map(|(request, count)| (format!("{count} {request}"), *count)).unzip();
        rows.push(Row {
            what,
            ours: words.join(", "),
            theirs: String::new(),
            figure: f64::from(u32::try_from(counts.iter().sum::<u64>())?),
            unit: "engine calls",
            target: Some(1.0),
        });
        // Without runs nothing has one started again.
        if rows.len() == 2 {
            project.end_controller()?;
        }
    }
    Ok(rows)
}
