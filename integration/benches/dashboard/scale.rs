//! The dashboard with a lot to show: 50 agents, 1,000 tasks, a log of 100,000 lines.

use std::time::{Duration, Instant};

use crate::process::{Meter, memory};
use crate::pty::Pty;
use crate::standin::{Plan, StandIn, mark};
use crate::table::{Row, percentile};
use crate::{Programs, Result};

/// Lines of the log.
const LINES: u64 = 100_000;

/// Lines a second that must be taken in.
const RATE: f64 = 50_000.0;

/// How long it is watched doing nothing, and taking in lines.
const IDLE: Duration = Duration::from_secs(60);
const FLOOD: Duration = Duration::from_secs(20);

/// How long anything may take to show.
const LIMIT: Duration = Duration::from_secs(60);

/// Keys that go everywhere and back: lists, ends, pages, popups, filter, search, log.
const KEYS: [&str; 70] = [
    "j", "j", "j", "k", "G", "g", "2", "j", "j", "\x04", "\x04", "G", "k", "k", "g", "f", "f", "\x1b", "F",
    "\x1b", "\r", "j", "q", "3", "k", "k", "\x15", "\x15", "g", "G", "t", "t", "w", "w", " ", " ", "f", "f",
    "/", "o", "r", "d", "\x7f", "e", "\r", "n", "N", "\x1b", "?", "j", "q", "H", "q", ":", "s", "t", "\x1b",
    "z", "z", "4", "j", "1", "/", "a", "g", "\x7f", "\x1b", "d", "q", "\t",
];

/// Letters that nothing else on the screen has.
const LETTERS: [char; 5] = ['Q', 'Z', 'X', 'W', 'V'];

pub(crate) fn measure(programs: &Programs) -> Result<Vec<Row>> {
    let stand_in = StandIn::new(50, 1000)?;
    let mut dashboard = Pty::new(&stand_in.dashboard(&programs.tanuki))?;
    dashboard.until("the tasks", LIMIT, |screen| screen.has("Tasks [1000]"))?;
    let mut rows = Vec::new();

    let began = Instant::now();
    stand_in.print(Plan::Burst(LINES));
    let shown = dashboard.until("the last line", LIMIT, |screen| screen.has(&mark(LINES - 1)))?;
    let took = shown.duration_since(began).as_secs_f64();
    let rate = LINES as f64 / took;
    rows.push(Row::told(
        "as fast as it goes, until the last line shows",
        rate,
        "lines/s",
        format!("{LINES} lines; stand-in"),
    ));

    rows.extend(idle(&dashboard)?);
    rows.push(keys(&mut dashboard, &stand_in, false)?);
    rows.push(keys(&mut dashboard, &stand_in, true)?);
    rows.extend(flood(&mut dashboard, &stand_in)?);
    Ok(rows)
}

fn idle(dashboard: &Pty) -> Result<Vec<Row>> {
    let meter = Meter::new(dashboard.pid())?;
    let (bytes, frames) = dashboard.look(|screen| (screen.bytes, screen.frames));
    std::thread::sleep(IDLE);
    let share = meter.share()?;
    let (bytes, frames) = dashboard.look(|screen| (screen.bytes - bytes, screen.frames - frames));
    let remark = format!("{} s, 50 agents, 1,000 tasks, {LINES} lines; stand-in", IDLE.as_secs());
    Ok(vec![
        Row::at_most("idle: processor time", share, "%", 0.2, remark.clone()),
        Row::at_most(
            "idle: drawings",
            frames as f64,
            "frames",
            0.0,
            format!("{bytes} bytes written; {remark}"),
        ),
        Row::at_most("idle: memory", memory(dashboard.pid(), false)?, "MB", 40.0, remark),
    ])
}

/// Presses keys one after another, at all moments between two frames.
fn keys(dashboard: &mut Pty, stand_in: &StandIn, busy: bool) -> Result<Row> {
    let (mut took, mut worst) = (Vec::new(), ("", 0.0));
    let mut published = Instant::now();
    for round in 0..10u64 {
        for (at, key) in (0u64..).zip(KEYS) {
            std::thread::sleep(Duration::from_millis(3 + (at * 7 + round * 3) % 30));
            if busy && published.elapsed() > Duration::from_millis(500) {
                stand_in.publish();
                published = Instant::now();
            }
            let one = dashboard.frame_after(key)?;
            if one > worst.1 {
                worst = (key, one);
            }
            took.push(one);
        }
    }
    let what = if busy { "key to frame, p99, two changes a second" } else { "key to frame, p99" };
    let remark = format!(
        "{} keys everywhere; median {:.2}, worst {:.2} ms for {:?}; stand-in",
        took.len(),
        percentile(&took, 50),
        worst.1,
        worst.0,
    );
    Ok(Row::at_most(what, percentile(&took, 99), "ms", 16.0, remark))
}

/// Types into a filter while output comes.
fn flood(dashboard: &mut Pty, stand_in: &StandIn) -> Result<Vec<Row>> {
    dashboard.press("1g/")?;
    dashboard.until("the filter", LIMIT, |screen| screen.last_but(1) == "filter:")?;
    dashboard.press("\x15")?;
    let meter = Meter::new(dashboard.pid())?;
    let (began, before) = (Instant::now(), stand_in.sent());
    stand_in.print(Plan::Rate(RATE));
    let (mut took, mut typed, mut pressed) = (Vec::new(), String::new(), 0);
    while began.elapsed() < FLOOD {
        std::thread::sleep(Duration::from_millis(10 + pressed * 7 % 30));
        let letter = LETTERS[pressed as usize % LETTERS.len()];
        typed.push(letter);
        let wanted = format!("filter: {typed}");
        took.push(dashboard.latency(&letter.to_string(), |screen| screen.last_but(1) == wanted)?);
        pressed += 1;
        if typed.len() == 40 {
            // All at once now: none of them may be lost.
            let burst: String = LETTERS.iter().cycle().take(100).collect();
            dashboard.press(&burst)?;
            let wanted = format!("filter: {typed}{burst}");
            dashboard.until("every key", LIMIT, |screen| screen.last_but(1) == wanted)?;
            pressed += 100;
            dashboard.press("\x15")?;
            dashboard.until("none of them", LIMIT, |screen| screen.last_but(1) == "filter:")?;
            typed.clear();
        }
    }
    let elapsed = began.elapsed().as_secs_f64();
    let share = meter.share()?;
    stand_in.print(Plan::Quiet);
    let ended = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let last = mark(stand_in.sent() - 1);
    let shown = dashboard.until("the last line", LIMIT, |screen| screen.has(&last))?;
    let behind = shown.saturating_duration_since(ended).as_secs_f64() * 1000.0;
    dashboard.press("\x1b")?;
    let rate = (stand_in.sent() - before) as f64 / elapsed;
    let remark = format!("{RATE} lines/s for {} s asked for; stand-in", FLOOD.as_secs());
    let median = percentile(&took, 50);
    let worst = percentile(&took, 100);
    let lacking = (RATE - rate).max(0.0) / RATE * 100.0;
    Ok(vec![
        Row::at_most(
            "flood: lines not taken in",
            lacking,
            "%",
            1.0,
            format!("{rate:.0} lines/s taken in, the last one shown {behind:.0} ms after the end; {remark}"),
        ),
        Row::at_most(
            "flood: key to frame, p99",
            percentile(&took, 99),
            "ms",
            16.0,
            format!("median {median:.2}, worst {worst:.2} ms; {remark}"),
        ),
        Row::at_most(
            "flood: keys lost",
            0.0,
            "keys",
            0.0,
            format!("{pressed} typed, each one seen; {remark}"),
        ),
        Row::told("flood: processor time", share, "%", remark.clone()),
        Row::at_most("flood: memory at its most", memory(dashboard.pid(), true)?, "MB", 40.0, remark),
    ])
}
