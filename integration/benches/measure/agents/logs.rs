//! Output of runs: how soon a line is seen, and much of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use super::{Container, NOW, project, since};
use crate::Result;
use crate::process::peak;
use crate::project::Project;
use crate::table::{Row, median};
use crate::tools::{Tools, timed};

/// Lines whose way is timed, in each round.
const LINES: usize = 20;
/// Lines of 80 bytes that are printed as fast as possible: 100 MB.
const MANY: u32 = 1_250_000;
const MEGABYTES: f64 = 100.0;

/// Times single lines, then many.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let project = project(tools, 10, |_| Ok(()))?;
    let mut rows = latency(tools, &project)?;
    rows.extend(many(tools, &project)?);
    Ok(rows)
}

fn latency(tools: &Tools, project: &Project) -> Result<Vec<Row>> {
    // The wait is for whoever follows to be there.
    let script = format!("sleep 1; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); {NOW}; sleep 0.1; done");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..tools.rounds {
        let id = project.says(&["run", "first", "--detach", &script])?;
        ours.extend(follow(project.tanuki(&["logs", "first", "--follow", "--run", id.trim()]))?);
        let container = Container::new(tools, "tanuki-bench-logs");
        timed(&mut container.run(None, &["sh", "-c", &script]))?;
        theirs.extend(follow(tools.docker(&["logs", "--follow", &container.name]))?);
    }
    let mut row =
        Row::ratio("a printed line until `logs -f` shows it", &ours, "`docker logs -f`", &theirs, 1.0);
    // Nothing was promised but to look.
    row.target = None;
    Ok(vec![row])
}

/// How long each line was on its way.
fn follow(mut command: Command) -> Result<Vec<f64>> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut took = Vec::new();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let (line, now) = (line?, SystemTime::now());
        if let Some(printed) = since(SystemTime::UNIX_EPOCH, &line) {
            took.push(now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() - printed);
        }
    }
    child.wait()?;
    if took.len() == LINES {
        Ok(took)
    } else {
        Err(format!("{} of {LINES} lines were seen", took.len()).into())
    }
}

fn many(tools: &Tools, project: &Project) -> Result<Vec<Row>> {
    // Each line is its number, so that one that is lost or comes twice is noticed.
    let script = format!("seq -f %079.0f 1 {MANY}");
    let before = peak(project.controller()?)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut followed, mut followed_docker) = (Vec::new(), Vec::new());
    for _ in 0..tools.rounds.min(3) {
        let began = Instant::now();
        let id = project.says(&["run", "first", "--detach", &script])?;
        let logs = ["logs", "first", "--raw", "--run", id.trim()];
        count(project.tanuki(&[&logs[..], &["--follow"]].concat()))?;
        followed.push(began.elapsed().as_secs_f64());
        ours.push(count(project.tanuki(&logs))?);
        let began = Instant::now();
        let container = Container::new(tools, "tanuki-bench-logs");
        timed(&mut container.run(None, &["sh", "-c", &script]))?;
        count(tools.docker(&["logs", "--follow", &container.name]))?;
        followed_docker.push(began.elapsed().as_secs_f64());
        theirs.push(count(tools.docker(&["logs", &container.name]))?);
    }
    let peak = peak(project.controller()?)?;
    let mut rows = vec![
        Row::ratio(
            "100 MB through a run, from its start until `logs --raw -f` showed the last line, none lost",
            &followed,
            "`docker run` and `docker logs -f`",
            &followed_docker,
            1.0,
        ),
        Row::ratio("`logs --raw` of 100 MB, none lost", &ours, "`docker logs`", &theirs, 1.0),
    ];
    for (row, took) in rows.iter_mut().zip([&followed, &ours]) {
        row.ours.push_str(&format!(", {:.0} MB/s", MEGABYTES / median(took)));
    }
    rows.push(Row {
        what: "most memory of the controller meanwhile".to_owned(),
        ours: format!("{before:.1} MB before"),
        theirs: String::new(),
        figure: peak,
        unit: "MB",
        target: Some(64.0),
    });
    Ok(rows)
}

/// Reads all lines to the end and checks that each is there once and in order; how long that took.
fn count(mut command: Command) -> Result<f64> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::with_capacity(1 << 20, child.stdout.take().ok_or("no output")?);
    let (mut line, mut next) = (Vec::new(), 1_u32);
    while output.read_until(b'\n', &mut line)? > 0 {
        let number = std::str::from_utf8(&line)?.trim_end();
        if number.len() != 79 || number.parse() != Ok(next) {
            return Err(format!("line {next} is '{number}'").into());
        }
        next += 1;
        line.clear();
    }
    let took = began.elapsed().as_secs_f64();
    let status = child.wait()?;
    if !status.success() || next != MANY + 1 {
        return Err(format!("{command:?}: {status} after {} of {MANY} lines", next - 1).into());
    }
    Ok(took)
}
