//! What Tanuki costs, against the engine's own clients on the same engine, in turn in one run.
//!
//! Not a test: it writes a table to `target/bench/services.md`. `integration/run.sh bench` builds what it needs and
//! runs it; arguments name the measurements to take (none: all).
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stderr, reason = "a benchmark tells how far it is")]

mod death;
mod idle;
mod pass;
mod project;
mod proxy;
mod start;
mod table;
mod tools;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use table::Row;
use tools::Tools;

/// What a measurement ends with; it only ever fails as a whole.
type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

type Measurement = fn(&Tools) -> Result<Vec<Row>>;

/// All measurements, quick ones first.
const MEASUREMENTS: [(&str, Measurement); 4] =
    [("pass", pass::measure), ("start", start::measure), ("death", death::measure), ("idle", idle::measure)];

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
    if let Some(unknown) = asked.iter().find(|name| MEASUREMENTS.iter().all(|(known, _)| known != name)) {
        let known = MEASUREMENTS.map(|(name, _)| name).join(", ");
        return Err(format!("no measurement is called '{unknown}'; there are: {known}").into());
    }
    let tools = Tools::from_environment()?;
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            eprintln!("bench: {name}");
            rows.extend(measure(&tools)?);
        }
    }
    let text = table::render(&rows, &tools.machine());
    let path = Path::new(&tools.report);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, &text)?;
    eprintln!("\n{text}\nbench: written to {}", path.display());
    Ok(())
}
