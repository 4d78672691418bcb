//! Figures and the table they end in.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Ours.
    pub(crate) figure: f64,
    /// Its unit.
    pub(crate) unit: &'static str,
    /// At most this, or for a rate at least; none where the figure is only told.
    pub(crate) target: Option<f64>,
    /// How it came about.
    pub(crate) remark: String,
    /// `docker logs -f`, where it does the same.
    pub(crate) docker: Option<f64>,
    /// oxker, where it does the same.
    pub(crate) oxker: Option<f64>,
}

impl Row {
    /// A figure of ours, at most `target`.
    pub(crate) fn at_most(what: &str, figure: f64, unit: &'static str, target: f64, remark: String) -> Self {
        Self { what: what.into(), figure, unit, target: Some(target), remark, docker: None, oxker: None }
    }

    /// A figure of ours that is only told.
    pub(crate) fn told(what: &str, figure: f64, unit: &'static str, remark: String) -> Self {
        Self { what: what.into(), figure, unit, target: None, remark, docker: None, oxker: None }
    }
}

/// The value that so many per cent of the values do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// The table, in Markdown.
pub(crate) fn render(rows: &[Row]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "# The dashboard, measured\n\n{cores} cores, load {load} at the end. The release build in a pseudo-terminal of \
         200x60. \"Stand-in\": the real server of the socket in the benchmark's process, with a made-up project (50 \
         agents, 1,000 tasks, 4 services) and made-up output. Processor time is a share of one core.\n\n"
    );
    text.push_str(
        "| what | tanuki | target | | docker logs -f | oxker | how |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Row { what, figure, unit, remark, .. } = row;
        let target = row.target.map_or_else(String::new, |target| format!("≤ {target} {unit}"));
        let verdict = match row.target {
            None => "",
            Some(target) if *figure <= target => "met",
            Some(_) => "**missed**",
        };
        let other = |figure: Option<f64>| figure.map_or_else(String::new, |figure| format!("{figure:.2}"));
        let (docker, oxker) = (other(row.docker), other(row.oxker));
        // Writing to a string cannot fail.
        _ = writeln!(
            text,
            "| {what} | {figure:.2} {unit} | {target} | {verdict} | {docker} | {oxker} | {remark} |"
        );
    }
    text
}
