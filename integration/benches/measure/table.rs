//! Figures and the table they end in.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Ours, in words.
    pub(crate) ours: String,
    /// What it is compared with, in words; empty when there is nothing.
    pub(crate) theirs: String,
    /// What is held against the target.
    pub(crate) figure: f64,
    /// How the figure is written.
    pub(crate) unit: &'static str,
    /// At most this; none where the figure is only told.
    pub(crate) target: Option<f64>,
}

impl Row {
    /// Ours against theirs, in seconds, taken in turn.
    pub(crate) fn ratio(what: &str, ours: &[f64], against: &str, theirs: &[f64], target: f64) -> Self {
        Self {
            what: what.to_owned(),
            ours: seconds(ours),
            theirs: format!("{against}: {}", seconds(theirs)),
            figure: median(ours) / median(theirs),
            unit: "×",
            target: Some(target),
        }
    }
}

/// The middle of the values, or of the two middle ones.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Median and range of durations.
fn seconds(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.3} s ({least:.3} to {most:.3}, n={})", median(values), values.len())
}

/// The table of a group, in Markdown.
pub(crate) fn render(group: &str, rows: &[Row], machine: &str) -> String {
    let mut text = format!("# {group}, measured\n\n{machine}\n\n");
    text.push_str("| what | tanuki | against | figure | target | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let target = row.target.map_or_else(String::new, |target| format!("≤ {target} {}", row.unit));
        let verdict = match row.target {
            None => "",
            Some(target) if row.figure <= target => "met",
            Some(_) => "**missed**",
        };
        // Writing to a string cannot fail.
        _ = writeln!(
            text,
            "| {} | {} | {} | {:.2} {} | {target} | {verdict} |",
            row.what, row.ours, row.theirs, row.figure, row.unit
        );
    }
    text
}
