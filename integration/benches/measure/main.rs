//! What Tanuki costs, against the engine's own clients on the same engine, in turn in one run.
//!
//! Not a test: it writes tables to `target/bench/`, one for each group of measurements. `integration/run.sh bench`
//! builds what it needs and runs it; arguments name the measurements or groups to take (none: all).
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stderr, reason = "a benchmark tells how far it is")]

mod agents;
mod process;
mod project;
mod proxy;
mod services;
mod table;
mod tasks;
mod tools;

use std::error::Error;
use std::process::ExitCode;

use table::Row;
use tools::Tools;

/// What a measurement ends with; it only ever fails as a whole.
type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

type Measurement = fn(&Tools) -> Result<Vec<Row>>;

/// Measurements that end in one table.
struct Group {
    /// Its name, and its table's.
    name: &'static str,
    /// By name.
    measurements: &'static [(&'static str, Measurement)],
}

static GROUPS: [Group; 3] = [services::GROUP, agents::GROUP, tasks::GROUP];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result {
    // Cargo adds flags of its own.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let measurements = GROUPS.iter().flat_map(|group| group.measurements).map(|(name, _)| *name);
    let known: Vec<&str> = measurements.chain(GROUPS.iter().map(|group| group.name)).collect();
    if let Some(unknown) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("no measurement is called '{unknown}'; there are: {}", known.join(", ")).into());
    }
    let tools = Tools::from_environment()?;
    for group in &GROUPS {
        let is_asked =
            |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name || asked == group.name);
        let mut rows = Vec::new();
        for (name, measure) in group.measurements.iter().filter(|(name, _)| is_asked(name)) {
            eprintln!("bench: {name}");
            rows.extend(measure(&tools)?);
        }
        if rows.is_empty() {
            continue;
        }
        let text = table::render(group.name, &rows, &tools.machine());
        let path = tools.reports.join(group.name).with_extension("md");
        std::fs::create_dir_all(&tools.reports)?;
        std::fs::write(&path, &text)?;
        eprintln!("\n{text}\nbench: written to {}", path.display());
    }
    Ok(())
}
