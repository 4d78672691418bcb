//! What the dashboard costs: the real program in a real pseudo-terminal, beside `docker logs -f` and oxker.
//!
//! Not a test: it writes a table to `target/bench/dashboard.md`. `integration/run.sh bench` builds what it needs and
//! runs it; arguments name the measurements to take (none: all).
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::print_stderr, reason = "a benchmark tells how far it is")]

mod beside;
mod process;
mod pty;
mod scale;
mod screen;
mod standin;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use table::Row;

/// What a measurement ends with; it only ever fails as a whole.
type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

type Measurement = fn(&Programs) -> Result<Vec<Row>>;

/// All measurements.
const MEASUREMENTS: [(&str, Measurement); 2] = [("scale", scale::measure), ("beside", beside::measure)];

/// The programs that are measured.
struct Programs {
    /// The release build of `tanuki`.
    tanuki: PathBuf,
    /// oxker, from crates.io.
    oxker: PathBuf,
}

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
    let variable = |name: &str| {
        std::env::var_os(name).ok_or_else(|| format!("{name} is not set; run integration/run.sh bench"))
    };
    // Cargo adds flags of its own.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = asked.iter().find(|name| MEASUREMENTS.iter().all(|(known, _)| known != name)) {
        let known = MEASUREMENTS.map(|(name, _)| name).join(", ");
        return Err(format!("no measurement is called '{unknown}'; there are: {known}").into());
    }
    let programs = Programs {
        tanuki: variable("TANUKI_BENCH_BINARY")?.into(),
        oxker: variable("TANUKI_BENCH_OXKER")?.into(),
    };
    let report = variable("TANUKI_BENCH_REPORT")?;
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            eprintln!("bench: {name}");
            rows.extend(measure(&programs)?);
        }
    }
    let text = table::render(&rows);
    let path = Path::new(&report);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, &text)?;
    eprintln!("\n{text}\nbench: written to {}", path.display());
    Ok(())
}
