//! `runs`.

use jiff::tz::TimeZone;

use super::agents::result;
use super::events::local;
use crate::cli::text;
use crate::model::{RunRecord, Time, Usage};

/// The table of runs, in the order they come.
pub fn render_runs(runs: &[RunRecord], now: Time, zone: &TimeZone) -> String {
    if runs.is_empty() {
        return "no runs; `tanuki run <agent> <prompt>` starts one\n".to_owned();
    }
    let header = ["ID", "AGENT", "TASK", "RESULT", "DURATION", "TURNS", "TOKENS", "COST", "STARTED"]
        .map(ToOwned::to_owned);
    let rows = runs.iter().map(|run| {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            run.id.clone(),
            run.agent.clone(),
            dash(run.task.clone()),
            result(run),
            dash(duration(run, now)),
            dash(run.usage.turns.map(|turns| turns.to_string())),
            dash(tokens(run.usage)),
            dash(run.usage.cost_microdollars.map(cost)),
            local(run.started_at.unwrap_or(run.created_at), zone),
        ]
    });
    text::table(std::iter::once(header).chain(rows))
}

fn duration(run: &RunRecord, now: Time) -> Option<String> {
    let started = run.started_at?;
    let ended = run.ended_at.or_else(|| (!run.state.is_over()).then_some(now))?;
    Some(text::duration(ended.since(started)))
}

/// Read and written together; the CLIs differ in what they count as read.
fn tokens(usage: Usage) -> Option<String> {
    let tokens = match (usage.input_tokens, usage.output_tokens) {
        (None, None) => return None,
        (input, output) => input.unwrap_or_default().saturating_add(output.unwrap_or_default()),
    };
    Some(match tokens {
        0..10_000 => tokens.to_string(),
        10_000..1_000_000 => format!("{}k", tokens / 1000),
        _ => format!("{}.{}M", tokens / 1_000_000, tokens % 1_000_000 / 100_000),
    })
}

/// Dollars, rounded up to the cent where there is anything.
fn cost(microdollars: u64) -> String {
    let cents = microdollars.div_ceil(10_000);
    format!("${}.{:02}", cents / 100, cents % 100)
}
