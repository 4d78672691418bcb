//! What a run costs over the program in it, against the engine's own `exec` in the same container.

use std::process::Command;
use std::time::{Instant, SystemTime};

use super::{Home, NOW, project, since};
use crate::Result;
use crate::table::Row;
use crate::tools::{Tools, output, timed};

/// How often it is measured in each round.
const AGAIN: usize = 4;

/// Runs a program that only says when it began, in turn, and one that does nothing.
pub(crate) fn measure(tools: &Tools) -> Result<Vec<Row>> {
    let project = project(tools, 10, |_| Ok(()))?;
    let home = Home::of(&project, "first")?;
    let (mut begun, mut begun_exec) = (Vec::new(), Vec::new());
    let (mut whole, mut whole_exec) = (Vec::new(), Vec::new());
    let (mut attached, mut attached_exec) = (Vec::new(), Vec::new());
    let measure = |begun: &mut Vec<f64>, whole: &mut Vec<f64>, mut command: Command| -> Result {
        let (then, began) = (SystemTime::now(), Instant::now());
        let said = output(&mut command)?;
        whole.push(began.elapsed().as_secs_f64());
        let told = said.lines().find_map(|line| since(then, line));
        begun.push(told.ok_or_else(|| format!("it did not say when it began:\n{said}"))?);
        Ok(())
    };
    for _ in 0..tools.rounds * AGAIN {
        measure(&mut begun, &mut whole, project.tanuki(&["run", "first", NOW]))?;
        measure(&mut begun_exec, &mut whole_exec, home.exec(tools, &["sh", "-c", NOW]))?;
        attached.push(project.timed(&["attach", "first", "--", "true"])?);
        attached_exec.push(timed(&mut home.exec(tools, &["true"]))?);
    }
    let docker = "`docker exec` in the same container";
    let mut all = Row::ratio(
        "`run` until it is over: program ended, work committed and fetched, end recorded",
        &whole,
        docker,
        &whole_exec,
        1.0,
    );
    // What it does more is what it is for.
    all.target = None;
    Ok(vec![
        Row::ratio("`run` until its program has begun", &begun, docker, &begun_exec, 1.2),
        all,
        Row::ratio("`attach -- true`", &attached, docker, &attached_exec, 1.2),
    ])
}
